package main

import (
	"context"
	"fmt"
	"time"
)

// kills kills one of two bridges.
func kills(ctx context.Context, o *options) (r report, err error) {
	b, err := newBed(ctx, o, o.versions[0], bedOptions{})
	if err != nil {
		return r, err
	}
	defer b.close()
	var j jobs
	for i := range o.many(1000, 100) {
		t := task{way: []way{byFrappe, bySubmit, plainly, forPython}[i%4], queue: []string{own, shared, first}[i/4%3], params: params{fmt.Sprint("job-", i), 50}}
		if t.way == forPython && t.queue == own {
			t.queue = shared
		}
		if err := b.enqueue(ctx, &j, t); err != nil {
			return r, err
		}
	}
	if _, err := b.startPython("simple", shared, first); err != nil {
		return r, err
	}
	w, err := b.startBridge(workerOptions{})
	if err != nil {
		return r, err
	}
	if err := w.working(ctx); err != nil {
		return r, err
	}
	if _, err := b.startBridge(workerOptions{}); err != nil {
		return r, err
	}
	pause(ctx, o.lasting(2*time.Second, time.Second))
	if err := w.kill(); err != nil {
		return r, err
	}
	o.say("%d jobs were accepted", j.len())
	f, err := b.audit(ctx, &j, time.Minute)
	f.Who = "bridge"
	for _, text := range f.wrong {
		o.say("%s", text)
	}
	r.Lines = append(r.Lines, f.line)
	all := sum(r.Lines)
	r.Figures = append(r.Figures, atLeast("kills", float64(all.Kills), 1, "", ""), atMost("wrong", float64(len(f.wrong)), 0, "", ""), o.inTime("slowest rescue", all.Rescues.at(100), 5*time.Second, ""))
	return r, err
}
