package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
)

// partJSON is a part in the summary for programs.
type partJSON struct {
	Job      string   `json:"job"`
	What     string   `json:"what"`
	From     string   `json:"enqueued_by"`
	By       string   `json:"run_by"`
	Status   string   `json:"status"`
	Attempts int      `json:"attempts"`
	Seconds  float64  `json:"seconds"`
	Problems []string `json:"problems,omitempty"`
}

func (d *demo) printShow(s *show, took time.Duration) error {
	var views []partJSON
	var cells [][]string
	bad := 0
	for _, p := range s.parts {
		v := partJSON{
			Job: p.id, What: p.what, From: p.from, By: p.ranBy(), Status: p.ending(), Attempts: p.attempted(),
			Seconds: p.took().Round(10 * time.Millisecond).Seconds(), Problems: p.problems,
		}
		if p.row != nil {
			v.Job = p.row.Name
		}
		check := "ok"
		if len(p.problems) > 0 {
			bad++
			check = "NOT as expected"
		}
		views = append(views, v)
		cells = append(cells, []string{output.ShortID(v.Job), v.What, v.From, v.By, v.Status, fmt.Sprint(v.Attempts), fmt.Sprintf("%.1f s", v.Seconds), check})
	}
	if d.json {
		return output.JSON(d.out, map[string]any{"jobs": views, "ok": bad == 0, "seconds": took.Round(10 * time.Millisecond).Seconds()})
	}
	fmt.Fprintln(d.out)
	if err := output.Table(d.out, []string{"JOB", "WHAT", "ENQUEUED BY", "RUN BY", "STATUS", "ATTEMPTS", "TOOK", "CHECK"}, cells); err != nil {
		return err
	}
	for i, p := range s.parts {
		for _, problem := range p.problems {
			fmt.Fprintf(d.out, "%s: %s\n", cells[i][0], output.OneLine(problem))
		}
	}
	fmt.Fprintf(d.out, "\n%d of %d jobs ended as they should, in %s.\n", len(s.parts)-bad, len(s.parts), took.Round(100*time.Millisecond))
	return nil
}

// lookAround says how to use what keeps running.
func (d *demo) lookAround(s *stage) {
	python := fmt.Sprintf("PYTHONPATH=%s DEMO_BENCH_ID=%s DEMO_SITE=%s DEMO_SEPARATOR='%s' DEMO_REDIS=%s", s.scripts, s.bench.ID, siteName, s.separator, s.redis.URL())
	out := d.out
	if d.json {
		out = d.err
	}
	fmt.Fprintf(out, `
Everything keeps running until Ctrl-C. To look around, in another shell:

  export BRIDGE_BENCH=%s BRIDGE_API_KEY=admin BRIDGE_API_SECRET=secret
  alias bridge=%s

  bridge jobs
  bridge doctor
  bridge submit sample_job --organization %s duration=20 --watch
  bridge watch all
  bridge enqueue demo_tasks.word_count text="to be or not to be" --wait

  redis-cli -p %s
  mariadb -h %s -P %d -u root %s
  %s \
    %s -m rq.cli info -u %s
`, s.dir, d.program, people[0].Organization, s.redis.Addr[strings.LastIndexByte(s.redis.Addr, ':')+1:],
		s.mariadb.Host, s.mariadb.Port, dbName, python, s.python, s.redis.URL())
}
