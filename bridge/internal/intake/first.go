package intake

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// undecidedFor is how long a popped job may stay undecided: its row may be committed a moment later. Then it goes back,
// since it may be Python's.
const undecidedFor = time.Second

// First keeps the jobs of a shared queue that are ours from idle Python workers: its waiters pop what is pushed, and what
// isn't ours goes back at once.
type First struct {
	Queue  job.Queue
	Pop    func(ctx context.Context, judge func(ctx context.Context, popped []string) (back []string, err error)) error
	Fetch  func(ctx context.Context, ids []string) ([]*rqcompat.FetchResult, error)
	Router Router
	// Ask asks the policy about jobs that it holds.
	Ask  func(context.Context, policy.Question) policy.Answer
	Fair *FairQueue
	// Paused says that nothing is to be taken from the queue for now.
	Paused func(ctx context.Context, queue string) bool
	Log    *slog.Logger

	undecided map[string]undecided // of the popped jobs
	aside     *route.Aside         // those that take too much to keep the others
	list      string               // where popped jobs stand
}

// NewFirst prepares a First.
func NewFirst(f First) *First {
	f.list = rqcompat.FirstKey(f.Queue.Name)
	f.aside = newAside(f.Queue, f.Router, f.Log, func() {})
	return &f
}

// Run waits until ctx ends.
func (f *First) Run(ctx context.Context) {
	var aside sync.WaitGroup
	defer aside.Wait() // it ends with ctx
	aside.Go(func() { f.aside.Run(ctx) })
	pause := wait.Backoff{Log: f.Log.With("queue", f.Queue.Name), What: "nobody of the bridge waits before Python's workers"}
	for ctx.Err() == nil {
		if f.Paused(ctx, f.Queue.Name) {
			wait.Sleep(ctx, policy.SuspensionPoll)
			continue
		}
		if err := f.Pop(ctx, f.judge); errors.Is(err, errPaused) {
			continue
		} else if err != nil {
			pause.Failed(ctx, err)
			continue
		}
		pause.Succeeded()
	}
}

// errPaused ends the waiting: all that was popped goes back.
var errPaused = errors.New("the queue is paused")

// judge takes up what is ours and returns what isn't. What waits for a slot already isn't looked at again.
func (f *First) judge(ctx context.Context, popped []string) (back []string, err error) {
	if f.Paused(ctx, f.Queue.Name) {
		return nil, errPaused
	}
	var mine []*job.Queued
	defer func() { f.Fair.Add(mine...) }()
	still, now := map[string]undecided{}, time.Now()
	settle := func(r route.Routed) {
		if r.Verdict == route.Unready || r.Verdict == route.Held {
			still[r.ID] = undecidedAt(now, r)
		}
		switch {
		case r.Verdict == route.Ours:
			r.From = f.list
			mine = append(mine, r.Queued)
		case r.Verdict == route.Foreign, r.Verdict == route.Unready && time.Since(r.Seen) >= undecidedFor:
			back = append(back, r.ID)
		}
	}
	taken := map[string]bool{} // just now
	for _, r := range f.aside.Take() {
		taken[r.ID] = true
		settle(r)
	}
	var ids []string
	asking := asking{ask: f.Ask, now: now}
	for _, id := range popped {
		if f.Fair.has(job.Key{Queue: f.Queue.Name, ID: id}) || f.aside.Has(id) || taken[id] {
			continue
		}
		if u := f.undecided[id]; !u.read.IsZero() && (now.Before(u.again) || asking.holds(ctx, &u)) {
			still[id] = u
			continue
		}
		ids = append(ids, id)
	}
	found, err := f.read(ctx, ids, now)
	if err != nil {
		return back, err
	}
	f.undecided = still
	if len(found) == 0 {
		return back, nil
	}
	for i, r := range f.Router.Route(ctx, f.Queue, found) {
		if r.Verdict == route.Heavy {
			f.aside.Add(found[i])
		}
		settle(r)
	}
	return back, nil
}

// read fetches jobs and says since when each is undecided.
func (f *First) read(ctx context.Context, ids []string, now time.Time) ([]route.Found, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	fetched, err := f.Fetch(ctx, ids)
	if err != nil {
		return nil, err
	}
	return asFound(ids, fetched, func(i int) time.Time {
		if u, again := f.undecided[ids[i]]; again {
			return u.seen
		}
		return now
	}), nil
}
