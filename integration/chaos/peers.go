package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	// peerKills and peerJobs are there for each peer.
	peerKills, peerJobs = 40, 800
	peerKillEvery       = 2500 * time.Millisecond
	// rqTimeout is that of Python's jobs, of which RQ's leases last a minute longer; rqPatience is when all have lapsed.
	rqTimeout, rqPatience = 10, 80 * time.Second
	// asynqPatience is what asynq needs for its lease, its look for lapsed ones and its pause before a retry, and as long again.
	asynqPatience = 4 * time.Minute
)

// python are the queue types that Python's workers work.
var pythonQueues = []string{shared, first, "long"}

// killPeers kills those who do such work today: Python's workers, with each version of RQ, and asynq.
func killPeers(ctx context.Context, o *options) (r report, err error) {
	versions := o.versions
	if o.short {
		versions = versions[:1]
	}
	mariadb, err := servers.StartMariaDB(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, mariadb.Stop()) }()
	reports, errs := make([]report, len(versions)+1), make([]error, len(versions)+1)
	var all sync.WaitGroup
	benches := make(chan struct{}, atOnce)
	for i, version := range versions {
		all.Go(func() {
			benches <- struct{}{}
			defer func() { <-benches }()
			reports[i], errs[i] = killPython(ctx, o, version, mariadb, rand.New(rand.NewPCG(o.seed, uint64(100+i))))
		})
	}
	all.Go(func() {
		reports[len(versions)], errs[len(versions)] = killAsynq(ctx, o, versions[0], mariadb, rand.New(rand.NewPCG(o.seed, 200)))
	})
	all.Wait()
	for _, one := range reports {
		r.Lines, r.Figures = append(r.Lines, one.Lines...), append(r.Figures, one.Figures...)
	}
	return r, errors.Join(errs...)
}

// victims are some workers of a peer, each of which is started anew when it dies.
type victims struct {
	mu      sync.Mutex
	live    map[int]*worker
	running sync.WaitGroup
	fault   error
}

// keep keeps as many alive until ctx ends; call wait then.
func keep(ctx context.Context, n int, start func() (*worker, error)) *victims {
	v := &victims{live: map[int]*worker{}}
	for i := range n {
		v.running.Go(func() {
			for ctx.Err() == nil {
				w, err := start()
				v.mu.Lock()
				v.live[i], v.fault = w, errors.Join(v.fault, err)
				v.mu.Unlock()
				if err != nil {
					return
				}
				select {
				case <-ctx.Done():
					w.Kill()
					return
				case <-w.Done():
				}
			}
		})
	}
	return v
}

// kill kills one, with its children.
func (v *victims) kill(r *rand.Rand) {
	v.mu.Lock()
	w := v.live[r.IntN(len(v.live))]
	v.mu.Unlock()
	if w != nil && w.Ended() == nil {
		_ = w.kill() // one that has just died is as good
	}
}

func (v *victims) wait() error {
	v.running.Wait()
	return v.fault
}

// killPython kills Python's workers, with the children in which they run jobs; half of them at the moments that victim.py knows.
// When RQ has had the time to mend what it mends, guard has to name the rest, and to bring it back.
func killPython(ctx context.Context, o *options, version string, mariadb *servers.MariaDB, rnd *rand.Rand) (r report, err error) {
	b, err := newBed(ctx, o, version, bedOptions{mariadb: mariadb})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	running, stop := context.WithCancel(ctx)
	defer stop()
	v := keep(running, seats, func() (*worker, error) { return b.startPython("forking", pythonQueues...) })
	var j jobs
	moments := []string{"popped", "prepared", "forked", "started", "ran"}
	n, kills := o.many(peerJobs, 40), o.many(peerKills, 4)
	for i := 0; i < n && ctx.Err() == nil; i++ {
		t := task{way: forPython, queue: pythonQueues[rnd.IntN(len(pythonQueues))], params: params{fmt.Sprint("job-", i), rnd.IntN(600)}}
		if i%(2*n/kills) == 0 {
			b.rdb.Set(ctx, "test:moment:"+moments[rnd.IntN(len(moments))]+":"+b.jobID(t.Key), 1, 0)
		}
		if err := b.enqueue(ctx, &j, t); err != nil {
			return r, err
		}
		if i%(2*n/kills) == n/kills {
			v.kill(rnd)
		}
		pause(ctx, peerKillEvery*time.Duration(kills)/time.Duration(n))
	}
	o.say("Python with RQ %s: %d jobs; waiting for what RQ mends by itself", version, j.len())
	until(ctx, 2*time.Minute, func() bool { return b.drained(ctx, pythonQueues) }) // the last one dies when its job is taken
	pause(ctx, o.lasting(rqPatience, 2*time.Second))
	// Its maintenance comes every ten minutes; here it is asked for, until it has nothing left to do.
	for range 2 {
		if err := b.peer.Ask("work.clean", map[string]any{"queues": b.queues(pythonQueues)}, nil); err != nil {
			return r, err
		}
		pause(ctx, o.lasting(5*time.Second, time.Second))
	}
	l, lost, err := b.pythonLine(ctx, &j)
	if err != nil {
		return r, err
	}
	r.Lines = []line{l}
	if !o.short { // where RQ's leases have not lapsed
		r.Figures, err = b.guardFinds(ctx, lost)
	}
	stop()
	return r, errors.Join(err, v.wait())
}

