// Package job has the plain values of a job: what it asks for, its attempt, causes and errors. It knows no server.
package job

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
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
	// Lossy names what the parameters lost on their way from Python, as "$.when: datetime.date written as text"; the path
	// says where, $ being the parameters. Parameters that come from the row lose nothing here: the job's log has what they
	// lost when the row was made.
	Lossy []string
}

// Reporter takes what a handler tells while it runs. Its methods may be called by several goroutines and never block.
type Reporter interface {
	Progress(percent float64, message string)
	SetOutput(reference string)
	Log() *slog.Logger
}

// What a program says, in lines: a record of this message has the line as its first attribute. Those of LevelOutput are kept
// for the job's row only, unless the log is that verbose.
const (
	OutputLine  = "handler output"
	LevelOutput = slog.LevelDebug
)

// HandlerNames are the names of which a handler runs a Job Type; types are those of its site.
func HandlerNames(types map[string]*rows.JobType, jobType string) []string {
	if t := types[jobType]; t != nil && t.HandlerMethod != "" {
		return []string{jobType, t.HandlerMethod}
	}
	return []string{jobType}
}

// Call makes one attempt at a job. params may be empty, which means {}.
type Call func(ctx context.Context, info Info, params json.RawMessage, r Reporter) (any, error)

// Handler is what runs the jobs of one name, after its parameters' type is forgotten.
type Handler struct {
	Name string
	Call Call
	// Retry is the handler's own schedule; nil means the engine's.
	Retry *RetryPolicy
	// RetryIntervals are its own of jobs without a row; nil means the engine's.
	RetryIntervals []time.Duration
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

// Queue is a queue that is worked.
type Queue struct {
	Name string // RQ's name, with the bench's prefix
	Kind string // the queue type: go, short, default, …
	Own  bool   // everything on it is the bridge's
	// Timeout is what frappe.enqueue gives a job on it whose caller asked for none.
	Timeout time.Duration
}

// Key names a job on a queue.
type Key struct{ Queue, ID string }

// Tenant is whose turn it is: an organization of a site. Jobs without an organization share their site's empty one.
type Tenant struct{ Site, Organization string }

// Queued is what a job on a queue asks for, decoded.
type Queued struct {
	Queue Queue
	ID    string
	// CreatedAt is that of RQ's job: a later one may bear the same id.
	CreatedAt time.Time
	// EnqueuedAt is when it was put on its queue; zero if that isn't known.
	EnqueuedAt time.Time
	// Seen is when its id was first seen on the queue: what it waits for may come a moment later.
	Seen   time.Time
	Method string
	// Site and User are whose work it is; both empty for a job that another program than Frappe enqueued.
	Site, User string
	// Organization is the tenant: the row's, else the argument of that name, else the default one.
	Organization string
	Priority     Priority
	// Kills is how many processes died while they ran the job.
	Kills int
	// Attempt counts from 1 what was tried of a job without a row.
	Attempt int
	// Timeout is that of the RQ job, zero for unlimited; nil if it names none.
	Timeout *time.Duration
	// RowName is the Background Job that the call names, and Row that row. One that names none gets its row at its start.
	RowName string
	Row     *rows.BackgroundJob
	// JobType is what the job's method belongs to; nil for a job without a row.
	JobType *rows.JobType
	// Kwargs are the arguments of the call, and Args the positional ones, which only plain RQ jobs have.
	Kwargs *pickle.Dict
	Args   []any
	// Partly says that there are more arguments than these: they are to be read again before it runs.
	Partly bool
	// Serializer is how the call was written, and how its result has to be.
	Serializer rqcompat.Serializer
	// Callbacks are to be called in Python when it has ended.
	Callbacks Callbacks
	// Handler runs it; nil only if Broken is set.
	Handler *Handler
	// Memory is about how many bytes the job takes while it runs: its arguments decoded, as JSON, and as the handler reads that.
	Memory int
	// Limits are those that it must keep within; nil for none.
	Limits *Limits
	// From is where the job stands, if not in its queue, see rqcompat.Claim; Before is what the log says of that.
	From, Before string
	// Broken says why the job can't run. On an own queue it is failed with that.
	Broken error
}

// Key names the job.
func (q *Queued) Key() Key { return Key{q.Queue.Name, q.ID} }

// WaitsSince is since when the job waits: since it was enqueued, whoever sees it, and not in the future.
func (q *Queued) WaitsSince() time.Time {
	now := time.Now()
	for _, at := range []time.Time{q.EnqueuedAt, q.CreatedAt} {
		if !at.IsZero() && at.Before(now) {
			return at
		}
	}
	return now
}

// Tenant is whose turn the job takes.
func (q *Queued) Tenant() Tenant { return Tenant{q.Site, q.Organization} }

// Params gives the handler's parameters as JSON: those of the row, which somebody may have mended before a retry; without
// one the keyword arguments of the call, the positional ones under "args". lossy names what these lost on their way from
// Python; an error is what MeasureParams says of a job that it was asked about.
func (q *Queued) Params() (params json.RawMessage, lossy []string, err error) {
	if q.Row != nil {
		return q.Row.InputParameters, nil, nil
	}
	params, lossy, err = pickle.Limits{}.JSON(q.arguments())
	return params, lossy, tooLarge(err)
}

// MeasureParams tells the size of what Params would write of the call's arguments, in bytes, and writes nothing. An error
// names the limit that they exceed.
func (q *Queued) MeasureParams(l pickle.Limits) (size int, err error) {
	size, err = l.Measure(q.arguments())
	return size, tooLarge(err)
}

func tooLarge(err error) error {
	if err == nil {
		return nil
	}
	return Mark(fmt.Errorf("the parameters can't be handed on: %w", err), Permanent, 0)
}

// arguments are the call's as one dict.
func (q *Queued) arguments() *pickle.Dict {
	all := &pickle.Dict{}
	if q.Kwargs != nil {
		all.Items = q.Kwargs.Items
	}
	if len(q.Args) > 0 {
		all.Items = slices.Clone(all.Items)
		all.Set("args", &pickle.List{Items: q.Args})
	}
	return all
}

// Priority orders the jobs of one tenant; a higher one goes first.
type Priority int

// priorities are the values of Background Job.priority, from the least.
var priorities = []string{rows.PriorityLow, rows.PriorityNormal, rows.PriorityHigh, rows.PriorityCritical}

// Priorities is how many there are.
const Priorities = 4

// PriorityOf reads a value of Background Job.priority; one that the field doesn't know counts as Normal and isn't ok.
func PriorityOf(name string) (p Priority, ok bool) {
	if i := slices.Index(priorities, name); i >= 0 {
		return Priority(i), true
	}
	return 1, false
}

// CheckPriority refuses a text that is no priority; an empty one is left to defaults.
func CheckPriority(name string) error {
	if _, known := PriorityOf(name); !known && name != "" {
		return fmt.Errorf("priority %.140q is not one of Low, Normal, High, Critical", name)
	}
	return nil
}

// PriorityOfQueue is that of jobs whose priority nobody declared: what producers mean by the queue they choose.
func PriorityOfQueue(kind string) Priority {
	switch kind {
	case "short":
		return 2
	case "long":
		return 0
	}
	return 1
}
