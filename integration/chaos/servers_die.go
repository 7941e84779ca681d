package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// serverDeaths are what happens to a server under load. Each returns once the server can be used again.
var serverDeaths = []struct {
	who    string
	happen func(ctx context.Context, b *bed) error
}{
	{"bridge, FLUSHALL", func(ctx context.Context, b *bed) error { return b.rdb.FlushAll(ctx).Err() }},
	{"bridge, Redis killed and started empty", func(ctx context.Context, b *bed) error {
		b.redis.Kill()
		pause(ctx, rand.N(time.Second))
		return b.redis.Restart(ctx)
	}},
	{"bridge, MariaDB killed", func(ctx context.Context, b *bed) error {
		b.mariadb.Kill()
		pause(ctx, rand.N(time.Second))
		return b.mariadb.Restart(ctx)
	}},
}

// serversDie empties Redis, kills it and MariaDB, again and again, while two bridges work rows that wait, run, and end.
func serversDie(ctx context.Context, o *options) (r report, err error) {
	for _, death := range serverDeaths {
		if err := o.serverDies(ctx, &r, death.who, death.happen); err != nil {
			return r, fmt.Errorf("%s: %w", death.who, err)
		}
	}
	return r, nil
}

// longestJob is how long a job of this scenario takes at most.
const longestJob = 500

func (o *options) serverDies(ctx context.Context, r *report, who string, happen func(context.Context, *bed) error) error {
	b, err := newBed(ctx, o, o.versions[0], bedOptions{})
	if err != nil {
		return err
	}
	defer b.close()
	for range 2 {
		w, err := b.startBridge(workerOptions{})
		if err != nil {
			return err
		}
		if err := w.working(ctx); err != nil {
			return err
		}
	}
	var j jobs
	var slowest time.Duration
	times, done := o.many(20, 2), 0
	for n := range times {
		tasks := make([]task, o.many(150, 60))
		for i := range tasks {
			tasks[i] = task{way: bySubmit, queue: own, params: params{fmt.Sprintf("%d-%d", n, i), 20 + rand.IntN(longestJob-20)}}
		}
		if err := b.enqueue(ctx, &j, tasks...); err != nil {
			return err
		}
		pause(ctx, rand.N(1500*time.Millisecond))
		if err := happen(ctx, b); err != nil {
			return err
		}
		back := time.Now()
		until(ctx, time.Minute, func() bool {
			done, err = b.completed(ctx)
			return err == nil && done == j.len()
		})
		took := time.Since(back) - longestJob*time.Millisecond
		slowest = max(slowest, took)
		o.say("%s: %d of %d, all done after %.1f s", who, n+1, times, took.Seconds())
	}
	h, err := b.ledger.history()
	if err != nil {
		return err
	}
	l := line{Who: who, Version: b.version, Kills: times, Jobs: j.len(), Lost: j.len() - done}
	for _, a := range j.list() {
		if n := len(h.runs[a.Key]); n > 1 {
			l.Twice++
			o.say("%s: %s began %d times", who, a.Key, n)
		}
	}
	left, err := b.leftovers(ctx)
	if err != nil {
		return err
	}
	logs, err := b.faultyLogs(ctx)
	if err != nil {
		return err
	}
	for _, text := range slices.Concat(left, logs) {
		o.say("%s: %s", who, text)
	}
	r.Lines = append(r.Lines, l)
	r.Figures = append(r.Figures,
		o.inTime(who+": the slowest job, after the server's return and beyond its own length", slowest, 15*time.Second, ""),
		atMost(who+": rows not Completed", float64(l.Lost), 0, "", ""),
		atMost(who+": log rows that are missing or wrong", float64(len(logs)), 0, "", ""),
		atMost(who+": left in Redis", float64(len(left)), 0, "", ""),
		atMost(who+": jobs begun twice", float64(l.Twice), 0, "", ""))
	return nil
}

// completed is how many rows are.
func (b *bed) completed(ctx context.Context) (n int, err error) {
	statuses, err := b.db.Strings(ctx, "read the rows", "SELECT CAST(COUNT(*) AS CHAR) FROM `tabBackground Job` WHERE status=?", string(rows.StatusCompleted))
	if err == nil {
		_, err = fmt.Sscan(statuses[0], &n)
	}
	return n, err
}
