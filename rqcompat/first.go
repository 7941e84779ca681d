package rqcompat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	// firstBlock is the longest time that a waiter blocks. Blocked anew it stands behind all others.
	firstBlock = 30 * time.Second
	// firstLook is how often the list of popped ids is looked at although nothing was popped: another process may have
	// died with something in it.
	firstLook = 500 * time.Millisecond
	// firstSoon is how soon ids that judge left undecided are looked at again.
	firstSoon = 50 * time.Millisecond
	// firstBeat is how often waiters say that they are alive, firstSilence when they are taken for dead.
	firstBeat    = 500 * time.Millisecond
	firstSilence = 1500 * time.Millisecond
	// firstMost is how many popped ids may stand undecided or unclaimed before waiters pop no more: all of them are read and
	// judged again and again.
	firstMost = 1000
	// firstRotations is the shortest time between two times that idle Python workers are sent to the end of the line.
	firstRotations = 20 * time.Millisecond
)

var (
	firstBackScript   = newScript("first_back.lua")
	firstReturnScript = newScript("first_return.lua")
	firstAliveScript  = newScript("first_alive.lua")
)

// First is ahead of idle Python workers. Redis serves the client that has been blocked on a list for longest, so an idle
// worker gets a job at the very push. Waiters of a First are blocked before it: they pop what is pushed into a list of
// their own (FirstKey), from which what is ours is claimed (Claim.From) and everything else goes back to the head of its
// queue, in order and in one step.
//
// The list belongs to no process. Each First of the queue looks at it twice a second, so what a dead one left there is
// judged by the next; where none is left, ReturnPopped puts it back.
//
// Order is kept as long as no more ids are pushed, while the first of them is judged, than there are waiters: one process
// that enqueues one by one isn't that quick, a pipeline is.
//
// While something stands in the queue that isn't ours, nobody of ours blocks, nor while a thousand of ours wait to be
// claimed: what is pushed then may go to an idle Python worker. A waiter that was served stands at the end
// of the line, so idle Python workers are sent there as well, by CLIENT UNBLOCK: RQ takes that for a timeout and waits
// again. Which queue a blocked client waits for can't be seen (RQ gives its name to another connection), so those of other
// queues are sent along, fifty times a second at most. It needs the rights for CLIENT LIST and CLIENT UNBLOCK, and Redis 6.2.
type First struct {
	c       *Client
	queue   string
	waiters int

	popped chan struct{} // raised by a waiter that popped something, or was sent away

	mu     sync.Mutex
	open   bool           // waiters may block
	opened chan struct{}  // closed while open
	turn   chan struct{}  // closed when what was popped is judged
	ids    map[int64]bool // connections that wait

	blocked int // how often waiters blocked since the last rotation
	rotated time.Time
}

// NewFirst prepares waiters for a queue; eight are ahead of one or two idle Python workers.
func (c *Client) NewFirst(queue string, waiters int) *First {
	return &First{
		c: c, queue: queue, waiters: waiters, popped: make(chan struct{}, 1), opened: make(chan struct{}), turn: make(chan struct{}),
		ids: map[int64]bool{},
	}
}

// Run waits until ctx ends, then with nil, or something fails. It calls judge from one goroutine with all ids that were
// popped, in order; what judge returns goes back to the queue, the rest stays and is shown again until it is claimed. An
// error of judge ends Run. Whatever ends it, nothing is left behind: if no other process waits for the queue, all that was
// popped goes back.
func (f *First) Run(ctx context.Context, judge func(ctx context.Context, popped []string) (back []string, err error)) error {
	if err := firstBackScript.Load(ctx, f.c.rdb).Err(); err != nil {
		return fmt.Errorf("be first on queue %q: %w", clip(f.queue), err)
	}
	g, running := errgroup.WithContext(ctx)
	for range f.waiters {
		g.Go(func() error { return f.wait(running) })
	}
	g.Go(func() error { return f.beat(running) })
	g.Go(func() error { return f.decide(running, judge) })
	err := g.Wait()
	f.leave(context.WithoutCancel(ctx))
	if ctx.Err() != nil {
		return nil
	}
	return wrap(err, "be first on queue %q", clip(f.queue))
}

// leave lets go of what no other process will judge. Without an answer the next process does it.
func (f *First) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstSilence)
	defer cancel()
	_ = f.c.rdb.ZRem(ctx, FirstWaitersKey(f.queue), f.connections()...).Err()
	_, _ = f.c.ReturnPopped(ctx, f.queue, false)
}

