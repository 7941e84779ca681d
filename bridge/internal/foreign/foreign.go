// Package foreign has handlers that are not written in Go: a program that is run once per job, a URL that is called once
// per job, and the lines of JSON with which both report while they work.
package foreign

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// Reporter takes what a handler reports. Its methods must not block.
type Reporter interface {
	Progress(percent float64, message string)
	SetOutput(reference string)
	Log() *slog.Logger
}

// Handler makes one attempt at a job. params may be empty, which means {}.
type Handler func(ctx context.Context, info job.Info, params json.RawMessage, r Reporter) (any, error)

func orEmpty(params json.RawMessage) json.RawMessage {
	if len(params) == 0 {
		return json.RawMessage("{}")
	}
	return params
}

func permanent(err error) error { return job.Mark(err, job.Permanent, 0) }
func transient(err error) error { return job.Mark(err, job.Transient, 0) }
