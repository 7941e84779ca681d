// Package bridgetest runs a handler as an engine would, without Redis, a database or a bench, so that handlers can be
// unit-tested. What a handler reports, logs and submits is recorded; what the engine would make of its end is told.
package bridgetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/internal/attempt"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// Handler is a handler as bridge.Register takes it.
type Handler[P any] func(ctx context.Context, job *bridge.Job[P]) (any, error)

// Option changes the attempt that a handler makes.
type Option func(*setting)

type setting struct {
	info       bridge.JobInfo
	maxRetries int
	strict     bool
	submitErr  error
}

// Info is what the handler is told of its attempt. Default: the job JOB-TEST of Administrator on site1.localhost, in its
// first attempt. An Attempt of 0 counts as 1. Lossy is for handlers that mind what Python's parameters lost. The context ends with bridge.ErrTimeout after a Timeout above zero.
func Info(info bridge.JobInfo) Option { return func(s *setting) { s.info = info } }

// MaxRetries is how many retries the job has, as a Job Type says. Default: 5.
func MaxRetries(n int) Option { return func(s *setting) { s.maxRetries = n } }

// Strict decodes parameters as bridge.StrictParams lets the engine do it.
func Strict() Option { return func(s *setting) { s.strict = true } }

// FailSubmit lets each submission fail with err.
func FailSubmit(err error) Option { return func(s *setting) { s.submitErr = err } }

// Result is what came of an attempt.
type Result struct {
	// Value is what RQ's result would hold, as JSON-like Go values: a struct has become a map, an int an int64. nil for a
	// failed attempt; "Unserializable return value", RQ's own notice, for what Python can't be told.
	Value any
	// Err is what the handler returned, or a *bridge.PanicError or *bridge.ParamsError; bridge.Classify says what it means.
	Err error
	// Status is what a row would be: Completed, Failed or Timed Out (another attempt follows), Dead Letter (none does),
	// Canceled, Queued (given back because of a shutdown), or Running (bridge.ErrLost: it is somebody else's).
	Status rows.Status
	// RetryIn is the pause before the next attempt, if one follows: bridge.RetryAfter's, or the default's without jitter.
	RetryIn time.Duration
	// Progress are the reports in their order. An engine writes the newest once a second.
	Progress []Progress
	// Output is the reference that was set last. An engine stores it when the job completes.
	Output string
	// Cut are the messages and output references that are longer than the 140 characters that a row holds of them.
	Cut []string
	// Log are the lines that the handler logged, as slog's TextHandler writes them, without the time; debug included.
	Log []string
	// Submitted are the jobs that the handler submitted, in order, with its own site, organization and user where a
	// request named none. The handler got rows named JOB-TEST-1, JOB-TEST-2 and so on.
	Submitted []bridge.SubmitRequest
}

// Progress is one report: Percent from 0 to 100.
type Progress struct {
	Percent float64
	Message string
}

// Run runs fn with params and returns when fn does: nothing is abandoned here. To cancel it, end ctx with one of
// bridge's causes, bridge.ErrCanceled for instance; inside testing/synctest a test of timeouts and pauses takes no time.
func Run[P any](ctx context.Context, fn Handler[P], params P, options ...Option) *Result {
	return run(ctx, fn, func(bool) (P, error) { return params, nil }, options)
}

// RunJSON runs fn with parameters as they arrive from Python: one JSON object of the keyword arguments, see the package
// documentation of bridge. Parameters that don't fit are a *bridge.ParamsError, and fn is not called.
func RunJSON[P any](ctx context.Context, fn Handler[P], params string, options ...Option) *Result {
	return run(ctx, fn, func(strict bool) (P, error) {
		return job.Params[P]("the handler under test", json.RawMessage(params), strict)
	}, options)
}

