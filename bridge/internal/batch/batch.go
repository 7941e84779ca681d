// Package batch joins what many goroutines ask for at once: Batcher answers each, Lanes takes what nobody waits for.
package batch

import (
	"context"
	"sync"
)

// Batcher joins concurrent requests into one call: while one batch is under way the next one collects. A lone request
// is served at once, so batching costs no latency; each caller gets the answer to its own item.
type Batcher[T, R any] struct {
	// Call answers each item of a batch, in order. An error is everybody's.
	Call func(ctx context.Context, items []T) ([]R, error)
	// Limit is how many items one call takes at most.
	Limit int

	mu      sync.Mutex
	waiting []*request[T, R]
	busy    bool
}

type request[T, R any] struct {
	ctx    context.Context
	item   T
	answer R
	err    error
	done   chan struct{}
}

// Do hands item to the next batch and waits for its answer. The context is the batch's only if item is the first in
// it: what is under way is never interrupted for the sake of one caller.
func (b *Batcher[T, R]) Do(ctx context.Context, item T) (R, error) {
	r := &request[T, R]{ctx: ctx, item: item, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, r)
	lead := !b.busy
	b.busy = true
	b.mu.Unlock()
	if lead {
		// Nothing was waiting, so r is in the first batch; what came meanwhile doesn't keep this caller.
		b.next()
		go b.drain()
	}
	<-r.done
	return r.answer, r.err
}

func (b *Batcher[T, R]) drain() {
	for b.next() {
	}
}

// next runs one batch. It reports false when nothing was waiting, and gives up the lead then.
func (b *Batcher[T, R]) next() bool {
	b.mu.Lock()
	n := min(len(b.waiting), b.Limit)
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
	for i, r := range batch {
		items[i] = r.item
	}
	answers, err := b.Call(context.WithoutCancel(batch[0].ctx), items)
	for i, r := range batch {
		if r.err = err; err == nil {
			r.answer = answers[i]
		}
		close(r.done)
	}
	return true
}
