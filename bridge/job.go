package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"

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

// Reporter takes what a handler tells through its Job. Engines have their own; a test can hand in another with NewJob.
// Its methods may be called by several goroutines.
type Reporter interface {
	Progress(percent float64, message string)
	SetOutput(reference string)
	Log() *slog.Logger
	Submit(ctx context.Context, r SubmitRequest) (*rows.BackgroundJob, error)
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

// Log is the engine's log; each line carries the job's id, queue, method, site, row and organization.
func (j *Job[P]) Log() *slog.Logger {
	if j.reporter == nil {
		return slog.New(slog.DiscardHandler)
	}
	return j.reporter.Log()
}

// errNoEngine is the error of a Submit on a Job that no engine made.
var errNoEngine = errors.New("bridge: this Job was not made by an engine, so it can't submit")

// Submit submits another job, over the engine's own connections. Site, organization and user default to this job's.
// A retried attempt submits again: give each child a Key where that matters.
func (j *Job[P]) Submit(ctx context.Context, r SubmitRequest) (*rows.BackgroundJob, error) {
	if j.reporter == nil {
		return nil, errNoEngine
	}
	r.Site, r.Organization, r.User = cmp.Or(r.Site, j.Site), cmp.Or(r.Organization, j.Organization), cmp.Or(r.User, j.User)
	return j.reporter.Submit(ctx, r)
}

// RawJob is a job whose parameters are the JSON as it came.
type RawJob = Job[json.RawMessage]

// Handler runs jobs of any kind of parameters, as middleware sees it.
type Handler func(ctx context.Context, job *RawJob) (any, error)

// Middleware wraps every handler of an engine, those in other languages included.
type Middleware func(next Handler) Handler
