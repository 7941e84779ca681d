// Package job has the plain values of a job: what a queued one asks for, what an attempt at it is, why its context
// ended, what its error means. It knows no server and does nothing.
package job

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"
)

// Info is what a handler may know of the attempt it makes. Package bridge publishes it as JobInfo.
type Info struct {
	// ID is the RQ job id.
	ID string
	// Name is the Background Job's name; empty for a job without a row.
	Name string
	// Method is what the producer asked for: a dotted path or any name.
	Method string
	// JobType is the Job Type's name; empty for a job without a row.
	JobType string
	// Site and User are whose work it is; both empty for a plain RQ job.
	Site, User string
	// Organization is the tenant; empty for a job without a row.
	Organization string
	// Attempt counts from 1 within the present series of retries.
	Attempt int
	// Queue is the RQ queue it came from, with the bench's prefix.
	Queue string
	// Timeout is how long the attempt may take; zero means unlimited. The context's cause is ErrTimeout when it is over.
	Timeout time.Duration
}

// Reporter takes what a handler tells while it runs. Its methods may be called by several goroutines and never block.
type Reporter interface {
	Progress(percent float64, message string)
	SetOutput(reference string)
	Log() *slog.Logger
}

// Call makes one attempt at a job. params may be empty, which means {}.
type Call func(ctx context.Context, info Info, params json.RawMessage, r Reporter) (any, error)

// Handler is what runs the jobs of one name, after its parameters' type is forgotten.
type Handler struct {
	Name string
	Call Call
	// Retry is the handler's own schedule; nil means the engine's.
	Retry *RetryPolicy
}

// Handlers are the registered ones by name.
type Handlers map[string]*Handler

// Percent brings what a handler reports into the range that a row has.
func Percent(p float64) float64 {
	if p != p { // NaN
		return 0
	}
	return min(max(p, 0), 100)
}
