// Package intake has steps 1 and 3 of a job's life: see and claim. A poller per queue keeps a copy of its list and has
// each new job routed once (step 2, package route); the fair queue deals out what could start; the claimer claims it by
// id. Nothing is popped blindly: there is no moment at which a job is nowhere, and what isn't ours stays in its place, as
// does what a limit holds (gate).
package intake

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	// fetchBatch is how many new jobs are read in one round trip.
	fetchBatch = 200
	// ownPoll and sharedPoll are how often a list is looked at. An empty one is waited for without polling.
	ownPoll    = 10 * time.Millisecond
	sharedPoll = 25 * time.Millisecond
	// longestWait is how long an empty list is waited for before it is looked at anyway.
	longestWait = 5 * time.Second
)

// List is the copy of a queue's list, see rqcompat.Mirror.
type List interface {
	Sync(ctx context.Context) (added, removed []string, err error)
	Drop(id string)
	Clear()
	Len() int
}

// Waiter waits for a list that is empty, see rqcompat.Waiter.
type Waiter interface {
	Wait(ctx context.Context, queue string, most time.Duration) (bool, error)
	Close() error
}

// Router is step 2, see route.Router.
type Router interface {
	Route(ctx context.Context, queue job.Queue, found []route.Found) []route.Routed
	Alone(ctx context.Context, queue job.Queue, f route.Found) (route.Routed, error)
}

// PollerParams are what a poller needs.
type PollerParams struct {
	Queue  job.Queue
	List   List
	Waiter Waiter
	Fetch  func(ctx context.Context, ids []string) ([]*rqcompat.FetchResult, error)
	Router Router
	// Ask asks the policy about jobs that it holds.
	Ask  func(context.Context, policy.Question) policy.Answer
	Fair *FairQueue
	// Paused says that nothing is to be taken from the queue for now.
	Paused func(ctx context.Context, queue string) bool
	Log    *slog.Logger
}

// Poller watches one queue: it copies the list, has each new id routed, and hands what is ours to the fair queue.
type Poller struct {
	PollerParams
	// undecided are the jobs that are looked at again, by id; next is when the first of them is.
	undecided map[string]undecided
	next      time.Time
	// aside are those that take too much to keep the others.
	aside *route.Aside
	// hungry is raised when the claimer has nothing left to deal.
	hungry wait.Flag

	mu sync.Mutex
	// dealt are the ids that the claimer dealt out since the last look, refused those that can't be claimed.
	dealt, refused []string
}

// NewPoller prepares a poller.
func NewPoller(params PollerParams) *Poller {
	p := &Poller{PollerParams: params, undecided: map[string]undecided{}, hungry: wait.NewFlag()}
	p.aside = newAside(params.Queue, params.Router, params.Log, p.hungry.Raise)
	return p
}

func newAside(q job.Queue, r Router, log *slog.Logger, looked func()) *route.Aside {
	return route.NewAside(route.AsideParams{Alone: r.Alone, Queue: q, Looked: looked, Log: log})
}

// Run looks until ctx ends. A Redis that is away is asked again, ever slower; what was seen before stays valid.
func (p *Poller) Run(ctx context.Context) {
	defer p.Waiter.Close()
	var aside sync.WaitGroup
	defer aside.Wait() // it ends with ctx
	aside.Go(func() { p.aside.Run(ctx) })
	pause := wait.Backoff{Log: p.Log.With("queue", p.Queue.Name), What: "queue can't be read"}
	for ctx.Err() == nil {
		if p.Paused(ctx, p.Queue.Name) {
			p.letGo()
			wait.Sleep(ctx, policy.SuspensionPoll)
			continue
		}
		if err := p.look(ctx); err != nil {
			pause.Failed(ctx, err)
			continue
		}
		pause.Succeeded()
		p.rest(ctx)
	}
}

// letGo forgets what was seen, as if the queue had never been looked at.
func (p *Poller) letGo() {
	p.Fair.dropQueue(p.Queue.Name)
	p.List.Clear()
	p.aside.Clear()
	clear(p.undecided)
}

// forget notes that the claimer dealt out a job. If it is back on its list at the next look, it must count as new.
func (p *Poller) forget(id string) {
	p.mu.Lock()
	p.dealt = append(p.dealt, id)
	p.mu.Unlock()
}

// refusedPause is how long a job that can't be claimed is left alone.
const refusedPause = 5 * time.Second

// refuse notes that a job can't be claimed as it is.
func (p *Poller) refuse(id string) {
	p.mu.Lock()
	p.refused = append(p.refused, id)
	p.mu.Unlock()
}

