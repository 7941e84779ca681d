package bridge

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Step 1: claim. A scout per queue keeps a copy of its list and has each new
// job decoded once (route.go); the claimer deals out what could start
// (turns.go) and claims it by id. Nothing is ever popped blindly, so there is
// no moment at which a job is nowhere, and what isn't ours stays in its place.

const (
	// scoutBatch is how many new jobs are read in one round trip.
	scoutBatch = 200
	// claimBatch is how many jobs one script claims at most.
	claimBatch = 128
	// ownPoll and sharedPoll are how often a list that isn't empty is looked at.
	// An empty one is waited for without polling.
	ownPoll    = 10 * time.Millisecond
	sharedPoll = 25 * time.Millisecond
	// suspendedPoll is how often rq:suspended is looked at, as RQ's workers do.
	suspendedPoll = time.Second
)

// scout watches one queue.
type scout struct {
	router
	mirror *rqcompat.Mirror
	waiter *rqcompat.Waiter
	// waiting are the undecided jobs of the queue, by id.
	waiting map[string]postponed
	// next is when the first of them is looked at again.
	next time.Time
	// hungry gets a token when the claimer has nothing left to deal.
	hungry chan struct{}

	mu sync.Mutex
	// dealt are the ids that the claimer dealt out since the last look.
	dealt []string
}

// postponed is a job that can't be routed yet.
type postponed struct{ seen, again time.Time }

func (e *Engine) newScout(q watched) *scout {
	return &scout{
		router:  router{e: e, queue: q},
		mirror:  e.rq.NewMirror(q.name),
		waiter:  e.rq.NewWaiter(),
		waiting: map[string]postponed{},
		hungry:  make(chan struct{}, 1),
	}
}

// run looks until ctx ends. A Redis that is away is asked again, ever slower;
// what was seen before stays valid.
func (s *scout) run(ctx context.Context) {
	defer s.waiter.Close()
	pause := backoff{log: s.e.log.With().Str("queue", s.queue.name).Logger(), what: "queue can't be read"}
	for ctx.Err() == nil {
		if err := s.look(ctx); err != nil {
			pause.failed(ctx, err)
			continue
		}
		pause.succeeded()
		s.rest(ctx)
	}
}

// forget notes that the claimer dealt out a job. One that is back on its list
// before the next look, as a retried one may be, must count as new then.
func (s *scout) forget(id string) {
	s.mu.Lock()
	s.dealt = append(s.dealt, id)
	s.mu.Unlock()
}

// look brings the copy of the list up to date and routes what is new.
func (s *scout) look(ctx context.Context) error {
	s.mu.Lock()
	for _, id := range s.dealt {
		s.mirror.Drop(id)
	}
	s.dealt = s.dealt[:0]
	s.mu.Unlock()
	added, removed, err := s.mirror.Sync(ctx)
	if err != nil {
		return err
	}
	s.e.turns.drop(s.queue.name, removed...)
	for _, id := range removed {
		delete(s.waiting, id)
	}
	now := time.Now()
	again := s.due(now)
	left := slices.Concat(again, added)
	for len(left) > 0 {
		n := min(len(left), scoutBatch)
		if err := s.sift(ctx, left[:n], now); err != nil {
			// All that is left is looked at again, as if it were undecided: the
			// mirror won't name it as new a second time.
			for _, id := range left {
				if _, known := s.waiting[id]; !known {
					s.postpone(id, now, now)
				}
			}
			return err
		}
		left = left[n:]
	}
	return nil
}

func (s *scout) postpone(id string, seen, again time.Time) {
	s.waiting[id] = postponed{seen, again}
	if len(s.waiting) == 1 || again.Before(s.next) {
		s.next = again
	}
}

// due lists the undecided jobs whose time has come.
func (s *scout) due(now time.Time) (ids []string) {
	if len(s.waiting) == 0 || now.Before(s.next) {
		return nil
	}
	s.next = now.Add(later)
	for id, p := range s.waiting {
		if !now.Before(p.again) {
			ids = append(ids, id)
		} else if p.again.Before(s.next) {
			s.next = p.again
		}
	}
	return ids
}

