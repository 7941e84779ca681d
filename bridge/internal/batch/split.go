package batch

import (
	"context"
	"fmt"
	"runtime/debug"
)

// Answer is what a batch came to for one of its items.
type Answer[R any] struct {
	Result R
	Err    error
}

// Split has call answer items all at once. If that fails for a reason that isn't shared it tries either half, and so on,
// until each item that fails does so alone: one of n costs 2·log₂(n) calls more. An error that shared recognizes, of a
// server that is away, would meet every other call as well: what is left gets it, and nothing more is asked.
//
// So call is made again for parts of what failed. It must do all or nothing, or what may be done twice; and an error that
// leaves open whether it was done must be a shared one. A call that panics has failed.
func Split[T, R any](ctx context.Context, items []T, shared func(error) bool, call func(context.Context, []T) ([]R, error)) []Answer[R] {
	answers := make([]Answer[R], len(items))
	s := splitting[T, R]{shared: shared, call: call}
	s.answer(ctx, items, answers)
	return answers
}

type splitting[T, R any] struct {
	shared func(error) bool
	call   func(context.Context, []T) ([]R, error)
	away   error // the shared error that was met
}

func (s *splitting[T, R]) answer(ctx context.Context, items []T, answers []Answer[R]) {
	results, err := []R(nil), s.away
	if err == nil {
		results, err = s.protected(ctx, items)
	}
	switch {
	case err == nil:
		for i := range items {
			answers[i].Result = results[i]
		}
		return
	case s.shared(err):
		s.away = err
	case len(items) > 1:
		half := len(items) / 2
		s.answer(ctx, items[:half], answers[:half])
		s.answer(ctx, items[half:], answers[half:])
		return
	}
	for i := range items {
		answers[i].Err = err
	}
}

// protected turns a panic into an error, which callers that wait for an answer get instead of none.
func (s *splitting[T, R]) protected(ctx context.Context, items []T) (results []R, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic in a batch: %v\n%s", v, debug.Stack())
		}
	}()
	results, err = s.call(ctx, items)
	if err == nil && len(results) != len(items) {
		err = fmt.Errorf("a batch of %d has %d answers", len(items), len(results))
	}
	return results, err
}
