// Package route is step 2 of a job's life: decode what a queued job asks for, without running anything, and decide
// whose it is. It happens when its id is first seen on a queue, for most jobs once more after they were claimed, and
// changes nothing.
package route

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// Verdict is what routing says of a queued job.
type Verdict int

// The verdicts.
const (
	// Ours: run it, or fail it if it is broken.
	Ours Verdict = iota
	// Foreign: leave it to Python.
	Foreign
	// Unready: what it needs can't be read yet, a row or a database.
	Unready
	// Held: policy says not yet.
	Held
	// Heavy: it takes more than is spent on a job among others. Router.Alone decides.
	Heavy
)

// unreadyPause is when a row may have appeared, or a database be back.
const unreadyPause = 250 * time.Millisecond

// Found is a job as it was read from its queue.
type Found struct {
	Job   *rqcompat.Job
	Fault error // why its hash could not be read in full
	// Seen is when its id was first seen: a row may be committed a moment after the job that names it.
	Seen time.Time
	// Whole says that it runs next: its arguments are kept, however large they are.
	Whole bool
}

// Routed is what became of a found job.
type Routed struct {
	*job.Queued
	Verdict Verdict
	// Again is when to look again at a job that is Unready or Held, from now.
	Again time.Duration
}

// Sites are what a router asks of the bench's sites.
type Sites interface {
	Site(name string) (*frappe.Site, error)
	Find(ctx context.Context, names map[string][]string, runNext bool) map[string]sites.Found
}

// RQ is what a router asks of Redis; *rqcompat.Client does it.
type RQ interface {
	FetchMany(ctx context.Context, ids []string) ([]*rqcompat.FetchResult, error)
	BeginReading(ctx context.Context, id, process string) (deaths int, err error)
	EndReading(ctx context.Context, id, process string) error
}

// Params are what a Router needs.
type Params struct {
	Handlers job.Handlers
	Sites    Sites
	RQ       RQ
	Policy   policy.Chain
	// DefaultOrganization owns the rows of jobs that name none.
	DefaultOrganization string
	// RowGrace is how long a job waits for the row, or the site, it names.
	RowGrace time.Duration
	// Decode reads calls; nil is rqcompat.Job.CallWithin.
	Decode Decode
	// Patience is how long a decoder is waited for that doesn't heed its limits; zero is 15 s.
	Patience time.Duration
	// Process is a name that no other process ever had; MaxKills is how many processes a call may take down.
	Process  string
	MaxKills int
	Log      *slog.Logger
}

// Router decides where jobs go. Safe for concurrent use.
type Router struct {
	Params
	quick, alone turns
}

// NewRouter prepares a router.
func NewRouter(p Params) *Router {
	if p.Decode == nil {
		p.Decode = (*rqcompat.Job).CallWithin
	}
	p.Patience = cmp.Or(p.Patience, alonePatience)
	return &Router{Params: p, quick: quickTurns(), alone: aloneTurns()}
}

// Route decides about a batch of jobs of one queue. The rows they name are read in one query per site.
func (r *Router) Route(ctx context.Context, queue job.Queue, found []Found) []Routed {
	read := sideBySide(ctx, r.quick, len(found), quickPatience,
		func(i int) reading { return r.read(queue, found[i], quickly()) },
		func(i int) reading { return unread(queue, found[i], errUnending) })
	return r.decideAll(ctx, read, found)
}

// decideAll decides about jobs that were read.
func (r *Router) decideAll(ctx context.Context, read []reading, found []Found) []Routed {
	out := make([]Routed, len(read))
	names := map[string][]string{}
	for i := range read {
		q := read[i].q
		if out[i].Queued = q; q.Site == "" || read[i].fault != nil {
			continue
		}
		wanted := names[q.Site]
		if q.RowName != "" {
			wanted = append(wanted, q.RowName)
		}
		names[q.Site] = wanted // also without rows: its Job Types are needed
	}
	runNext := slices.ContainsFunc(found, func(f Found) bool { return f.Whole })
	bySite := r.Sites.Find(ctx, names, runNext)
	for i := range out {
		if read[i].heavy {
			out[i].Verdict = Heavy
			continue
		}
		r.judge(ctx, &out[i], read[i], bySite[out[i].Site])
	}
	return out
}

// judge decides about one decoded job, and asks the policy about one that could run.
func (r *Router) judge(ctx context.Context, o *Routed, read reading, site sites.Found) {
	fault := read.fault
	if fault != nil {
		o.Verdict, fault = Foreign, job.Mark(fault, job.Permanent, 0)
	} else {
		o.Again = unreadyPause
		o.Verdict, fault = r.decide(o.Queued, site)
	}
	if o.Verdict == Ours && fault == nil && read.unfit != nil {
		o.Verdict, fault = Foreign, read.unfit
	}
	if o.Verdict == Ours && fault == nil {
		if a := r.Policy.Ask(ctx, Question(o.Queued, policy.AtClaim)); a.Verdict == policy.Wait {
			o.Verdict, o.Again = Held, a.Again
		}
	}
	if fault != nil && o.Queue.Own {
		o.Broken, o.Verdict = fault, Ours
	}
}

