package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// JobType is the name of a Job Type whose parameters are a P, so that who submits a job and who handles it agree:
//
//	const ExportInvoices bridge.JobType[Export] = "export_invoices"
//
// A handler may also be registered by a plain string.
type JobType[P any] string

// Submitter is what jobs can be submitted to: a *Client, an *Engine, or the *Job of a running handler.
type Submitter interface {
	Submit(ctx context.Context, r SubmitRequest) (*rows.BackgroundJob, error)
}

// Submit submits a job of this type. Of r, JobType and Parameters are set here; the errors are those of Client.Submit.
func (t JobType[P]) Submit(ctx context.Context, to Submitter, params P, r SubmitRequest) (*rows.BackgroundJob, error) {
	r.JobType, r.Parameters = string(t), params
	return to.Submit(ctx, r)
}

// registration is a handler under its name.
type registration struct {
	handle Handler
	retry  *RetryPolicy
	source string // who registered it, for the message about a second one
	strict bool
}

// HandlerOption changes how one handler is called.
type HandlerOption func(*registration)

// WithRetry gives a handler's jobs a schedule of their own instead of Config.Retry. Register panics on a senseless one.
func WithRetry(p RetryPolicy) HandlerOption {
	return func(r *registration) { r.retry = &p }
}

// StrictParams makes a parameter that P has no field for a *ParamsError instead of ignoring it. The arguments that the
// bridge reads itself, organization and a Server Script's function, need no field.
func StrictParams() HandlerOption { return func(r *registration) { r.strict = true } }

// Register makes fn the handler of name: a Job Type's name or handler_method, a method that Python passes to
// frappe.enqueue, or the function of a plain RQ job. A nil fn, an empty or taken name and a call after Run panic.
//
// fn's context ends when the job is canceled, runs into its timeout or must be given back; context.Cause tells which.
// What fn returns becomes RQ's return value (JSON-like values only). An error of a job with a row means a retry unless
// it is Permanent; see also RetryAfter. A job without a row fails at once, since nothing but RQ keeps it; RQ's own
// retries, if its producer gave it some, are spent first. A P of json.RawMessage takes the parameters unread; see the
// package documentation for how Python's values arrive.
func Register[P any](e *Engine, name JobType[P], fn func(ctx context.Context, job *Job[P]) (any, error), options ...HandlerOption) {
	if fn == nil {
		panic(fmt.Sprintf("bridge: the handler of %q is nil", string(name)))
	}
	r := &registration{source: "Register"}
	for _, o := range options {
		o(r)
	}
	if r.retry != nil {
		if err := job.CheckRetry(*r.retry); err != nil {
			panic(fmt.Sprintf("bridge: the handler of %q: %v", string(name), err))
		}
	}
	r.handle = typed(string(name), r.strict, fn)
	e.register(string(name), r)
}

// typed makes a Handler of a function that wants its parameters decoded.
func typed[P any](name string, strict bool, fn func(ctx context.Context, job *Job[P]) (any, error)) Handler {
	if unread, ok := any(fn).(func(context.Context, *RawJob) (any, error)); ok {
		return unread
	}
	return func(ctx context.Context, raw *RawJob) (any, error) {
		params, err := job.Params[P](name, raw.Params, strict)
		if err != nil {
			return nil, err
		}
		raw.Params = nil // ten thousand jobs that run for hours need not hold them twice
		return fn(ctx, &Job[P]{JobInfo: raw.JobInfo, Params: params, reporter: raw.reporter})
	}
}

func (e *Engine) register(name string, r *registration) {
	if name == "" {
		panic("bridge: a handler needs a name")
	}
	if e.started.Load() {
		panic(fmt.Sprintf("bridge: handler %q is registered after Run", name))
	}
	if other := e.handlers[name]; other != nil {
		panic(fmt.Sprintf("bridge: handler %q is there already, from %s", name, other.source))
	}
	e.handlers[name] = r
}

// Use adds middleware around every handler, those in other languages included; the first one added is the outermost.
// It must be called before Run. A job that is refused before its handler is called doesn't pass through; OnEnd sees it.
func (e *Engine) Use(ms ...Middleware) {
	e.mustNotRun("Use")
	e.middleware = append(e.middleware, ms...)
}

// wrapped are the handlers as the rooms call them: inside the middleware, with a Job of their attempt.
func (e *Engine) wrapped(submitter Submitter) job.Handlers {
	handlers := make(job.Handlers, len(e.handlers))
	for name, r := range e.handlers {
		handle := r.handle
		for _, around := range slices.Backward(e.middleware) {
			handle = around(handle)
		}
		handlers[name] = &job.Handler{Name: name, Retry: r.retry, Call: func(ctx context.Context, info JobInfo, params json.RawMessage, r job.Reporter) (any, error) {
			return handle(ctx, NewJob(info, params, attemptReporter{r, submitter}))
		}}
	}
	return handlers
}

// attemptReporter is what the Job of a running attempt reports to.
type attemptReporter struct {
	job.Reporter
	Submitter
}
