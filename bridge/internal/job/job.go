// Package job has the plain values of a job: what a queued one asks for, what an attempt at it is, why its context
// ended, what its error means. It knows no server and does nothing.
package job

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"
)

// Info is what a handler may know of its attempt.
type Info struct {
	ID           string
	Name         string
	Method       string
	JobType      string
	Site, User   string
	Organization string
	Attempt      int
	Queue        string
	Timeout      time.Duration
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