// wait pops ids on a connection of its own.
func (f *First) wait(ctx context.Context) error {
	w := f.c.NewWaiter()
	defer w.Close()
	if err := w.connect(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	f.ids[w.id] = true
	f.mu.Unlock()
	if err := f.alive(ctx); err != nil {
		return err
	}
	for f.enter(ctx) {
		begin := time.Now()
		found, err := w.block(ctx, f.queue, func(ctx context.Context, conn *redis.Conn) error {
			return conn.BLMove(ctx, QueueKey(f.queue), FirstKey(f.queue), "LEFT", "RIGHT", firstBlock).Err()
		})
		turn := f.leaveLine(!found && time.Since(begin) >= firstBlock)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case w.noMove:
			return errNoMove
		case !found:
			continue
		}
		select {
		case <-turn:
		case <-ctx.Done():
		}
	}
	return nil
}

// enter waits until waiters may block.
func (f *First) enter(ctx context.Context) bool {
	for {
		f.mu.Lock()
		opened := f.opened
		if f.open {
			f.blocked++
			f.mu.Unlock()
			return true
		}
		f.mu.Unlock()
		select {
		case <-opened:
		case <-ctx.Done():
			return false
		}
	}
}

// leaveLine ends a waiter's blocking. Until what it popped is judged, or what others put back is taken, nobody blocks
// anew. It returns what tells that the popped ids are judged.
func (f *First) leaveLine(timeout bool) (turn chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !timeout && f.open {
		f.open, f.opened = false, make(chan struct{})
		raise(f.popped)
	}
	return f.turn
}

func raise(flag chan struct{}) {
	select {
	case flag <- struct{}{}:
	default:
	}
}

// beat says again and again that the waiters are alive.
func (f *First) beat(ctx context.Context) error {
	for {
		if sleep(ctx, firstBeat) != nil {
			return nil
		}
		if err := f.alive(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (f *First) alive(ctx context.Context) error {
	return firstAliveScript.Run(ctx, f.c.rdb, []string{FirstWaitersKey(f.queue)}, f.connections()...).Err()
}

func (f *First) connections() (ids []any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.ids {
		ids = append(ids, id)
	}
	return ids
}

// decide has what was popped judged, puts back what isn't ours, and lets waiters block while the queue is empty.
func (f *First) decide(ctx context.Context, judge func(context.Context, []string) ([]string, error)) error {
	pause := time.Millisecond
	for ctx.Err() == nil {
		// The turn is taken before the list is read: who pops from here on waits for the next one.
		f.mu.Lock()
		turn := f.turn
		f.turn = make(chan struct{})
		f.mu.Unlock()
		left, err := f.sift(ctx, judge)
		close(turn)
		if err != nil {
			return err
		}
		open, err := f.reopen(ctx, left)
		if err != nil {
			return err
		}
		switch {
		case !open:
			pause = min(2*pause, waitPollMin)
		case left > 0:
			pause = firstSoon
		default:
			pause = firstLook
		}
		if open {
			pause = min(pause, f.stayAhead(ctx))
		}
		timer := time.NewTimer(pause)
		select {
		case <-f.popped:
			pause = time.Millisecond
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// sift has what stands in the list judged, and says how much of it is left.
func (f *First) sift(ctx context.Context, judge func(context.Context, []string) ([]string, error)) (left int, err error) {
	popped, err := f.c.Popped(ctx, f.queue)
	if err != nil || len(popped) == 0 {
		return 0, err
	}
	back, err := judge(ctx, popped)
	if err != nil || len(back) == 0 {
		return len(popped), err
	}
	stay := slices.DeleteFunc(popped, func(id string) bool { return slices.Contains(back, id) })
	return len(stay), f.back(ctx, stay)
}

// reopen lets waiters block if nothing stands in the queue and not too much is left of what was popped.
func (f *First) reopen(ctx context.Context, left int) (open bool, err error) {
	f.mu.Lock()
	open = f.open
	f.mu.Unlock()
	if open || left >= firstMost {
		return open, nil
	}
	n, err := f.c.rdb.LLen(ctx, QueueKey(f.queue)).Result()
	if err != nil || n > 0 {
		return false, err
	}
	f.mu.Lock()
	f.open = true
	f.blocked = f.waiters // all of them stand behind whoever has been idle meanwhile
	close(f.opened)
	f.mu.Unlock()
	return true, nil
}

var errNoMove = errors.New("the server has no BLMOVE: being first needs Redis 6.2")