func run[P any](ctx context.Context, fn Handler[P], params func(strict bool) (P, error), options []Option) *Result {
	s := setting{maxRetries: 5, info: bridge.JobInfo{
		ID: "site1.localhost::JOB-TEST", Name: "JOB-TEST", Site: "site1.localhost", User: "Administrator",
	}}
	for _, o := range options {
		o(&s)
	}
	s.info.Attempt = max(s.info.Attempt, 1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if s.info.Timeout > 0 {
		defer time.AfterFunc(s.info.Timeout, func() { cancel(bridge.ErrTimeout) }).Stop()
	}
	r := &recorder{setting: s}
	p, err := params(s.strict)
	var value any
	if err == nil {
		value, err = job.Protect(func() (any, error) { return fn(ctx, bridge.NewJob(s.info, p, r)) })
	}
	return r.result(value, job.ReadError(err), job.CauseOf(ctx))
}

// result puts together what was recorded and what the engine would make of the attempt's end.
func (r *recorder) result(value any, err *job.Failure, cause error) *Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.heard
	out.Err, out.Status = err.Returned(), rows.StatusRunning
	if err == nil {
		out.Value = asPythonSeesIt(value)
	}
	if err != nil && errors.Is(cause, job.ErrLost) {
		return &out
	}
	row := &rows.BackgroundJob{
		Name: r.info.Name, JobType: r.info.JobType, Status: rows.StatusRunning,
		RetryCount: r.info.Attempt - 1, MaxRetries: r.maxRetries,
	}
	now := time.Now()
	move := attempt.Judge(r.info, row, err, cause, bridge.RetryPolicy{Jitter: -1}, now)
	out.Status = move.To
	if at := move.Written().NextRetryAt; !at.IsZero() {
		out.RetryIn = at.Sub(now)
	}
	return &out
}

// asPythonSeesIt sends a value through RQ's encoding.
func asPythonSeesIt(value any) any {
	encoded, _ := job.EncodeResult(value, rqcompat.PickleSerializer) // what can't be expressed is in the value
	v, err := rqcompat.DecodeResult(encoded)
	if err != nil {
		return err
	}
	plain, _ := pickle.Plain(v)
	return plain
}

// recorder is what the job of a handler under test reports to.
type recorder struct {
	setting
	mu    sync.Mutex
	heard Result
}

// held is how many characters of a message or a reference a row holds.
const held = 140

func (r *recorder) measure(text string) {
	if utf8.RuneCountInString(text) > held {
		r.heard.Cut = append(r.heard.Cut, text)
	}
}

// Progress implements bridge.Reporter.
func (r *recorder) Progress(percent float64, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.measure(message)
	r.heard.Progress = append(r.heard.Progress, Progress{job.Percent(percent), message})
}

// SetOutput implements bridge.Reporter.
func (r *recorder) SetOutput(reference string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.measure(reference)
	r.heard.Output = reference
}

// Log implements bridge.Reporter.
func (r *recorder) Log() *slog.Logger {
	return slog.New(slog.NewTextHandler(logLines{r}, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
				return slog.Attr{}
			}
			return a
		},
	}))
}

type logLines struct{ r *recorder }

// Write takes one line.
func (l logLines) Write(b []byte) (int, error) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	l.r.heard.Log = append(l.r.heard.Log, strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

// Submit implements bridge.Reporter.
func (r *recorder) Submit(ctx context.Context, request bridge.SubmitRequest) (*rows.BackgroundJob, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if r.submitErr != nil {
		return nil, r.submitErr
	}
	parameters, err := job.JSON(request.Parameters)
	if err != nil {
		return nil, fmt.Errorf("%w: encode the parameters: %w", bridge.ErrBadRequest, err)
	}
	r.heard.Submitted = append(r.heard.Submitted, request)
	return &rows.BackgroundJob{
		Name: fmt.Sprintf("JOB-TEST-%d", len(r.heard.Submitted)), JobType: request.JobType, Organization: request.Organization,
		OwnerUser: request.User, Priority: request.Priority, Status: rows.StatusQueued, InputParameters: parameters,
	}, nil
}

// SubmitMany implements bridge.Reporter.
func (r *recorder) SubmitMany(ctx context.Context, requests []bridge.SubmitRequest, _ ...bridge.SubmitOption) ([]bridge.SubmitResult, error) {
	results := make([]bridge.SubmitResult, len(requests))
	for i, request := range requests {
		row, err := r.Submit(ctx, request)
		results[i] = bridge.SubmitResult{Row: row, Created: err == nil, Err: err}
	}
	return results, ctx.Err()
}