// sift reads jobs, routes them and adds those that are ours to the turns.
func (s *scout) sift(ctx context.Context, ids []string, now time.Time) error {
	fetched, err := s.e.rq.FetchMany(ctx, ids)
	if err != nil {
		return err
	}
	fs := make([]found, 0, len(ids))
	for i, f := range fetched {
		if f.Job == nil {
			// An id without a hash: RQ drops it silently, and so does the claim.
			f.Job = &rqcompat.Job{ID: ids[i]}
		}
		seen := now
		if earlier, ok := s.waiting[ids[i]]; ok {
			seen = earlier.seen
		}
		fs = append(fs, found{job: f.Job, fault: f.Err, seen: seen})
	}
	var mine []*work
	for _, r := range s.route(ctx, fs) {
		if r.verdict == undecided {
			s.postpone(r.work.id, r.seen, now.Add(r.again))
			continue
		}
		delete(s.waiting, r.work.id)
		if r.verdict == ours {
			mine = append(mine, r.work)
		}
	}
	s.e.turns.add(mine...)
	return nil
}

// rest waits until the list may have changed.
func (s *scout) rest(ctx context.Context) {
	if s.mirror.Len() == 0 {
		// An error shows again in the next look.
		_, _ = s.waiter.Wait(ctx, s.queue.name, 5*time.Second)
		return
	}
	poll := sharedPoll
	if s.queue.own {
		poll = ownPoll
	}
	timer := time.NewTimer(poll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-s.hungry:
	}
}

// claim runs until ctx ends: it waits for work and for a free slot, and claims.
func (e *Engine) claim(ctx context.Context, scouts []*scout) {
	pause := backoff{log: e.log, what: "jobs can't be claimed"}
	var suspension suspension
	for ctx.Err() == nil {
		if e.turns.empty() {
			for _, s := range scouts {
				signal(s.hungry)
			}
			if !await(ctx, e.turns.filled) {
				return
			}
			continue
		}
		free := e.slots.take(claimBatch)
		if len(free) == 0 {
			if !await(ctx, e.slots.freed) {
				return
			}
			continue
		}
		if suspension.holds(ctx, e) || ctx.Err() != nil {
			e.slots.putBack(free)
			continue
		}
		if err := e.claimBatch(ctx, e.turns.deal(len(free)), free, scouts); err != nil {
			pause.failed(ctx, err)
			continue
		}
		pause.succeeded()
	}
}

// claimBatch claims the dealt jobs for as many slots and starts what was won.
func (e *Engine) claimBatch(ctx context.Context, dealt []*work, free []*slot, scouts []*scout) error {
	e.slots.putBack(free[len(dealt):])
	free = free[:len(dealt)]
	if len(dealt) == 0 {
		return nil
	}
	startedAt := time.Now().Truncate(time.Microsecond)
	claims := make([]rqcompat.Claim, len(dealt))
	for i, w := range dealt {
		claims[i] = rqcompat.Claim{
			Queue: w.queue, ID: w.id, Worker: free[i].worker, Register: !free[i].registered,
			ExecutionID: rqcompat.NewExecutionID(),
		}
	}
	results, err := e.rq.Claim(ctx, claims, startedAt, time.Duration(e.cfg.Lease)+patience)
	// Also after an error: what is still in its list must be found again.
	for _, w := range dealt {
		i := slices.IndexFunc(scouts, func(s *scout) bool { return s.queue.name == w.queue })
		scouts[i].forget(w.id)
	}
	if err != nil {
		// Whether they were claimed isn't known. If they were, their leases lapse
		// and the sweep gives them back; the names must not be used again.
		for _, s := range free {
			e.slots.rename(s)
		}
		e.slots.giveBack(free...)
		return err
	}
	for i, result := range results {
		free[i].registered = free[i].registered || result == rqcompat.Claimed
		if result != rqcompat.Claimed {
			e.slots.giveBack(free[i])
			continue
		}
		e.start(dealt[i], free[i], claims[i].ExecutionID, startedAt)
	}
	return nil
}

// suspension remembers for a moment whether RQ's workers are suspended.
type suspension struct {
	checked time.Time
	on      bool
}

func (s *suspension) holds(ctx context.Context, e *Engine) bool {
	if s.on {
		sleep(ctx, suspendedPoll)
	}
	if !s.on && time.Since(s.checked) < suspendedPoll {
		return false
	}
	on, err := e.rq.Suspended(ctx)
	if err != nil {
		return s.on // the claim will say what is wrong
	}
	if on != s.on {
		e.log.Info().Bool("suspended", on).Msg("rq suspension changed")
	}
	s.on, s.checked = on, time.Now()
	return s.on
}

// await waits for a token; false means ctx ended first.
func await(ctx context.Context, ch <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-ch:
		return true
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
