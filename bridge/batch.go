package bridge

import (
	"context"
	"sync"
)

// batcher joins what several goroutines ask for at about the same time into
// one call: while one batch is under way the next one collects. A lone request
// is served at once, so batching costs no latency; each caller gets the answer
// to its own item.
type batcher[T, R any] struct {
	// do answers each item of a batch, in order. An error is everybody's.
	do func(ctx context.Context, items []T) ([]R, error)
	// limit is how many items one call takes at most.
	limit int

	mu      sync.Mutex
	waiting []*batched[T, R]
	busy    bool
}

type batched[T, R any] struct {
	ctx    context.Context
	item   T
	answer R
	err    error
	done   chan struct{}
}

// Do hands item to the next batch and waits for its answer. The context is the
// batch's only if item is the first in it: what is under way is never
// interrupted for the sake of one caller.
func (b *batcher[T, R]) Do(ctx context.Context, item T) (R, error) {
	w := &batched[T, R]{ctx: ctx, item: item, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, w)
	lead := !b.busy
	b.busy = true
	b.mu.Unlock()
	if lead {
		// Nothing was waiting, so w is in the first batch; what came meanwhile is
		// somebody else's and doesn't keep this caller.
		b.next()
		go b.drain()
	}
	<-w.done
	return w.answer, w.err
}

func (b *batcher[T, R]) drain() {
	for b.next() {
	}
}

// next runs one batch. It reports false when nothing was waiting, and gives up
// the lead then.
func (b *batcher[T, R]) next() bool {
	b.mu.Lock()
	n := min(len(b.waiting), b.limit)
	if n == 0 {
		b.busy = false
		b.mu.Unlock()
		return false
	}
	batch := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	if len(b.waiting) == 0 {
		b.waiting = nil
	}
	b.mu.Unlock()

	items := make([]T, n)
	for i, w := range batch {
		items[i] = w.item
	}
	answers, err := b.do(context.WithoutCancel(batch[0].ctx), items)
	for i, w := range batch {
		if w.err = err; err == nil {
			w.answer = answers[i]
		}
		close(w.done)
	}
	return true
}
