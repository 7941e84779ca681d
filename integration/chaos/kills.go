package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
)

const (
	// atOnce is how many benches there are at a time.
	atOnce = 2
	// seats is how many bridges work a bench at once.
	seats = 6
	// killsEach and jobsEach are there beside each version of RQ. killEvery is the mean pause between two kills of one bench: shorter,
	// and no bridge lives to rescue anything.
	killsEach, jobsEach = 250, 5000
	killEvery           = 1500 * time.Millisecond
	// The same of a bridge that has the bench to itself, so that nobody but its successor can notice its death.
	killsAlone, jobsAlone = 30, 2000
	killAloneEvery        = 6 * time.Second
	// afterLast is how long jobs may take to end once nobody dies any more.
	afterLast = time.Minute
)

// killing is one bench on which bridges die.
type killing struct {
	*bed
	who         string
	kills, jobs int // how many there are to be
	bridges     int // at once
	every       time.Duration
	seed        uint64
	moments     *moments
	seats       []*seat
	accepted    jobs
}

// kills kills bridges, and those who do such work today, in one table.
func kills(ctx context.Context, o *options) (report, error) {
	r, err := killBridges(ctx, o)
	if err != nil {
		return r, err
	}
	peers, err := killPeers(ctx, o)
	return report{Lines: append(r.Lines, peers.Lines...), Figures: append(r.Figures, peers.Figures...)}, err
}

// killBridges kills bridges beside each version of RQ.
func killBridges(ctx context.Context, o *options) (r report, err error) {
	versions := o.versions
	if o.short {
		versions = versions[:min(2, len(versions))]
	}
	// The processes of all benches together have more connections than one server of a site usually lets in.
	mariadb, err := servers.StartMariaDB(ctx, "--max-connections=2000")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, mariadb.Stop()) }()
	ms := &moments{}
	var all []*killing
	for i, version := range versions {
		all = append(all, &killing{who: "bridge", bed: &bed{version: version}, kills: o.many(killsEach, 12), jobs: o.many(jobsEach, 200), bridges: seats, every: killEvery, seed: uint64(i), moments: ms})
	}
	all = append(all, &killing{who: "bridge, alone", bed: &bed{version: versions[0]}, kills: o.many(killsAlone, 2), jobs: o.many(jobsAlone, 100), bridges: 1, every: killAloneEvery, seed: uint64(len(all)), moments: ms})
	findings, errs := make([]finding, len(all)), make([]error, len(all))
	var running sync.WaitGroup
	benches := make(chan struct{}, atOnce)
	for i, k := range all {
		running.Go(func() {
			benches <- struct{}{}
			defer func() { <-benches }()
			findings[i], errs[i] = k.run(ctx, o, mariadb)
		})
	}
	running.Wait()
	o.say("nobody died %s", strings.Join(ms.missed(), ", "))
	return killReport(o, findings, ms), errors.Join(errs...)
}

// run is one bench with its share of kills and jobs.
func (k *killing) run(ctx context.Context, o *options, mariadb *servers.MariaDB) (f finding, err error) {
	version := k.version
	if k.bed, err = newBed(ctx, o, version, bedOptions{mariadb: mariadb}); err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	for _, kind := range []string{"simple", "forking"} {
		if _, err := k.startPython(kind, shared, first); err != nil {
			return f, err
		}
	}
	running, stop := context.WithCancel(ctx)
	var working sync.WaitGroup
	defer func() { stop(); working.Wait() }()
	fell := make(chan error, k.bridges)
	for i := range k.bridges {
		s, err := k.seat(i, k.moments)
		if err != nil {
			return f, err
		}
		k.seats = append(k.seats, s)
		working.Go(func() { fell <- s.run(running) })
	}
	fed := make(chan error, 1)
	working.Go(func() {
		err := k.feed(running, rand.New(rand.NewPCG(o.seed, k.seed)))
		if err != nil {
			stop()
		}
		fed <- err
	})
	err = k.kill(running, rand.New(rand.NewPCG(o.seed, 1000+k.seed)))
	if fault := <-fed; fault != nil {
		err = fault
	}
	if err != nil {
		return f, err
	}
	o.say("RQ %s: %d kills and %d jobs; waiting for the last ones", version, k.kills, k.jobs)
	f, err = k.audit(ctx, &k.accepted, afterLast)
	f.Who = k.who
	spent, fault := k.db.Strings(ctx, "read the rows", "SELECT CONCAT(name, ' spent ', retry_count, ' retries') FROM `tabBackground Job` WHERE retry_count>0")
	f.wrong, err = append(f.wrong, spent...), errors.Join(err, fault)
	stop()
	for range k.seats {
		err = errors.Join(err, <-fell)
	}
	for _, s := range k.seats {
		f.wrong = append(f.wrong, s.stop()...)
	}
	for _, text := range f.wrong[:min(len(f.wrong), 20)] {
		o.say("RQ %s: %s", version, text)
	}
	return f, err
}

