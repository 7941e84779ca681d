package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// JobInfo is what a handler may know of the attempt it makes: the RQ job's ID and Queue, the Name of its Background Job
// and its JobType, the Method, the Site, User and Organization whose work it is, the Attempt and its Timeout.
type JobInfo = job.Info

// Job is one attempt at a job with its parameters decoded into P. A zero Job, as a unit test may make one, takes
// reports and drops them; package bridgetest records them.
type Job[P any] struct {
	JobInfo
	// Params are the job's parameters: the keyword arguments of frappe.enqueue, or the row's input_parameters.
	Params P

	reporter Reporter
}

// Reporter takes what a handler tells through its Job, from any goroutine. Engines have their own, tests use NewJob.
type Reporter interface {
	Progress(percent float64, message string)
	SetOutput(reference string)
	Log() *slog.Logger
	Submitter
}

// NewJob makes a Job that reports to r, for tests of handlers; an Engine makes its own. A nil r drops what is reported.
func NewJob[P any](info JobInfo, params P, r Reporter) *Job[P] {
	return &Job[P]{JobInfo: info, Params: params, reporter: r}
}

// Progress reports how far the job is: percent from 0 to 100 (anything else is brought into that range) and what it is
// doing, at most 140 characters. It never blocks and may be called as often as one likes, by several goroutines: the
// newest report reaches the row and the desk at most once a second.
func (j *Job[P]) Progress(percent float64, message string) {
	if j.reporter != nil {
		j.reporter.Progress(percent, message)
	}
}

// SetOutput names what the job made, in at most 140 characters: its output_reference once it completes.
func (j *Job[P]) SetOutput(reference string) {
	if j.reporter != nil {
		j.reporter.SetOutput(reference)
	}
}

// Log is the engine's log; each line carries the job's id, queue, method, site, row and organization. The last 50 lines are
// also in the row's log_tail, for those who may read it, at most three seconds late.
func (j *Job[P]) Log() *slog.Logger {
	if j.reporter == nil {
		return slog.New(slog.DiscardHandler)
	}
	return j.reporter.Log()
}

// Submit submits another job, over the engine's own connections. Site, organization and user default to this job's.
// A retried attempt submits again: give each child a Key where that matters.
func (j *Job[P]) Submit(ctx context.Context, r SubmitRequest) (*rows.BackgroundJob, error) {
	if j.reporter == nil {
		return nil, errNoEngine
	}
	return j.reporter.Submit(ctx, j.child(r))
}

// SubmitMany is Client.SubmitMany for children of this job, as Submit is.
func (j *Job[P]) SubmitMany(ctx context.Context, rs []SubmitRequest, options ...SubmitOption) ([]SubmitResult, error) {
	if j.reporter == nil {
		return nil, errNoEngine
	}
	children := make([]SubmitRequest, len(rs))
	for i, r := range rs {
		children[i] = j.child(r)
	}
	return j.reporter.SubmitMany(ctx, children, options...)
}

var errNoEngine = errors.New("bridge: this Job was not made by an engine, so it can't submit")

// child is a submission with what it has from this job.
func (j *Job[P]) child(r SubmitRequest) SubmitRequest {
	r.Site, r.Organization, r.User = cmp.Or(r.Site, j.Site), cmp.Or(r.Organization, j.Organization), cmp.Or(r.User, j.User)
	return r
}

// RawJob is a job whose parameters are the JSON as it came.
type RawJob = Job[json.RawMessage]

// Handler runs jobs of any kind of parameters, as middleware sees it.
type Handler func(ctx context.Context, job *RawJob) (any, error)

// Middleware wraps every handler of an engine, those in other languages included.
type Middleware func(next Handler) Handler

// JobType is the name of a Job Type whose parameters are a P, so that who submits a job and who handles it agree:
//
//	const ExportInvoices bridge.JobType[Export] = "export_invoices"
//
// A handler may also be registered by a plain string.
type JobType[P any] string

// Submitter is what jobs can be submitted to: a *Client, an *Engine, or the *Job of a running handler.
type Submitter interface {
	Submit(ctx context.Context, r SubmitRequest) (*rows.BackgroundJob, error)
	SubmitMany(ctx context.Context, rs []SubmitRequest, options ...SubmitOption) ([]SubmitResult, error)
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
	// intervals are of jobs without a row.
	intervals []time.Duration
	classify  []Classifier
	source    string // who registered it, for the message about a second one
	strict    bool
}

// HandlerOption changes how one handler is called.
type HandlerOption func(*registration)

// WithRetry gives a handler's jobs a schedule of their own instead of Config.Retry. Register panics on a senseless one.
func WithRetry(p RetryPolicy) HandlerOption {
	return func(r *registration) { r.retry = &p }
}

// WithRetryIntervals gives a handler's jobs that have no row pauses of their own before each retry instead of
// Config.RetryIntervals; without any they are never retried. Register panics on a pause that isn't above zero.
func WithRetryIntervals(pauses ...time.Duration) HandlerOption {
	return func(r *registration) { r.intervals = append([]time.Duration{}, pauses...) }
}

// WithClassify has f asked about the errors of one handler, before what Engine.Classify was given.
func WithClassify(f Classifier) HandlerOption {
	return func(r *registration) { r.classify = append(r.classify, f) }
}

// StrictParams makes a parameter that P has no field for a *ParamsError instead of ignoring it. The argument organization,
// which the bridge reads itself, needs no field.
func StrictParams() HandlerOption { return func(r *registration) { r.strict = true } }

// Register makes fn the handler of name: a Job Type's name or handler_method, a method that Python passes to
// frappe.enqueue, or the function of a plain RQ job. A nil fn, an empty or taken name and a call after Run panic.
//
// fn's context ends when the job is canceled, runs into its timeout or must be given back; context.Cause tells which.
// What fn returns becomes RQ's return value (JSON-like values only). An error of a job with a row means a retry unless
// it is Permanent; see also RetryAfter. A job without a row is retried a few times within a minute, see
// Config.RetryIntervals, or by RQ's own schedule if its producer asked for one, and is in RQ's scheduled registry
// meanwhile. A P of json.RawMessage takes the parameters unread; see the package documentation for how Python's values
// arrive.
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
	if err := job.CheckIntervals(r.intervals); err != nil {
		panic(fmt.Sprintf("bridge: the handler of %q: %v", string(name), err))
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
		classify := slices.Concat(r.classify, e.classify)
		handlers[name] = &job.Handler{Name: name, Retry: r.retry, RetryIntervals: r.intervals, Call: func(ctx context.Context, info JobInfo, params json.RawMessage, r job.Reporter) (any, error) {
			result, err := handle(ctx, NewJob(info, params, attemptReporter{r, submitter}))
			return result, job.ClassifyBy(err, classify...)
		}}
	}
	return handlers
}

// attemptReporter is what the Job of a running attempt reports to.
type attemptReporter struct {
	job.Reporter
	Submitter
}