// jobID is the id of a job that frappe.enqueue is given this one for.
func (b *bed) jobID(id string) string {
	if b.plainIDs() {
		return id
	}
	return b.bench.JobID(site, id)
}

// queues are the RQ queues of queue types.
func (b *bed) queues(types []string) (names []string) {
	for _, t := range types {
		names = append(names, b.queue(t))
	}
	return names
}

// drained says that nothing waits on queues.
func (b *bed) drained(ctx context.Context, types []string) bool {
	return !slices.ContainsFunc(b.queues(types), func(q string) bool { return b.rdb.LLen(ctx, rqcompat.QueueKey(q)).Val() > 0 })
}

// pythonLine says what became of Python's jobs, by what RQ itself says of them; lost are the ids of those that wait nowhere and
// will never end.
func (b *bed) pythonLine(ctx context.Context, j *jobs) (l line, lost []string, err error) {
	h, err := b.ledger.history()
	if err != nil {
		return l, nil, err
	}
	l = line{Who: "RQ's workers", Version: b.version, Peer: true, Kills: h.kills, Jobs: j.len(), Rescues: h.rescues}
	waiting := map[string]bool{}
	for _, q := range b.queues(pythonQueues) {
		ids, err := b.rdb.LRange(ctx, rqcompat.QueueKey(q), 0, -1).Result()
		if err != nil {
			return l, nil, err
		}
		for _, id := range ids {
			waiting[id] = true
		}
	}
	for _, a := range j.list() {
		if len(h.runs[a.Key]) > 1 {
			l.Twice++
		}
		switch status := b.rdb.HGet(ctx, rqcompat.JobKey(a.id), "status").Val(); {
		case status == "finished":
		case status == "failed":
			l.Failed++
		case waiting[a.id]:
			l.Stuck++
		default:
			l.Lost++
			lost = append(lost, a.id)
		}
	}
	slices.Sort(lost)
	return l, lost, nil
}

// guardFinds has guard name what was lost, and bring it back.
func (b *bed) guardFinds(ctx context.Context, lost []string) ([]figure, error) {
	found, err := b.guard(ctx)
	if err != nil {
		return nil, err
	}
	missed := slices.DeleteFunc(slices.Clone(lost), func(id string) bool { return slices.Contains(found, id) })
	wrong := slices.DeleteFunc(found, func(id string) bool { return slices.Contains(lost, id) })
	for _, q := range b.queues(pythonQueues) {
		b.rdb.Del(ctx, rqcompat.CleanLockKey(q)) // which RQ 1.15 holds for a quarter of an hour
	}
	if _, err := b.guard(ctx, "--repair", shared, "--repair", first, "--repair", "long"); err != nil {
		return nil, err
	}
	still := func() (ids []string) {
		for _, id := range lost {
			if b.rdb.HGet(ctx, rqcompat.JobKey(id), "status").Val() != "finished" {
				ids = append(ids, id)
			}
		}
		return ids
	}
	until(ctx, time.Minute, func() bool { return len(still()) == 0 })
	who := "RQ " + b.version + ": "
	return []figure{
		atMost(who+"lost jobs that guard did not name", float64(len(missed)), 0, "jobs", strings.TrimSpace(fmt.Sprintf("of %d; ", len(lost))+strings.Join(missed, " "))),
		atMost(who+"jobs that guard named and that were not lost", float64(len(wrong)), 0, "jobs", strings.Join(wrong, " ")),
		atMost(who+"lost jobs that guard --repair did not bring back", float64(len(still())), 0, "jobs", strings.Join(still(), " ")),
	}, nil
}

// guard runs bridge guard, and returns the ids of the jobs that it names.
func (b *bed) guard(ctx context.Context, arguments ...string) (ids []string, err error) {
	cmd := exec.CommandContext(ctx, b.o.bridge, append([]string{"guard", "--bench", b.dir, "--json", "--grace", "5s"}, arguments...)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() != 5 {
		return nil, fmt.Errorf("guard: %w\n%s", err, exit.Stderr)
	} else if exit == nil && err != nil {
		return nil, err
	}
	var answer struct {
		Found []struct{ Kind, ID string }
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("guard said %q: %w", out, err)
	}
	for _, f := range answer.Found {
		if f.Kind != "worker" {
			ids = append(ids, f.ID)
		}
	}
	return ids, nil
}
