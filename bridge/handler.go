package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
)

// Step 4: run the handler. This file is what a handler's author sees; how it is
// called is in execute.go.

// Delivery is one attempt at a job, as its handler sees it.
type Delivery struct {
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
	// Timeout is how long the attempt may take; zero means unlimited. The
	// context's cause is ErrTimeout when it is over.
	Timeout time.Duration
	// Log carries the job's fields.
	Log zerolog.Logger

	run *run
}

// Progress reports how far the job is: percent from 0 to 100 (anything else is
// brought into that range) and what it is doing, at most 140 characters. It
// never blocks and may be called as often as one likes, by several goroutines:
// the newest report reaches the row and the desk at most once a second.
func (d *Delivery) Progress(percent float64, message string) { d.run.progress.report(percent, message) }

// SetOutput names what the job made: a file's URL or a document, at most 140
// characters. It is stored as output_reference when the job completes.
func (d *Delivery) SetOutput(reference string) { d.run.setOutput(reference) }

// Job is a Delivery with its parameters decoded into T.
type Job[T any] struct {
	Delivery
	// Params are the job's parameters: the keyword arguments of
	// frappe.enqueue, or the row's input_parameters.
	Params T
}

// handlerFunc is a registered handler after its parameters' type is forgotten.
type handlerFunc func(ctx context.Context, d Delivery, params func() json.RawMessage) (any, error)

type handler struct {
	name string
	call handlerFunc
}

// Register makes fn the handler of name: a Job Type's name or handler_method,
// a method that Python passes to frappe.enqueue, or the function of a plain RQ
// job. It must be called before Run; registering a name twice panics.
//
// fn's context ends when the job is cancelled, runs into its timeout or must be
// given back; context.Cause tells which. What fn returns becomes RQ's return
// value (JSON-like values only). An error means a retry unless it is Permanent;
// see also RetryAfter. A T of json.RawMessage takes the parameters unread.
func Register[T any](e *Engine, name string, fn func(ctx context.Context, job *Job[T]) (any, error)) {
	e.register(name, func(ctx context.Context, d Delivery, params func() json.RawMessage) (any, error) {
		job := &Job[T]{Delivery: d}
		if err := decodeParams(params(), &job.Params); err != nil {
			return nil, &ParamsError{Handler: name, Err: err}
		}
		return fn(ctx, job)
	})
}

func (e *Engine) register(name string, call handlerFunc) {
	if name == "" {
		panic("bridge: a handler needs a name")
	}
	if e.started.Load() {
		panic(fmt.Sprintf("bridge: handler %q is registered after Run", name))
	}
	if _, taken := e.handlers[name]; taken {
		panic(fmt.Sprintf("bridge: handler %q is registered twice", name))
	}
	e.handlers[name] = &handler{name: name, call: call}
}

// registerForeign sets up the handlers that the configuration declares.
func (e *Engine) registerForeign(handlers map[string]HandlerConfig) error {
	var errs []error
	for name, cfg := range handlers {
		var (
			fn  foreignHandler
			err error
		)
		if cfg.Exec != nil {
			fn, err = newExecHandler(*cfg.Exec)
		} else {
			fn, err = newHTTPHandler(*cfg.HTTP)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("bridge.handlers[%q]: %w", name, err))
			continue
		}
		e.register(name, func(ctx context.Context, d Delivery, params func() json.RawMessage) (any, error) {
			return fn(ctx, runRequest{
				JobID: d.ID, Name: d.Name, JobType: d.JobType, Site: d.Site, User: d.User,
				Organization: d.Organization, Attempt: d.Attempt, Timeout: d.Timeout,
				Params: params(), Progress: d.Progress, SetOutput: d.SetOutput, Log: d.Log,
			})
		})
	}
	return errors.Join(errs...)
}

// foreignHandler is a handler in another language, see exec and HTTP handlers.
type foreignHandler func(ctx context.Context, r runRequest) (any, error)

func decodeParams(params json.RawMessage, into any) error {
	if raw, ok := into.(*json.RawMessage); ok {
		*raw = params
		return nil
	}
	if len(params) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(params))
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}
