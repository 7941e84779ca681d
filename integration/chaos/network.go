package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// The wires between a bridge and its servers.
const (
	toRedis = iota
	toMariaDB
)

// returnLimit is how long after the return of a server all is to be done that was not, beyond the jobs' own length.
const returnLimit = 15 * time.Second

// network cuts the wires between a bridge and its servers, while another one reaches both. Packets are dropped; nobody is refused.
func network(ctx context.Context, o *options) (r report, err error) {
	cuts := []time.Duration{time.Second, 10 * time.Second, time.Minute}
	if o.short {
		cuts = cuts[:1]
	}
	for _, side := range []struct {
		what  string
		wires []int
	}{{"Redis", []int{toRedis}}, {"MariaDB", []int{toMariaDB}}, {"both", []int{toRedis, toMariaDB}}} {
		for _, long := range cuts {
			for _, other := range []bool{false, true} {
				if other && long < time.Minute {
					continue // it has nothing to take over
				}
				what := fmt.Sprintf("%s cut off for %s", side.what, long)
				if other {
					what += ", another bridge beside"
				}
				err := cutOff(ctx, o, &r, what, side.wires, long, other)
				if errors.Is(err, servers.ErrNoNetwork) {
					o.say("not run: %v", err)
					r.Figures = append(r.Figures, figure{What: "not run here", OK: true, Note: err.Error()})
					return r, nil
				}
				if err != nil {
					return r, fmt.Errorf("%s: %w", what, err)
				}
			}
		}
	}
	return r, nil
}

// cutOff cuts wires of a bridge under load, mends them, and adds to the report what became of its jobs.
func cutOff(ctx context.Context, o *options, r *report, what string, wires []int, long time.Duration, other bool) (err error) {
	n, err := servers.NewNetwork(2)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	m, err := servers.StartMariaDB(ctx, "--bind-address=0.0.0.0")
	if err != nil {
		return err
	}
	defer m.Stop()
	b, err := newBed(ctx, o, o.versions[0], bedOptions{mariadb: m, settings: map[string]any{"concurrency": 32}, redis: []servers.Option{
		servers.WithConfig("bind", "127.0.0.1", n.Addr(toRedis)), servers.WithConfig("protected-mode", "no"),
	}})
	if err != nil {
		return err
	}
	defer b.close()
	w, err := b.behind(ctx, n)
	if err != nil {
		return err
	}
	if other {
		if _, err := b.startBridge(workerOptions{}); err != nil {
			return err
		}
	}
	var j jobs
	loading, stop := context.WithCancel(ctx)
	defer stop()
	loaded := make(chan error, 1)
	go func() { loaded <- b.load(loading, &j) }()
	pause(ctx, 2*time.Second)
	began := time.Now()
	for _, wire := range wires {
		err = errors.Join(err, n.Cut(wire))
	}
	pause(ctx, long)
	for _, wire := range wires {
		err = errors.Join(err, n.Mend(wire))
	}
	mended := time.Now()
	stop()
	if err = errors.Join(err, <-loaded); err != nil {
		return err
	}
	f, err := b.audit(ctx, &j, time.Minute)
	if err != nil {
		return err
	}
	f.Who = what
	r.Lines = append(r.Lines, f.line)
	for _, text := range f.wrong {
		o.say("%s: %s", what, text)
	}
	last, early := f.history.around(began.Add(lapses))
	r.Figures = append(r.Figures,
		atMost(what+": not as it should be", float64(len(f.wrong)-len(f.history.needless())), 0, "", "jobs, rows, logs and what is left in Redis"),
		o.inTime(what+": all done after the return", last.Sub(mended), returnLimit, fmt.Sprintf("%d jobs of 0.1 to 2 s", f.Jobs)),
		atMost(what+": run again before a lease lapsed", float64(early), 0, "", ""))
	return w.Ended()
}

// lapses is how long after a cut a lease of 15 s lapses at the earliest: it may have been renewed 5 s before.
const lapses = 10 * time.Second

// around is when the last handler ended, and how many jobs began again before a time.
func (h history) around(lapsed time.Time) (last time.Time, early int) {
	for _, runs := range h.runs {
		for i, r := range runs {
			if r.ended.After(last) {
				last = r.ended
			}
			if i > 0 && r.began.Before(lapsed) {
				early++
			}
		}
	}
	return last, early
}

// behind starts a bridge in a network of its own.
func (b *bed) behind(ctx context.Context, n *servers.Network) (*worker, error) {
	dir := filepath.Join(b.dir, "behind")
	_, port, err := net.SplitHostPort(b.redis.Addr)
	if err == nil {
		err = b.view(dir, "redis://"+net.JoinHostPort(n.Addr(toRedis), port), n.Addr(toMariaDB), b.mariadb.Port)
	}
	if err != nil {
		return nil, err
	}
	w, err := b.startBridge(workerOptions{dir: dir, under: n.Under()})
	if err != nil {
		return nil, err
	}
	return w, w.working(ctx)
}

// load enqueues some jobs a second until ctx ends, of which every tenth takes two seconds. What is refused meanwhile was not accepted.
func (b *bed) load(ctx context.Context, j *jobs) error {
	for i := 0; ctx.Err() == nil; i++ {
		t := task{way: []way{byFrappe, bySubmit, plainly}[i%3], queue: own, params: params{fmt.Sprint("job-", i), 100 + i%5*50}}
		if i%10 == 0 {
			t.MS = 2000
		}
		if err := b.enqueue(context.WithoutCancel(ctx), j, t); err != nil {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
	return nil
}
