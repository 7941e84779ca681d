package job

import (
	"context"
	"errors"
)

type ownedKey struct{}

// WithOwned makes a context of an attempt, of which owned says whether its job may still be this process's.
func WithOwned(ctx context.Context, owned func() bool) context.Context {
	return context.WithValue(ctx, ownedKey{}, owned)
}

// Owned is ErrLost in a context of an attempt whose job may be somebody else's by now, as the process was stopped for longer than its
// lease, or is cut off: nothing may be done any more that others see and that nothing else would refuse.
func Owned(ctx context.Context) error {
	owned, ok := ctx.Value(ownedKey{}).(func() bool)
	if errors.Is(context.Cause(ctx), ErrLost) || ok && !owned() {
		return ErrLost
	}
	return nil
}
