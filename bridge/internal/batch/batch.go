// Package batch joins what many goroutines ask for at once: Batcher answers each, Lanes takes what nobody waits for. Of a
// batch that fails Split finds the items that are to blame.
package batch

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
)

// Batcher joins concurrent requests into one call: while one batch is under way the next one collects. A lone request
// is served at once, so batching costs no latency; each caller gets the answer to its own item, or its own error.
type Batcher[T, R any] struct {
	// Call answers each item of a batch, in order. After an error it is called for parts of the batch, see [Split].
	Call func(ctx context.Context, items []T) ([]R, error)
	// Shared reports whether an error of Call is everybody's: that of a server which is away, and not of an item.
	Shared func(error) bool
	// Limit is how many items one call takes at most.
	Limit int
	// Large says which items go one by one, beside the batches of all others, who need not wait for them. Nil means none.
	Large func(T) bool

	mu            sync.Mutex
	others, large line[T, R]
}

// line is what waits, and whether somebody serves it.
type line[T, R any] struct {
	waiting []*request[T, R]
	busy    bool
}

type request[T, R any] struct {
	ctx    context.Context
	item   T
	answer Answer[R]
	done   chan struct{}
}

// Do hands item to the next batch and waits for its answer. The context is the batch's only if item is the first in
// it: what is under way is never interrupted for the sake of one caller.
func (b *Batcher[T, R]) Do(ctx context.Context, item T) (R, error) {
	answer := b.DoAll(ctx, []T{item})[0]
	return answer.Result, answer.Err
}

// DoAll is Do for several items of one caller: they join the next batches in their order, as if they came one right after the
// other.
func (b *Batcher[T, R]) DoAll(ctx context.Context, items []T) []Answer[R] {
	mine := make([]*request[T, R], len(items))
	var lead []*line[T, R]
	b.mu.Lock()
	for i, item := range items {
		mine[i] = &request[T, R]{ctx: ctx, item: item, done: make(chan struct{})}
		in := b.lineOf(item)
		in.waiting = append(in.waiting, mine[i])
		if !in.busy {
			in.busy = true
			lead = append(lead, in)
		}
	}
	b.mu.Unlock()
	for i, in := range slices.Backward(lead) { // one line needn't wait for the other
		if i == 0 { // nothing was waiting, so this caller's are in the first batch; what came meanwhile doesn't keep him
			b.next(in)
		}
		go b.drain(in)
	}
	answers := make([]Answer[R], len(items))
	for i, r := range mine {
		<-r.done
		answers[i] = r.answer
	}
	return answers
}

// lineOf is where an item waits.
func (b *Batcher[T, R]) lineOf(item T) *line[T, R] {
	if b.Large != nil && b.Large(item) {
		return &b.large
	}
	return &b.others
}

func (b *Batcher[T, R]) drain(in *line[T, R]) {
	for b.next(in) {
	}
}

// next runs one batch. It reports false when nothing was waiting, and gives up the lead then.
func (b *Batcher[T, R]) next(in *line[T, R]) bool {
	limit := b.Limit
	if in == &b.large {
		limit = 1
	}
	b.mu.Lock()
	n := min(len(in.waiting), limit)
	if n == 0 {
		in.busy = false
		b.mu.Unlock()
		return false
	}
	batch := in.waiting[:n:n]
	in.waiting = in.waiting[n:]
	if len(in.waiting) == 0 {
		in.waiting = nil
	}
	b.mu.Unlock()

	items := make([]T, n)
	for i, r := range batch {
		items[i] = r.item
	}
	answers := Split(context.WithoutCancel(batch[0].ctx), items, b.Shared, b.Call)
	for i, r := range batch {
		r.answer = answers[i]
		close(r.done)
	}
	return true
}

// Lanes works items that nobody waits for, in order within a lane and side by side between lanes, so that a slow lane
// delays its own items only. A lane costs a goroutine while it has work and nothing otherwise.
type Lanes[K comparable, T any] struct {
	work func(ctx context.Context, lane K, items []T)
	// limit is how many items a lane holds at most; what waits too long is dropped, all at once.
	limit   int
	dropped func(lane K, n int)

	mu      sync.Mutex
	waiting map[K][]T
	busy    map[K]bool
	filled  wait.Flag
}

// NewLanes makes lanes whose items go to work, all that wait in one call. A full lane drops them and tells dropped.
func NewLanes[K comparable, T any](limit int, work func(ctx context.Context, lane K, items []T), dropped func(lane K, n int)) *Lanes[K, T] {
	return &Lanes[K, T]{work: work, limit: limit, dropped: dropped, waiting: map[K][]T{}, busy: map[K]bool{}, filled: wait.NewFlag()}
}

// Add hands an item over and never waits.
func (l *Lanes[K, T]) Add(lane K, item T) {
	lost := 0
	l.mu.Lock()
	if n := len(l.waiting[lane]); n >= l.limit {
		lost, l.waiting[lane] = n, nil
	}
	l.waiting[lane] = append(l.waiting[lane], item)
	idle := !l.busy[lane]
	l.mu.Unlock()
	if lost > 0 {
		l.dropped(lane, lost)
	}
	if idle {
		l.filled.Raise()
	}
}

// lastWork is how long what is under way, and what is left, may take when the lanes close.
const lastWork = 2 * time.Second

// Run works until ctx ends, then what is left, and returns when every lane is idle.
func (l *Lanes[K, T]) Run(ctx context.Context) {
	working, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastWork, giveUp) })()
	var lanes sync.WaitGroup
	for l.filled.Wait(ctx) {
		l.start(working, &lanes)
	}
	lanes.Wait()
	l.start(working, &lanes)
	lanes.Wait()
}

// start gives each idle lane with work a goroutine.
func (l *Lanes[K, T]) start(ctx context.Context, lanes *sync.WaitGroup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for lane := range l.waiting {
		if !l.busy[lane] {
			l.busy[lane] = true
			lanes.Go(func() { l.drain(ctx, lane) })
		}
	}
}

// drain works a lane until it is empty or ctx ends.
func (l *Lanes[K, T]) drain(ctx context.Context, lane K) {
	for {
		l.mu.Lock()
		items := l.waiting[lane]
		if len(items) == 0 || ctx.Err() != nil {
			delete(l.busy, lane)
			if len(items) == 0 {
				delete(l.waiting, lane)
			}
			l.mu.Unlock()
			return
		}
		l.waiting[lane] = nil
		l.mu.Unlock()
		l.work(ctx, lane, items)
	}
}
