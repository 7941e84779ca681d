// Package route is step 2 of a job's life: decode what a queued job asks for, without running anything, and decide
// whose it is. It happens when its id is first seen on a queue, for most jobs once more after they were claimed, and
// changes nothing.
package route

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
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
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

	// fault is why it can't run here.
	fault error
	// caller has to be looked up before anything is done in somebody's name; nil if nobody has to be.
	caller *access.Caller
}

// Sites are what a router asks of the bench's sites.
type Sites interface {
	Site(name string) (*frappe.Site, error)
	Find(ctx context.Context, names map[string][]string, runNext bool) map[string]sites.Found
	Identify(ctx context.Context, callers map[string][]access.Caller) map[string]sites.Identified
	Parameter(ctx context.Context, site, path string, names []string) (map[string]json.RawMessage, error)
	RowsOfArrivals(ctx context.Context, site string, hashes []string) (map[string]*rows.BackgroundJob, error)
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
	// Caps are the limits of the configuration.
	Caps job.Caps
	// DefaultOrganization owns the rows of jobs that name none.
	DefaultOrganization string
	// TrustEnqueuer says that it isn't asked whether a caller is a member of the organization that he names.
	TrustEnqueuer bool
	// RowGrace is how long a job waits for the row, the site, or who else it names.
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
	quick wait.Turns
}

// NewRouter prepares a router.
func NewRouter(p Params) *Router {
	if p.Decode == nil {
		p.Decode = (*rqcompat.Job).CallWithin
	}
	p.Patience = cmp.Or(p.Patience, alonePatience)
	return &Router{Params: p, quick: quickTurns()}
}

// Route decides about a batch of jobs of one queue. The rows they name are read in one query per site, and so are those
// in whose name they are to run.
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
		out[i].Queued, out[i].fault = q, read[i].fault
		if q.Site == "" || read[i].fault != nil {
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
			out[i].Verdict, out[i].fault = Heavy, nil
			continue
		}
		r.judge(&out[i], bySite[out[i].Site])
	}
	r.identify(ctx, out)
	r.limit(ctx, out, found)
	for i := range out {
		r.conclude(ctx, &out[i], read[i].unfit)
	}
	return out
}

// judge decides about one decoded job, but for who calls.
func (r *Router) judge(o *Routed, site sites.Found) {
	if o.fault != nil {
		o.Verdict, o.fault = Foreign, job.Mark(o.fault, job.Permanent, 0)
		r.dropUnknownSite(o)
		return
	}
	o.Again = unreadyPause
	o.Verdict, o.fault = r.decide(o, site)
}

// dropUnknownSite leaves a site that isn't there no turn of its own.
func (r *Router) dropUnknownSite(o *Routed) {
	if _, err := r.Sites.Site(o.Site); errors.Is(err, frappe.ErrNoSuchSite) {
		o.Site = ""
	}
}

// conclude asks the policy about a job that could run, and makes one ours that has to fail here. unfit is why its arguments
// can't be handed on.
func (r *Router) conclude(ctx context.Context, o *Routed, unfit error) {
	if o.Verdict == Ours && o.fault == nil && unfit != nil {
		o.Verdict, o.fault = Foreign, unfit
	}
	if o.Verdict == Ours && o.fault == nil {
		if a := r.Policy.Ask(ctx, Question(o.Queued, policy.AtClaim)); a.Verdict == policy.Wait {
			o.Verdict, o.Again = Held, a.Again
		}
	}
	if o.fault != nil && (o.Queue.Own || o.Verdict == Ours) {
		o.Broken, o.Verdict = o.fault, Ours
	}
}

// Question is what the policy is asked of a job.
func Question(q *job.Queued, at policy.Moment) policy.Question {
	question := policy.Question{Moment: at, Site: q.Site, Queue: q.Queue.Kind, Row: q.Row}
	if q.JobType != nil {
		question.JobType, question.Organization, question.User = q.JobType.TypeName, q.Organization, q.User
	}
	return question
}

// decide says whether a decoded job is ours. An error says why it can't run here.
func (r *Router) decide(o *Routed, site sites.Found) (Verdict, error) {
	if o.Site == "" {
		return r.plain(o.Queued)
	}
	switch _, err := r.Sites.Site(o.Site); {
	case err == nil:
	case errors.Is(err, frappe.ErrNoSuchSite) && time.Since(o.Seen) >= r.RowGrace:
		o.Site = ""
		return Foreign, job.Mark(err, job.Permanent, 0)
	default:
		return Unready, nil // bench moves a site's directory for a moment; a broken file is mended
	}
	if site.Err != nil && !errors.Is(site.Err, rows.ErrTableMissing) {
		return Unready, nil // the log has it
	}
	if o.RowName != "" {
		return r.byRow(o, site)
	}
	return r.byMethod(o, site.Types)
}

// plain routes a job that another program than Frappe enqueued.
func (r *Router) plain(q *job.Queued) (Verdict, error) {
	if q.Handler = r.Handlers[q.Method]; q.Handler != nil {
		return Ours, nil
	}
	return Foreign, &job.NoHandlerError{Method: q.Method, Queue: q.Queue.Kind}
}

// byMethod routes a job of frappe.enqueue that names a method.
func (r *Router) byMethod(o *Routed, types map[string]*rows.JobType) (Verdict, error) {
	o.JobType, o.Handler = r.match(types, o.Method)
	if o.Handler == nil {
		return Foreign, &job.NoHandlerError{Method: o.Method, Queue: o.Queue.Kind}
	}
	if o.JobType != nil {
		o.Priority, _ = job.PriorityOf(o.JobType.DefaultPriority)
	}
	return Ours, r.callerOfMethod(o)
}

// byRow routes a job that names a Background Job.
func (r *Router) byRow(o *Routed, site sites.Found) (Verdict, error) {
	q := o.Queued
	row := site.ByName[q.RowName]
	switch {
	case site.Err != nil: // a table is missing
		return Foreign, job.Mark(site.Err, job.Permanent, 0)
	case row == nil && time.Since(q.Seen) < r.RowGrace:
		return Unready, nil
	case row == nil:
		return Foreign, job.Mark(fmt.Errorf("site %s has no Background Job %s, %s after its job was seen: was the transaction that made it rolled back?",
			q.Site, shown(q.RowName), r.RowGrace), job.Permanent, 0)
	}
	size := max(row.ParametersSize, len(row.InputParameters))
	q.Memory += 2 * size
	q.Partly = size > len(row.InputParameters)
	o.caller = r.callerOfRow(q.User, row)
	q.Row, q.RowName, q.Organization, q.User = row, row.Name, row.Organization, row.OwnerUser
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