// kill kills bridges until there were enough kills, half of them at the moments of what they send.
func (k *killing) kill(ctx context.Context, r *rand.Rand) error {
	for told := time.Now(); ; {
		h, err := k.ledger.history()
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if h.kills >= k.kills {
			return nil
		}
		if time.Since(told) > 20*time.Second {
			told = time.Now()
			hit, all := k.moments.died()
			k.o.say("RQ %s: %d of %d kills, %d of %d jobs, deaths at %d of %d moments; rescues p50 %.2f s, p99 %.2f s, slowest %.2f s", k.version, h.kills, k.kills, k.accepted.len(), k.jobs, hit, all,
				h.rescues.at(50).Seconds(), h.rescues.at(99).Seconds(), h.rescues.at(100).Seconds())
		}
		pause(ctx, time.Duration(float64(k.every)*(0.5+r.Float64())))
		s := k.seats[r.IntN(len(k.seats))]
		if r.IntN(2) == 0 {
			s.arm(r.IntN(8) == 0)
		} else {
			s.kill() // if it isn't the time for it, another is next
		}
	}
}

// feed enqueues the jobs, evenly over the time that the kills take.
func (k *killing) feed(ctx context.Context, r *rand.Rand) error {
	pauses := time.Duration(k.kills) * k.every / time.Duration(k.jobs)
	begun := time.Now()
	for i := 0; i < k.jobs; {
		var tasks []task
		for range min(1+r.IntN(20), k.jobs-i) {
			tasks = append(tasks, k.task(r, i))
			i++
		}
		if err := k.enqueue(ctx, &k.accepted, tasks...); err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
		pause(ctx, time.Until(begun.Add(time.Duration(i)*pauses)))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// task is of any kind: on one of three queues, with a row or without, a fifth of those on shared ones Python's.
func (k *killing) task(r *rand.Rand, i int) task {
	t := task{way: []way{byFrappe, bySubmit, plainly}[r.IntN(3)], queue: []string{own, shared, first}[r.IntN(3)], params: params{fmt.Sprint("job-", i), r.IntN(600)}}
	switch {
	case t.queue != own && r.IntN(5) == 0:
		t.way, t.MS = forPython, t.MS/10
	case t.way == bySubmit && k.plainIDs():
		t.way = byFrappe // a row's delivery has an id that this RQ can't read
	}
	return t
}

// killReport puts together what was found on all benches.
func killReport(o *options, findings []finding, ms *moments) (r report) {
	var wrong []string
	poisoned, python, kills, jobs := 0, 0, 0, 0
	for _, f := range findings {
		r.Lines = append(r.Lines, f.line)
		wrong = append(wrong, f.wrong...)
		poisoned += f.poisoned
		python += f.python
	}
	for range len(findings) - 1 {
		kills, jobs = kills+o.many(killsEach, 12), jobs+o.many(jobsEach, 200)
	}
	all := sum(r.Lines)
	hit, moments := ms.died()
	r.Figures = []figure{
		atLeast("kill -9", float64(all.Kills), float64(kills), "", fmt.Sprintf("half of them at %d of %d moments: before and after each kind of command", hit, moments)),
		atLeast("jobs", float64(all.Jobs), float64(jobs), "", "with rows and without, on own, shared and first queues, Python workers beside"),
		atMost("lost", float64(all.Lost), 0, "jobs", ""),
		atMost("stuck", float64(all.Stuck), 0, "jobs", ""),
		atMost("failed", float64(all.Failed), 0, "jobs", fmt.Sprintf("%d were hit three times and are dead letters, by design", poisoned)),
		atMost("Python's jobs that did not end well", float64(python), 0, "jobs", ""),
		atMost("what else is wrong: runs that no death explains, retries spent, logs, lists, bridges that fell", float64(len(wrong)), 0, "", strings.Join(wrong[:min(len(wrong), 3)], "; ")),
	}
	r.Figures = append(r.Figures, atLeast("jobs that were cut short", float64(len(all.Rescues)), float64(o.many(200, 0)), "jobs", ""))
	among, alone := sum(r.Lines[:len(findings)-1]).Rescues, r.Lines[len(findings)-1].Rescues
	for _, d := range []struct {
		who string
		durations
		p50 time.Duration
	}{{"others beside it", among, 2 * time.Second}, {"a bridge alone, started again at once", alone, 3 * time.Second}} {
		r.Figures = append(r.Figures,
			o.inTime("from a kill to the second start, p50: "+d.who, d.at(50), d.p50, fmt.Sprintf("%d jobs were cut short", len(d.durations))),
			o.inTime("from a kill to the second start, p99: "+d.who, d.at(99), 4*time.Second, fmt.Sprintf("slowest %.2f s", d.at(100).Seconds())))
	}
	return r
}
