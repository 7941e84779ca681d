package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// frozenLease is that of the bridges of this scenario, in seconds, so that nobody waits for the default one.
const frozenLease = 3

// frozen stops a bridge as SIGSTOP does while it runs jobs, has them finished by another one, and lets it go on: nothing may change.
func frozen(ctx context.Context, o *options) (r report, err error) {
	b, err := newBed(ctx, o, o.versions[0], bedOptions{settings: map[string]any{"lease": frozenLease}})
	if err != nil {
		return r, err
	}
	defer b.close()
	var j jobs
	l := line{Who: "bridge, SIGSTOP and SIGCONT", Version: b.version, Kills: o.many(20, 2)}
	changed := 0
	for n := range l.Kills {
		w, err := b.startBridge(workerOptions{})
		if err != nil {
			return r, err
		}
		if err := w.working(ctx); err != nil {
			return r, err
		}
		var tasks []task
		for i := range 6 {
			tasks = append(tasks, task{way: []way{bySubmit, byFrappe, plainly}[i%3], queue: own, params: params{fmt.Sprintf("%d-%d", n, i), 1500}})
		}
		if err := b.enqueue(ctx, &j, tasks...); err != nil {
			return r, err
		}
		pause(ctx, time.Duration(n)*1500*time.Millisecond/time.Duration(l.Kills)) // at all points of their way
		if err := syscall.Kill(w.PID(), syscall.SIGSTOP); err != nil {
			return r, err
		}
		other, err := b.startBridge(workerOptions{})
		if err != nil {
			return r, err
		}
		f, err := b.audit(ctx, &j, 40*time.Second)
		if err != nil {
			return r, err
		}
		l.Lost, l.Stuck, l.Failed, l.Twice = f.Lost, f.Stuck, f.Failed, f.Twice
		pause(ctx, 2*time.Second) // events that are held back for a while
		before, err := b.everything(ctx)
		if err != nil {
			return r, err
		}
		events := b.rdb.Subscribe(ctx, "events")
		if _, err := events.Receive(ctx); err != nil {
			return r, err
		}
		if err := syscall.Kill(w.PID(), syscall.SIGCONT); err != nil {
			return r, err
		}
		pause(ctx, frozenLease*time.Second)
		_ = events.Close()
		for m := range events.Channel() {
			if strings.Contains(m.Payload, "job_") || strings.Contains(m.Payload, "doc_update") {
				changed++
				o.say("round %d: the desk was told %.300s", n, m.Payload)
			}
		}
		after, err := b.everything(ctx)
		if err != nil {
			return r, err
		}
		for _, text := range after {
			if !slices.Contains(before, text) {
				changed++
				o.say("round %d: the frozen bridge has written %.300s", n, text)
			}
		}
		w.Kill()
		other.Kill()
	}
	l.Jobs = j.len()
	r.Lines = append(r.Lines, l)
	r.Figures = append(r.Figures,
		atMost("what a resumed bridge has changed of rows, logs, Redis and events", float64(changed), 0, "", ""),
		atMost("jobs lost, stuck or failed", float64(l.Lost+l.Stuck+l.Failed), 0, "", ""))
	return r, nil
}

// everything is all that rows, logs and Redis say of jobs.
func (b *bed) everything(ctx context.Context) (all []string, err error) {
	for _, table := range []string{"Background Job", "Job Execution Log"} {
		columns, err := b.db.Strings(ctx, "read the columns", "SELECT CONCAT('`', column_name, '`') FROM information_schema.columns WHERE table_schema=DATABASE() AND table_name=?", "tab"+table)
		if err != nil {
			return nil, err
		}
		found, err := b.db.Strings(ctx, "read the rows", "SELECT CONCAT_WS('|', "+strings.Join(columns, ",")+") FROM `tab"+table+"`")
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	keys, err := b.rdb.Keys(ctx, "rq:*").Result()
	for _, key := range keys {
		part := strings.Split(key, ":")[1]
		if slices.Contains([]string{"job", "results", "queue", "wip", "finished", "failed", "scheduled", "deferred", "canceled", "execution", "executions", "limit"}, part) {
			all = append(all, key+" "+b.rdb.Dump(ctx, key).Val())
		}
	}
	return all, err
}