// look brings the copy of the list up to date and routes what is new. However much that is, what comes meanwhile is seen
// after each round trip and doesn't wait for all of it.
func (p *Poller) look(ctx context.Context) error {
	added, _, err := p.see(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	left := slices.Concat(p.due(ctx, now), added)
	for len(left) > 0 {
		n := min(len(left), fetchBatch)
		if err = p.sift(ctx, left[:n], now); err == nil {
			if left = left[n:]; len(left) == 0 {
				return nil
			}
			now = time.Now()
			left, err = p.join(ctx, left)
		}
		if err != nil {
			// All that is left is looked at again, as if it were undecided: the list won't name it as new a second time.
			for _, id := range left {
				seen := now
				if u, known := p.undecided[id]; known {
					seen = u.seen
				}
				p.postpone(id, undecided{seen: seen, again: now})
			}
			return err
		}
	}
	return nil
}

// see brings the copy of the list up to date.
func (p *Poller) see(ctx context.Context) (added, removed []string, err error) {
	p.mu.Lock()
	for _, id := range p.dealt {
		p.List.Drop(id)
	}
	p.dealt = p.dealt[:0]
	for _, id := range p.refused {
		p.postpone(id, undecided{seen: time.Now(), again: time.Now().Add(refusedPause)})
	}
	p.refused = p.refused[:0]
	p.mu.Unlock()
	added, removed, err = p.List.Sync(ctx)
	if err != nil {
		return nil, nil, err
	}
	p.Fair.drop(p.Queue.Name, removed...)
	p.aside.Forget(removed...)
	for _, id := range removed {
		delete(p.undecided, id)
	}
	now := time.Now()
	for _, r := range p.aside.Take() {
		if p.settle(r, now) {
			p.Fair.Add(r.Queued)
		}
	}
	return added, removed, nil
}

// join adds to what is left to be routed what has come since: half of the next round trip is for that.
func (p *Poller) join(ctx context.Context, left []string) ([]string, error) {
	added, removed, err := p.see(ctx)
	if len(removed) > 0 {
		gone := map[string]bool{}
		for _, id := range removed {
			gone[id] = true
		}
		left = slices.DeleteFunc(left, func(id string) bool { return gone[id] })
	}
	if len(added) > 0 {
		first := min(len(added), fetchBatch/2)
		left = slices.Concat(added[:first], left, added[first:])
	}
	return left, err
}

func (p *Poller) postpone(id string, u undecided) {
	p.undecided[id] = u
	p.next = earlier(p.next, u.again)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// due lists the undecided jobs whose time has come, but for those that policy still holds.
func (p *Poller) due(ctx context.Context, now time.Time) (ids []string) {
	if len(p.undecided) == 0 || now.Before(p.next) {
		return nil
	}
	p.next = now.Add(policy.Later)
	asking := asking{ask: p.Ask, now: now}
	for id, u := range p.undecided {
		switch {
		case now.Before(u.again):
			p.next = earlier(p.next, u.again)
		case asking.holds(ctx, &u):
			p.postpone(id, u)
		default:
			ids = append(ids, id)
		}
	}
	return ids
}

// asFound pairs jobs that were fetched with when the i-th id was first seen.
func asFound(ids []string, fetched []*rqcompat.FetchResult, seen func(i int) time.Time) []route.Found {
	found := make([]route.Found, len(ids))
	for i, f := range fetched {
		found[i] = route.Found{Job: f.Job, Fault: f.Err, Seen: seen(i)}
		if f.Job == nil {
			// An id without a hash: RQ drops it silently, and so does the claim.
			found[i].Job = &rqcompat.Job{ID: ids[i]}
		}
	}
	return found
}

// sift reads jobs, routes them and adds those that are ours to the fair queue.
func (p *Poller) sift(ctx context.Context, ids []string, now time.Time) error {
	fetched, err := p.Fetch(ctx, ids)
	if err != nil {
		return err
	}
	found := asFound(ids, fetched, func(i int) time.Time {
		if earlier, ok := p.undecided[ids[i]]; ok {
			return earlier.seen
		}
		return now
	})
	var mine []*job.Queued
	for i, r := range p.Router.Route(ctx, p.Queue, found) {
		if r.Verdict == route.Heavy {
			p.aside.Add(found[i])
		}
		if p.settle(r, now) {
			mine = append(mine, r.Queued)
		}
	}
	p.Fair.Add(mine...) // at once, so that one claim can have them all
	return nil
}

// settle does what routing says of a job, and reports whether it is ours.
func (p *Poller) settle(r route.Routed, now time.Time) bool {
	if r.Verdict == route.Unready || r.Verdict == route.Held {
		p.postpone(r.ID, undecidedAt(now, r))
		return false
	}
	delete(p.undecided, r.ID)
	return r.Verdict == route.Ours
}

// rest waits until the list may have changed.
func (p *Poller) rest(ctx context.Context) {
	if p.List.Len() == 0 {
		// An error shows again in the next look.
		_, _ = p.Waiter.Wait(ctx, p.Queue.Name, longestWait)
		return
	}
	poll := sharedPoll
	if p.Queue.Own {
		poll = ownPoll
	}
	p.hungry.Within(ctx, poll)
}