// Question is what the policy is asked of a job.
func Question(q *job.Queued, at policy.Moment) policy.Question {
	question := policy.Question{Moment: at, Site: q.Site}
	if q.JobType != nil {
		question.JobType, question.Organization = q.JobType.TypeName, q.Organization
	}
	return question
}

// decide says whether a decoded job is ours. An error says why it can't run here.
func (r *Router) decide(q *job.Queued, site sites.Found) (Verdict, error) {
	if q.Site == "" {
		return r.plain(q)
	}
	switch _, err := r.Sites.Site(q.Site); {
	case err == nil:
	case errors.Is(err, frappe.ErrNoSuchSite) && time.Since(q.Seen) >= r.RowGrace:
		return Foreign, job.Mark(err, job.Permanent, 0)
	default:
		return Unready, nil // bench moves a site's directory for a moment; a broken file is mended
	}
	if site.Err != nil && !errors.Is(site.Err, rows.ErrTableMissing) {
		return Unready, nil // the log has it
	}
	if q.RowName != "" {
		return r.byRow(q, site)
	}
	return r.byMethod(q, site.Types)
}

// plain routes a job that another program than Frappe enqueued.
func (r *Router) plain(q *job.Queued) (Verdict, error) {
	if q.Handler = r.Handlers[q.Method]; q.Handler != nil {
		return Ours, nil
	}
	return Foreign, &job.NoHandlerError{Method: q.Method, Queue: q.Queue.Kind}
}

// byMethod routes a job of frappe.enqueue that names a method.
func (r *Router) byMethod(q *job.Queued, types map[string]*rows.JobType) (Verdict, error) {
	q.JobType, q.Handler = r.match(types, q.Method)
	if q.Handler == nil {
		return Foreign, &job.NoHandlerError{Method: q.Method, Queue: q.Queue.Kind}
	}
	if argument, ok := q.Kwargs.Get("organization"); ok {
		q.Organization, _ = pickle.Base(argument).(string)
	}
	if q.JobType != nil {
		q.Organization = cmp.Or(q.Organization, r.DefaultOrganization)
		q.Priority, _ = job.PriorityOf(q.JobType.DefaultPriority)
	}
	return Ours, nil
}

// byRow routes a job that names a Background Job.
func (r *Router) byRow(q *job.Queued, site sites.Found) (Verdict, error) {
	row := site.ByName[q.RowName]
	switch {
	case site.Err != nil: // a table is missing
		return Foreign, job.Mark(site.Err, job.Permanent, 0)
	case row == nil && time.Since(q.Seen) < r.RowGrace:
		return Unready, nil
	case row == nil:
		return Foreign, job.Mark(fmt.Errorf("site %s has no Background Job %q, %s after its job was seen: was the transaction that made it rolled back?",
			q.Site, q.RowName, r.RowGrace), job.Permanent, 0)
	}
	size := max(row.ParametersSize, len(row.InputParameters))
	q.Memory += 2 * size
	q.Partly = size > len(row.InputParameters)
	q.Row, q.Organization, q.User = row, row.Organization, row.OwnerUser
	q.Priority, _ = job.PriorityOf(row.Priority)
	if q.JobType = site.Types[row.JobType]; q.JobType == nil {
		// Its handler may still be here; that the Job Type is gone is for admission to say, in the row.
		q.JobType = &rows.JobType{TypeName: row.JobType}
	}
	q.Method = row.JobType
	if q.Handler = r.handlerOf(q.JobType); q.Handler == nil {
		return Foreign, &job.NoHandlerError{Method: row.JobType, Queue: q.Queue.Kind}
	}
	return Ours, nil
}

// match finds what runs method: a handler of that name, and the Job Type of that handler_method or name.
func (r *Router) match(types map[string]*rows.JobType, method string) (*rows.JobType, *job.Handler) {
	jobType := types[method]
	if jobType == nil {
		for _, t := range types {
			if t.HandlerMethod == method && (jobType == nil || goesBefore(t, jobType)) {
				jobType = t
			}
		}
	}
	if jobType != nil {
		if h := r.handlerOf(jobType); h != nil {
			return jobType, h
		}
	}
	return nil, r.Handlers[method]
}

// goesBefore chooses between Job Types of the same handler_method: the first that is enabled.
func goesBefore(a, b *rows.JobType) bool {
	if a.Enabled != b.Enabled {
		return a.Enabled
	}
	return a.TypeName < b.TypeName
}

// handlerOf finds the handler of a Job Type, by its name or its handler_method; nil if there is none here.
func (r *Router) handlerOf(t *rows.JobType) *job.Handler {
	if h := r.Handlers[t.TypeName]; h != nil || t.HandlerMethod == "" {
		return h
	}
	return r.Handlers[t.HandlerMethod]
}

// Handled names those of a site's Job Types that have a handler here; the others are the Python engine's to care for.
func (r *Router) Handled(types map[string]*rows.JobType) (names []string) {
	for name, t := range types {
		if r.handlerOf(t) != nil {
			names = append(names, name)
		}
	}
	return names
}
