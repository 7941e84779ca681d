package job

import (
	"context"
	"errors"
)

// Causes of a handler's ended context. Package bridge publishes and documents them.
var (
	ErrCanceled = errors.New("the job was canceled")
	ErrStopped  = errors.New("the job was stopped by a stop-job command")
	ErrKilled   = errors.New("the job was aborted by a kill-horse command")
	ErrTimeout  = errors.New("the job ran into its timeout")
	ErrShutdown = errors.New("the bridge is shutting down")
	ErrLost     = errors.New("the job no longer belongs to this worker")
)

// ErrAbandoned is the error of an attempt whose handler ignores its context.
var ErrAbandoned = errors.New("the handler ignored its context for the whole grace period and was abandoned")

// CauseOf returns the reason for which ctx ended, if it is one of ours; else nil.
func CauseOf(ctx context.Context) error {
	cause := context.Cause(ctx)
	for _, ours := range []error{ErrCanceled, ErrStopped, ErrKilled, ErrTimeout, ErrShutdown, ErrLost} {
		if errors.Is(cause, ours) {
			return cause
		}
	}
	return nil
}
