package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
	"github.com/redis/go-redis/v9"
)

// deepMS is how long a job takes behind which others wait.
const deepMS = 200

// depth has a queue of a million jobs of one organization, and looks what others notice of it.
func depth(ctx context.Context, o *options) (r report, err error) {
	waiting := map[string][]int{own: {10_000, 100_000, 1_000_000}, shared: {1_000_000}}
	if o.short {
		waiting = map[string][]int{own: {10_000}}
	}
	for _, kind := range []string{own, shared} {
		for _, n := range waiting[kind] {
			figures, err := deep(ctx, o, kind, n)
			if r.Figures = append(r.Figures, figures...); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// deep is one run of it, on a queue of that type. On a shared one each second job is Python's, which has a worker there.
func deep(ctx context.Context, o *options, kind string, n int) (all []figure, err error) {
	b, err := newBed(ctx, o, o.versions[0], bedOptions{settings: map[string]any{"trust_enqueuer": true}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	d := &diver{bed: b, queue: kind, name: fmt.Sprintf("%s queue, %d waiting", kind, n)}
	for _, name := range []string{"ORG-A", "ORG-B"} {
		if err := b.mariadb.Exec(ctx, "USE `"+b.database+"`", fmt.Sprintf("INSERT INTO tabOrganization (name, creation, modified, owner, modified_by, org_name, status) "+
			"VALUES ('%s', NOW(6), NOW(6), 'Administrator', 'Administrator', '%[1]s', 'Active')", name)); err != nil {
			return nil, err
		}
	}
	python := func(i int) bool { return kind == shared && i%2 == 1 }
	if err := d.fill(ctx, n, python); err != nil {
		return nil, err
	}
	o.say("%s: enqueued", d.name)
	if kind == shared {
		if _, err := b.startPython("simple", shared); err != nil {
			return nil, err
		}
	}
	begin := time.Now()
	w, err := b.startBridge(workerOptions{})
	if err != nil {
		return nil, err
	}
	if err := w.working(ctx); err != nil {
		return nil, err
	}
	length := deepMS * time.Millisecond
	d.started(ctx, o, begin, "first job after the start", "deep-", time.Second, "")
	d.started(ctx, o, begin, "B's job that waited last", "last", time.Second+length, "since the start")
	d.others(ctx, o, "while the list is read", length)
	d.started(ctx, o, begin, "B's job that waited in the middle", "middle", 2*time.Minute, "since the start, when the list is read up to it")
	d.read(ctx, o, begin, w.PID(), n)
	d.others(ctx, o, "afterwards", length)
	d.idle(ctx, o, w.PID())
	return d.figures, errors.Join(d.errs...)
}

// diver looks at a queue that is deep.
type diver struct {
	*bed
	queue, name string
	asked       int
	figures     []figure
	errs        []error
}

func (d *diver) add(f figure, what string) {
	f.What = d.name + ": " + what
	d.figures = append(d.figures, f)
}

// fill enqueues n jobs of A, and two of B: in the middle, and last.
func (d *diver) fill(ctx context.Context, n int, python func(i int) bool) error {
	for from := 0; from < n; from += 1000 {
		_, err := d.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := from; i < min(from+1000, n); i++ {
				method, key, organization := plainMethod, fmt.Sprint("deep-", i), "ORG-A"
				switch {
				case i == n/2:
					key, organization = "middle", "ORG-B"
				case i == n-1:
					key, organization = "last", "ORG-B"
				case python(i):
					method, key = "site_tasks.witnessed", "-"
				}
				if err := d.put(ctx, p, method, key, organization); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// put enqueues a job as frappe.enqueue does.
func (d *diver) put(ctx context.Context, p redis.Pipeliner, method, key, organization string) error {
	d.asked++
	dict := func(pairs ...pickle.Pair) *pickle.Dict { return &pickle.Dict{Items: pairs} }
	data, err := rqcompat.EncodeCall(rqcompat.Call{Func: frappe.ExecuteJob, Kwargs: dict(
		pickle.Pair{Key: "site", Value: site}, pickle.Pair{Key: "user", Value: owner}, pickle.Pair{Key: "method", Value: method}, pickle.Pair{Key: "event", Value: nil},
		pickle.Pair{Key: "job_name", Value: method}, pickle.Pair{Key: "is_async", Value: true},
		pickle.Pair{Key: "kwargs", Value: dict(pickle.Pair{Key: "key", Value: key}, pickle.Pair{Key: "ms", Value: deepMS}, pickle.Pair{Key: "organization", Value: organization})},
	)})
	if err != nil {
		return err
	}
	id, now, queue := fmt.Sprintf("%s||%08d-0000-4000-8000-000000000000", site, d.asked), rqcompat.FormatTime(time.Now()), d.bench.QueueName(d.queue)
	p.HSet(ctx, rqcompat.JobKey(id), "data", data, "status", "queued", "origin", queue, "created_at", now, "enqueued_at", now, "timeout", 300, "description", method)
	p.RPush(ctx, rqcompat.QueueKey(queue), id)
	return nil
}

// began is when a job began whose key has that prefix, zero if none did within a time.
func (d *diver) began(ctx context.Context, prefix string, most time.Duration) (at time.Time) {
	until(ctx, most, func() bool {
		entries, err := d.ledger.read()
		if err != nil {
			d.errs = append(d.errs, err)
			return true
		}
		for _, e := range entries {
			if e.what == began && strings.HasPrefix(e.key, prefix) {
				at = e.at
				return true
			}
		}
		return false
	})
	return at
}

func (d *diver) started(ctx context.Context, o *options, since time.Time, what, prefix string, limit time.Duration, note string) {
	at := d.began(ctx, prefix, 5*time.Minute)
	if at.IsZero() {
		d.errs = append(d.errs, fmt.Errorf("%s: %s hasn't begun after five minutes", d.name, what))
		return
	}
	d.add(o.inTime("", at.Sub(since), limit, note), what)
}

// others enqueues jobs of B, one after the other, and notes how long the slowest waited.
func (d *diver) others(ctx context.Context, o *options, when string, length time.Duration) {
	var waits durations
	for i := range 10 {
		key, at := fmt.Sprintf("b-%s-%d-", strings.ReplaceAll(when, " ", "-"), i), time.Now()
		if _, err := d.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error { return d.put(ctx, p, plainMethod, key, "ORG-B") }); err != nil {
			d.errs = append(d.errs, err)
			return
		}
		if began := d.began(ctx, key, time.Minute); !began.IsZero() {
			waits = append(waits, began.Sub(at))
		}
		pause(ctx, time.Duration(i)*30*time.Millisecond)
	}
	if len(waits) < 10 {
		d.errs = append(d.errs, fmt.Errorf("%s: only %d of B's 10 jobs began %s", d.name, len(waits), when))
	}
	d.add(o.inTime("", waits.at(100), length+100*time.Millisecond, fmt.Sprintf("slowest of ten; median %.0f ms", waits.at(50).Seconds()*1000)), "B's job that comes "+when)
}

// read waits until the whole list is known, and looks at the memory.
func (d *diver) read(ctx context.Context, o *options, begin time.Time, pid, n int) {
	known, last := 0, 0
	until(ctx, 10*time.Minute, func() bool {
		processes, _ := d.rq.Processes(ctx)
		for _, p := range processes {
			if p.PID == pid {
				known = p.Waiting
			}
		}
		settled := known > 0 && known <= last && time.Since(begin) > 5*time.Second
		last = known
		pause(ctx, 3*time.Second)
		return settled
	})
	d.add(o.inTime("", time.Since(begin), 2*time.Minute, fmt.Sprintf("%d wait here", known)), "the whole list is read")
	now, err := memoryMB(pid, "VmRSS:")
	most, err2 := memoryMB(pid, "VmHWM:")
	d.errs = append(d.errs, err, err2)
	d.add(atMost("", now, 300, "MB", fmt.Sprintf("at most it had %.0f MB", most)), "resident memory")
}

// idle looks what the process takes of a processor.
func (d *diver) idle(ctx context.Context, o *options, pid int) {
	before, err := cpuTime(pid)
	lasts := o.lasting(20*time.Second, 2*time.Second)
	pause(ctx, lasts)
	after, err2 := cpuTime(pid)
	d.errs = append(d.errs, err, err2)
	d.add(atMost("", (after-before).Seconds()/lasts.Seconds()*100, 30, "%", "of one processor, with 40 jobs a second"), "processor")
}

func memoryMB(pid int, field string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, field); ok {
			kb, err := strconv.ParseFloat(strings.Fields(text)[0], 64)
			return kb / 1000, err
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, field)
}

// cpuTime is what a process has used of all processors, in steps of 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}
