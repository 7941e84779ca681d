package maintenance

import (
	"context"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	// LookForDead is how often processes that fell silent are looked for: so long after its death one is silent at most.
	LookForDead = 500 * time.Millisecond
	// silence is how long a process has to be silent in every look: a lost connection is there again by then, and who asks
	// meanwhile is alive.
	silence = time.Second
	// newPeriod is for how long a process has to be heard and to look itself before it takes anybody for dead. Who lost his
	// own connection, could not ask or was stopped knows nothing of the others: they may have lost theirs just as well.
	newPeriod = 3 * time.Second
	// blind is how far apart two looks may be: what was between them was looked at by nobody.
	blind = 2 * time.Second
)

// vigil says which processes are dead, by the clock of the one that looks.
type vigil struct {
	last  time.Time            // of the looks that had an answer
	since time.Time            // from when on all looks had one, and found this process heard
	fell  map[string]time.Time // by process, when it was first found silent
	// buried are dead processes that nothing is left of.
	buried map[string]bool
	// steady says whether Redis has been the same for newPeriod, so that nobody has lost a connection with it: a process that has
	// just started, and has lost none itself, need not wait for others then. asked is when it was answered.
	steady func(context.Context) bool
	asked  bool
}

// dead looks once. It names processes again and again until they are buried.
func (v *vigil) dead(ctx context.Context, silent func(context.Context, string) (bool, []string, error), self string) ([]string, error) {
	heard, names, err := silent(ctx, self)
	now := time.Now()
	fresh := !v.asked && err == nil && heard
	if err != nil || !heard || now.Sub(v.last) > blind {
		*v = vigil{since: now, buried: v.buried, steady: v.steady, asked: v.asked || err != nil}
	}
	if v.asked = v.asked || fresh; fresh && v.steady(ctx) {
		v.since = now.Add(-newPeriod)
	}
	if rqcompat.Judge(err) == rqcompat.Denied {
		return nil, nil // bridge doctor says so; leases remain
	}
	if err != nil {
		return nil, err
	}
	v.last = now
	fell, buried := map[string]time.Time{}, map[string]bool{}
	var dead []string
	for _, name := range names {
		first, known := v.fell[name]
		if !known {
			first = now
		}
		fell[name] = first
		switch {
		case v.buried[name]:
			buried[name] = true
		case now.Sub(first) >= silence && now.Sub(v.since) >= newPeriod:
			dead = append(dead, name)
		}
	}
	v.fell, v.buried = fell, buried
	return dead, nil
}

// bury ends the looking for what a dead process left.
func (v *vigil) bury(name string) { v.buried[name] = true }

// rescueOf gives back what processes left that died, on every queue.
func (s *Rescue) rescueOf(ctx context.Context, dead []string) error {
	left, ran := map[string][]rqcompat.LapsedJob{}, map[string][]string{} // by queue, by process
	for _, q := range s.Queues {
		jobs, err := s.RQ.LeftBy(ctx, q.Name, dead)
		if err != nil {
			return err
		}
		left[q.Name] = jobs
		for _, l := range jobs {
			process := workers.ProcessOf(l.WorkerName)
			ran[process] = append(ran[process], l.ID)
		}
	}
	for _, name := range dead {
		if len(ran[name]) == 0 {
			s.vigil.bury(name)
		} else if s.lost[name] == nil {
			s.lose(name, ran[name])
		}
	}
	return each(s.Queues, func(q job.Queue) error { return s.rescue(ctx, q, left[q.Name]) })
}
