package attempt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestTheRowHasTheLastLines that a handler logs: while it runs every three seconds, in the end at once, and none of the
// engine's own lines.
func TestTheRowHasTheLastLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		stop := h.reporting(t)
		h.run(t, h.delivery(rows.StatusQueued, func(_ context.Context, r job.Reporter) (any, error) {
			log := r.Log().With("tenant", "t1").WithGroup("step")
			for i := range 80 {
				log.Info("working", "n", i)
				time.Sleep(100 * time.Millisecond)
			}
			log.Warn("last", "error", errors.New("boom"))
			return nil, errBoom
		}))
		h.jobs.Wait()
		stop()
		var ends []string
		for _, r := range h.rows.reports {
			lines := strings.Split(r.LogTail, "\n")
			ends = append(ends, fmt.Sprint(len(lines), " ", lines[len(lines)-1]))
		}
		// The line of the very instant may be in or not.
		if len(ends) != 2 || !strings.HasPrefix(ends[0], "30 ") && !strings.HasPrefix(ends[0], "31 ") || !strings.HasPrefix(ends[1], "50 ") {
			t.Errorf("written while it runs: %q, want the lines of 3 s, then 50 of 6 s", ends)
		}
		tail := strings.Split(h.rows.rows["JOB-1"].LogTail, "\n")
		if len(tail) != tailLines || tail[0] != "working tenant=t1 step.n=31" || tail[tailLines-1] != "WARN last tenant=t1 step.error=boom" {
			t.Errorf("the row ends with %d lines:\n%s", len(tail), strings.Join(tail, "\n"))
		}
	})
}

// TestAShortJobsLogIsWrittenOnce, with the move that ends it; that of a job without a row nowhere.
func TestAShortJobsLogIsWrittenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		stop := h.reporting(t)
		says := func(_ context.Context, r job.Reporter) (any, error) {
			r.Log().Info("short")
			time.Sleep(logInterval - 1)
			return nil, nil
		}
		h.run(t, h.delivery(rows.StatusQueued, says))
		h.run(t, plain(func(ctx context.Context, r job.Reporter) (any, error) {
			r.Log().Info("plain")
			time.Sleep(time.Minute)
			return nil, nil
		}))
		h.jobs.Wait()
		stop()
		if len(h.rows.reports) != 0 || h.rows.rows["JOB-1"].LogTail != "short" {
			t.Errorf("written %+v, the row ends with %q", h.rows.reports, h.rows.rows["JOB-1"].LogTail)
		}
		if slices.ContainsFunc(h.story, func(s string) bool { return strings.HasPrefix(s, "plain") }) {
			t.Errorf("a log line of a job without a row is told: %q", h.story)
		}
	})
}

// TestALogThatCantBeWrittenIsTriedAgain together with the report, and neither comes more than once a second.
func TestALogThatCantBeWrittenIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		stop := h.reporting(t)
		h.run(t, h.delivery(rows.StatusQueued, func(_ context.Context, r job.Reporter) (any, error) {
			h.rows.fail(errors.New("no database"))
			r.Log().Info("line")
			time.Sleep(logInterval + time.Second/2)
			h.rows.fail(nil)
			time.Sleep(time.Minute)
			return nil, errBoom
		}))
		h.jobs.Wait()
		stop()
		if len(h.rows.reports) != 1 || h.rows.reports[0].LogTail != "line" {
			t.Errorf("written %+v, want the only line once", h.rows.reports)
		}
	})
}

// TestAProgramsOutput is kept as it is, also what the log doesn't want.
func TestAProgramsOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.run(t, h.delivery(rows.StatusQueued, func(ctx context.Context, r job.Reporter) (any, error) {
			r.Log().Info(job.OutputLine, "line", "to stdout")
			r.Log().Log(ctx, job.LevelOutput, job.OutputLine, "line", "to stderr")
			r.Log().Debug("of nobody's interest")
			return nil, nil
		}))
		h.jobs.Wait()
		if got := h.rows.rows["JOB-1"].LogTail; !strings.HasPrefix(got, "to stdout\nto stderr") {
			t.Errorf("the row has %q", got)
		}
	})
}

func TestLogTail(t *testing.T) {
	many := strings.Repeat("x\n", 200)
	wide := strings.Repeat(strings.Repeat("y", 2000)+"\n", 40)
	for given, want := range map[string]string{
		"":                            "",
		"one":                         "one",
		"one\n\ntwo  \r\n":            "one\ntwo",
		"a\x00b\x1b[31mred\xff😀\ttab": "ab[31mred\uFFFD😀\ttab",
		strings.Repeat("ä", 300):      strings.Repeat("ä", 248) + "…",
		many:                          strings.Repeat("x\n", 49) + "x",
		wide:                          strings.TrimSuffix(strings.Repeat(strings.Repeat("y", 497)+"…\n", 16), "\n"),
	} {
		var tail logTail
		tail.add(given)
		if got := tail.String(); got != want || len(got) > tailBytes {
			t.Errorf("%.40q is kept as %q (%d bytes), want %q", given, got, len(got), want)
		}
	}
}
