package doctor

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// crew is the workers of one kind, Python's or the bridge's: how many there are, and who works each queue type.
type crew struct {
	size int
	on   map[string][]string
}

func (c *crew) queues() string {
	if len(c.on) == 0 {
		return "no queue of this bench"
	}
	return strings.Join(slices.Sorted(maps.Keys(c.on)), ", ")
}

// crews are all who work this bench.
type crews struct {
	python, ours *crew
	processes    []rqcompat.Process
}

// workers looks who works what.
func (r *report) workers(ctx context.Context, b *frappe.Bench, cfg bridge.Config, rq *rqcompat.Client) crews {
	all, err := rq.Workers(ctx)
	if err != nil {
		r.warn("workers", "remove the broken record, or let it expire", "%v", err)
	}
	who := crews{python: &crew{on: map[string][]string{}}, ours: &crew{on: map[string][]string{}}}
	if who.processes, err = rq.Processes(ctx); err != nil {
		r.warn("workers", "let the broken record expire", "%v", err)
	}
	for _, w := range all {
		if !strings.HasPrefix(w.Name, bridge.WorkerPrefix) {
			who.python.add(b, w.Name, w.Queues)
		}
	}
	for _, p := range who.processes {
		who.ours.add(b, p.Name, p.Queues)
	}
	r.ok("workers", "Python: %d, on %s", who.python.size, who.python.queues())
	if len(who.processes) == 0 {
		r.add(Error, "workers", "start one: bridge worker", "no bridge works this bench")
	} else {
		r.ok("workers", "bridge: %d, on %s", who.ours.size, who.ours.queues())
	}
	for _, p := range who.processes {
		r.slots(p, time.Now())
		r.troubles(p)
		r.memory(p)
		r.repairs(p)
	}
	for _, kind := range cfg.WithDefaults().Queues {
		if names := who.python.on[kind]; len(names) > 0 {
			r.warn("workers", "start Python workers with --queue short,default,long",
				"Python works %q too, which is the bridge's own: each of its jobs that an idle one takes fails there once: %s", kind, strings.Join(names, ", "))
		}
		for _, where := range generated(b, kind) {
			r.warn("workers", "delete those lines, each time that bench has written them again, and restart",
				"%s starts a Python worker on %q, which is the bridge's own", where, kind)
		}
	}
	return who
}

func (c *crew) add(b *frappe.Bench, name string, queues []string) {
	c.size++
	for _, queue := range queues {
		if kind := b.QueueTypeOf(queue); kind != "" {
			c.on[kind] = append(c.on[kind], name)
		}
	}
}

// slots looks at what abandoned handlers have left of a process.
func (r *report) slots(p rqcompat.Process, now time.Time) {
	if len(p.Abandoned) == 0 {
		return
	}
	level, how := Warning, fmt.Sprintf("%d of %d slots", len(p.Abandoned), p.Slots)
	if len(p.Abandoned) >= p.Slots {
		level, how = Error, fmt.Sprintf("all %d slots", p.Slots)
	}
	oldest := p.Abandoned[0]
	r.add(level, "workers", "see what the handler waits for (kill -QUIT prints its stack and ends the process), mend it, and restart that bridge",
		"process %d on %s: %s are held by handlers that ignore their context, %s of job %s since %s (%s)",
		p.PID, p.Hostname, how, oldest.Method, oldest.JobID, output.Clock(oldest.Since), now.Sub(oldest.Since).Round(time.Second))
}

// troubles are servers that a process can't use, though this one may.
func (r *report) troubles(p rqcompat.Process) {
	for _, text := range p.Troubles {
		r.add(Error, "workers", "see what the network and the server's log say; the bridge goes on by itself", "process %d on %s: %s", p.PID, p.Hostname, text)
	}
}

// memory looks whether large jobs of a process have to wait for each other.
func (r *report) memory(p rqcompat.Process) {
	switch {
	case p.MemoryMost == 0:
	case p.Memory > p.MemoryMost/2 && p.Waiting > 0:
		r.warn("workers", "if that lasts, raise running_memory under bridge, or let those jobs bring less",
			"process %d on %s: its running jobs take %d of %d MiB, and large ones wait for each other", p.PID, p.Hostname, p.Memory>>20, p.MemoryMost>>20)
	default:
		r.ok("workers", "process %d on %s: %d of %d slots, %d of %d MiB for running jobs", p.PID, p.Hostname, p.Running, p.Slots, p.Memory>>20, p.MemoryMost>>20)
	}
}

// generated are the lines with which bench, as it writes them for each key of "workers", starts a Python worker on a queue.
func generated(b *frappe.Bench, kind string) (found []string) {
	line := regexp.MustCompile(`\bbench\b.*\bworker\b.*--queue[= ]` + regexp.QuoteMeta(kind) + `(\s|$)`)
	for _, file := range []string{"Procfile", "config/supervisor.conf"} {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(b.SitesDir), file))
		if err != nil {
			continue // not every bench has both
		}
		for i, l := range strings.Split(string(text), "\n") {
			if line.MatchString(l) && !strings.HasPrefix(strings.TrimSpace(l), "#") && !strings.HasPrefix(strings.TrimSpace(l), ";") {
				found = append(found, fmt.Sprintf("%s line %d", file, i+1))
			}
		}
	}
	return found
}

// repairs tells what a process has mended since it started.
func (r *report) repairs(p rqcompat.Process) {
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(p.Repairs)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", strings.ReplaceAll(kind, "_", " "), p.Repairs[kind]))
	}
	if len(kinds) > 0 {
		r.ok("workers", "process %d on %s has mended since %s: %s", p.PID, p.Hostname, output.Clock(p.Birth), strings.Join(kinds, ", "))
	}
}
