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
	Unread() bool
	ReadOn(ctx context.Context) (added, removed []string, err error)
	Place(id string) uint32
	At(place uint32) string
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
	// alike counts the undecided ones by what they wait for. The backlog has those of whom there are enough, recalled are
	// those that were in it and are to be routed again.
	alike     map[behind]int
	mostAlike int
	backlog   *backlog
	recalled  map[string]far
	// aside are those that take too much to keep the others.
	aside *route.Aside
	// hungry is raised when the claimer has nothing left to deal.
	hungry wait.Flag
	pulse  wait.Pulse

	mu sync.Mutex
	// dealt are the ids that the claimer dealt out since the last look, refused those that can't be claimed.
	dealt, refused []string
}

// NewPoller prepares a poller.
func NewPoller(params PollerParams) *Poller {
	p := &Poller{
		PollerParams: params, undecided: map[string]undecided{}, alike: map[behind]int{}, mostAlike: mostAlike, backlog: newBacklog(), recalled: map[string]far{},
		hungry: wait.NewFlag(),
	}
	p.aside = newAside(params.Queue, params.Router, params.Log, p.hungry.Raise)
	return p
}

func newAside(q job.Queue, r Router, log *slog.Logger, looked func()) *route.Aside {
	return route.NewAside(route.AsideParams{Alone: r.Alone, Queue: q, Looked: looked, Log: log})
}

// Run looks until ctx ends. A Redis that is away is asked again, ever slower; what was seen before stays valid.
func (p *Poller) Run(ctx context.Context) {
	defer p.Waiter.Close()
	defer p.pulse.Rest()
	var aside sync.WaitGroup
	defer aside.Wait() // it ends with ctx
	aside.Go(func() { p.aside.Run(ctx) })
	pause := wait.Backoff{Log: p.Log.With("queue", p.Queue.Name), What: "queue can't be read"}
	for ctx.Err() == nil {
		p.pulse.Beat()
		if p.Paused(ctx, p.Queue.Name) {
			p.letGo()
			wait.Sleep(ctx, policy.SuspensionPoll)
			continue
		}
		more, err := p.look(ctx)
		if err != nil {
			pause.Failed(ctx, err)
			continue
		}
		if pause.Succeeded(); !more {
			p.rest(ctx)
		}
	}
}

// Round is how long the present look has taken, since it last asked Redis; 0 if nobody looks.
func (p *Poller) Round() time.Duration { return p.pulse.Round() }

// letGo forgets what was seen, as if the queue had never been looked at.
func (p *Poller) letGo() {
	p.Fair.dropQueue(p.Queue.Name)
	p.List.Clear()
	p.aside.Clear()
	clear(p.undecided)
	clear(p.alike)
	clear(p.recalled)
	p.backlog.clear()
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

// look brings the copy of the list up to date and routes what is new, and then one page of a list that isn't known yet. However
// much that is, what comes meanwhile is seen after each round trip and doesn't wait for all of it. more says that the next
// page is worth no rest.
func (p *Poller) look(ctx context.Context) (more bool, err error) {
	left, err := p.join(ctx, nil)
	if err != nil {
		return false, err
	}
	if err = p.siftAll(ctx, slices.Concat(p.due(ctx, time.Now()), left)); err != nil || !p.List.Unread() {
		return false, err
	}
	added, removed, err := p.List.ReadOn(ctx)
	if err != nil {
		return false, err
	}
	p.gone(removed)
	return len(added) > 0 && p.List.Unread(), p.siftAll(ctx, added)
}

// siftAll routes jobs, and what comes meanwhile.
func (p *Poller) siftAll(ctx context.Context, left []string) (err error) {
	now := time.Now()
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
				u, known := p.undecided[id]
				if u.again = now; !known {
					u.seen = p.seen(id, now)
				}
				p.postpone(id, u)
			}
			return err
		}
	}
	return nil
}

// seen is when a job was first seen that is routed now.
func (p *Poller) seen(id string, now time.Time) time.Time {
	if u, known := p.undecided[id]; known {
		return u.seen
	}
	if j, known := p.recalled[id]; known {
		return p.backlog.seen(j)
	}
	return now
}

// see brings the copy of the list up to date.
func (p *Poller) see(ctx context.Context) (added, removed []string, err error) {
	p.pulse.Beat()
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
	p.gone(removed)
	now := time.Now()
	for _, r := range p.aside.Take() {
		if p.settle(r, now) {
			p.offer([]*job.Queued{r.Queued})
		}
	}
	return added, removed, nil
}

// gone forgets what has left the list by other hands.
func (p *Poller) gone(removed []string) {
	p.Fair.drop(p.Queue.Name, removed...)
	p.aside.Forget(removed...)
	for _, id := range removed {
		p.decided(id)
		delete(p.recalled, id)
	}
}

// join adds to what is left to be routed what has come since, for which half of the next round trip is, and those whose turn
// comes nearer.
func (p *Poller) join(ctx context.Context, left []string) ([]string, error) {
	added, removed, err := p.see(ctx)
	if err != nil {
		return left, err
	}
	if len(removed) > 0 {
		gone := map[string]bool{}
		for _, id := range removed {
			gone[id] = true
		}
		left = slices.DeleteFunc(left, func(id string) bool { return gone[id] })
	}
	if nearer := p.recall(); len(added)+len(nearer) > 0 {
		first := min(len(added), fetchBatch/2)
		left = slices.Concat(added[:first], nearer, left, added[first:])
	}
	return left, nil
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
	found := asFound(ids, fetched, func(i int) time.Time { return p.seen(ids[i], now) })
	var mine []*job.Queued
	for i, r := range p.Router.Route(ctx, p.Queue, found) {
		if r.Verdict == route.Heavy {
			p.aside.Add(found[i])
		}
		if p.settle(r, now) {
			mine = append(mine, r.Queued)
		}
	}
	p.offer(mine) // at once, so that one claim can have them all
	for _, id := range ids {
		delete(p.recalled, id)
	}
	return nil
}

// settle does what routing says of a job, and reports whether it is ours.
func (p *Poller) settle(r route.Routed, now time.Time) bool {
	if r.Verdict == route.Unready || r.Verdict == route.Held {
		p.putOff(r, now)
		return false
	}
	p.decided(r.ID)
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
