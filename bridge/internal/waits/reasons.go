// Package waits says why jobs don't run yet, in words: to who asks about one (Explainer), and in the rows of those that wait
// for more than their turn (Teller).
package waits

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Reason is one reason for which a job doesn't run. Package bridge publishes it.
type Reason struct {
	// Rule names what keeps the job, Why is what a person should know.
	Rule string `json:"rule"`
	Why  string `json:"why"`
	// Stuck says that this has no end of its own: somebody has to do something.
	Stuck bool `json:"stuck,omitempty"`
}

// ruleSlots is the rule of a job that waits for its turn only.
const ruleSlots = "slots"

// Waiting is a job that doesn't run.
type Waiting struct {
	Site string
	// Row is nil for a job without one, Job for a row without a delivery; at least one is there.
	Row *rows.BackgroundJob
	Job *rqcompat.Job
	// Zone is in which times are told.
	Zone *time.Location
}

// Explainer finds out what keeps jobs.
type Explainer struct {
	RQ interface {
		Holds(ctx context.Context) (rqcompat.Holds, error)
		Processes(ctx context.Context) ([]rqcompat.Process, error)
		Workers(ctx context.Context) ([]*rqcompat.Worker, error)
		Score(ctx context.Context, reg rqcompat.Registry, queue, id string) (score float64, ok bool, err error)
	}
	// Every gives the answers of all rules that have something against a job.
	Every    func(ctx context.Context, q policy.Question) []policy.Answer
	JobTypes func(ctx context.Context, site string) (map[string]*rows.JobType, error)
	// Router makes a router that has such handlers.
	Router func(handlers job.Handlers) *route.Router
	// Kind is a queue's name as the bench's configuration has it.
	Kind func(queue string) string
	// Distances says how far off a moment is as well, for who reads it now.
	Distances bool
}

// Around is what decides about every job of a bench.
type Around struct {
	Holds     rqcompat.Holds
	Processes []rqcompat.Process
	Workers   []*rqcompat.Worker
}

// LookAround reads it.
func (e Explainer) LookAround(ctx context.Context) (a Around, err error) {
	if a.Holds, err = e.RQ.Holds(ctx); err != nil {
		return a, err
	}
	// Of records that can't be read the others are still of use.
	if a.Processes, err = e.RQ.Processes(ctx); err != nil && rqcompat.Judge(err) == rqcompat.Away {
		return a, err
	}
	if a.Workers, err = e.RQ.Workers(ctx); err != nil && rqcompat.Judge(err) == rqcompat.Away {
		return a, err
	}
	return a, nil
}

// Bridges are the processes that work a queue.
func (a Around) Bridges(queue string) (on []rqcompat.Process) {
	for _, p := range a.Processes {
		if slices.Contains(p.Queues, queue) {
			on = append(on, p)
		}
	}
	return on
}

// python counts the Python workers on a queue.
func (a Around) python(queue string) (n int) {
	for _, k := range a.Workers {
		if !workers.IsOurs(k.Name) && slices.Contains(k.Queues, queue) {
			n++
		}
	}
	return n
}

// Explain lists what keeps each of the jobs, the decisive first; of one that only has to wait for its turn nothing, or that
// all slots are taken.
func (e Explainer) Explain(ctx context.Context, a Around, ws []Waiting) ([][]Reason, error) {
	reasons := make([][]Reason, len(ws))
	queued := map[string][]int{} // by queue
	for i, w := range ws {
		switch {
		case w.Row != nil && !w.Row.NextRetryAt.IsZero():
			reasons[i] = []Reason{e.retry(w.Row, e.isHandled(ctx, a, w))}
		case w.Row != nil && (w.Row.Status == rows.StatusFailed || w.Row.Status == rows.StatusTimedOut):
			reasons[i] = []Reason{{"retry", "it is " + string(w.Row.Status) + " and no retry is planned: bridge retry " + w.Row.Name + " queues it again", true}}
		case w.Job == nil && w.Row.Status == rows.StatusPending:
			reasons[i] = e.undelivered(ctx, a, w)
		case w.Job == nil || w.Row != nil && w.Job.Status.Ended():
			reasons[i] = []Reason{e.undeliveredAgain(ctx, a, w, "RQ has no job for it")}
		case w.Job.Status == rqcompat.StatusScheduled:
			due, ok, err := e.RQ.Score(ctx, rqcompat.Scheduled, w.Job.Origin, w.Job.ID)
			if err != nil {
				return nil, err
			}
			const nowhere = "RQ says scheduled, but it stands in no registry"
			switch {
			case ok:
				reasons[i] = []Reason{{"scheduled", "it is due " + e.when(time.Unix(int64(due), 0).In(w.Zone)), false}}
			case w.Row != nil:
				reasons[i] = []Reason{e.undeliveredAgain(ctx, a, w, nowhere)}
			default:
				reasons[i] = []Reason{{"delivery", nowhere + ": enqueue it again", true}}
			}
		case w.Job.Status == rqcompat.StatusDeferred:
			reasons[i] = []Reason{{"dependency", "it waits for the end of " + strings.Join(w.Job.DependencyIDs, ", "), false}}
		default:
			queued[w.Job.Origin] = append(queued[w.Job.Origin], i)
		}
	}
	for queue, of := range queued {
		e.queued(ctx, a, queue, ws, of, reasons)
	}
	return reasons, nil
}

// isHandled reports whether a process that runs has a handler for a row.
func (e Explainer) isHandled(ctx context.Context, a Around, w Waiting) bool {
	types, _ := e.JobTypes(ctx, w.Site) // unread, the Job Type's own name counts
	names := job.HandlerNames(types, w.Row.JobType)
	return slices.ContainsFunc(a.Processes, func(p rqcompat.Process) bool { return p.Handles(names...) })
}

// undelivered says why a Pending row isn't on its way yet: what policy says, and who would submit it.
func (e Explainer) undelivered(ctx context.Context, a Around, w Waiting) []Reason {
	reasons := e.byPolicy(ctx, w.Site, w.Row)
	submission := Reason{Rule: "submission"}
	switch {
	case len(a.Processes) == 0:
		submission = Reason{"submission", "it waits for a bridge to submit it: none runs", true}
	case !e.isHandled(ctx, a, w):
		submission = Reason{"submission", "it waits for a bridge that has a handler for " + w.Row.JobType + ": none that runs has one", true}
	case len(reasons) > 0:
		return reasons
	default:
		submission.Why = "it was inserted as a document: a bridge that runs submits it within seconds, or refuses it and says why"
	}
	return append(reasons, submission)
}

// undeliveredAgain is about a row that was on its way and isn't any more, since somebody died in between or is about to do it.
func (e Explainer) undeliveredAgain(ctx context.Context, a Around, w Waiting, rq string) Reason {
	return Reason{"delivery", "the row is " + string(w.Row.Status) + " and " + rq + ": a running bridge that has a handler for " +
		w.Row.JobType + " delivers it again within a minute", !e.isHandled(ctx, a, w)}
}

func (e Explainer) retry(row *rows.BackgroundJob, handled bool) Reason {
	when := e.when(row.NextRetryAt)
	if row.NextRetryAt.Before(time.Now()) {
		return Reason{"retry", "its retry was due " + when + ": only a running bridge that has a handler for " + row.JobType + " makes it", !handled}
	}
	if job.Snoozed(row) {
		return Reason{"snooze", job.WaitsForSnooze(when), false}
	}
	return Reason{"retry", job.WaitsForRetry(row.RetryCount+1, row.MaxRetries, when), false}
}

// when is a moment, perhaps with its distance.
func (e Explainer) when(t time.Time) string {
	d := time.Until(t).Round(time.Second)
	switch {
	case !e.Distances:
		return job.At(t)
	case d < 0:
		return fmt.Sprintf("%s (%s ago)", job.At(t), -d)
	}
	return fmt.Sprintf("%s (in %s)", job.At(t), d)
}

// queued lists what keeps those of the jobs that stand on one queue.
func (e Explainer) queued(ctx context.Context, a Around, queue string, ws []Waiting, of []int, reasons [][]Reason) {
	kind := e.Kind(queue)
	bridges, python := a.Bridges(queue), a.python(queue)
	var all []Reason
	if a.Holds.Suspended {
		all = append(all, Reason{"suspension", policy.Suspended, true})
	}
	if slices.Contains(a.Holds.Paused, queue) {
		all = append(all, Reason{"pause", fmt.Sprintf("queue %s is paused for bridges (bridge resume %s ends that)", kind, kind), true})
	}
	if len(bridges)+python == 0 {
		all = append(all, Reason{"workers", "nobody works queue " + kind, true})
	}
	var routed []route.Routed
	if len(bridges) > 0 {
		found := make([]route.Found, len(of))
		for i, w := range of {
			found[i].Job = ws[w].Job
		}
		routed = e.route(ctx, job.Queue{Name: queue, Kind: kind, Own: !isShared(bridges, queue)}, bridges, found)
	}
	for i, w := range of {
		reasons[w] = slices.Clone(all)
		if routed != nil {
			reasons[w] = append(reasons[w], e.byRoute(ctx, routed[i], bridges, python, kind)...)
		} else if row := ws[w].Row; row != nil {
			reasons[w] = append(reasons[w], e.byPolicy(ctx, ws[w].Site, row)...)
		}
	}
}

func isShared(bridges []rqcompat.Process, queue string) bool {
	return slices.ContainsFunc(bridges, func(p rqcompat.Process) bool { return slices.Contains(p.Shared, queue) })
}

// route routes jobs as those bridges do, but for those that take more than is spent on one among others.
func (e Explainer) route(ctx context.Context, queue job.Queue, bridges []rqcompat.Process, found []route.Found) []route.Routed {
	handlers := job.Handlers{}
	for _, p := range bridges {
		for _, name := range p.Handlers {
			handlers[name] = &job.Handler{}
		}
	}
	router := e.Router(handlers)
	if len(found) > 1 {
		return router.Route(ctx, queue, found)
	}
	one, err := route.One(ctx, router, queue, found[0])
	if err != nil {
		one.Verdict = route.Heavy
	}
	return []route.Routed{one}
}

// byRoute lists what keeps a job as it was routed.
func (e Explainer) byRoute(ctx context.Context, r route.Routed, bridges []rqcompat.Process, python int, kind string) (reasons []Reason) {
	switch {
	case r.Verdict == route.Heavy || r.Queued == nil:
		return nil
	case r.Verdict == route.Unready:
		reasons = append(reasons, Reason{"row", "the row or the site that it names can't be read", false})
	case r.Broken != nil:
		reasons = append(reasons, Reason{"handler", r.Broken.Error(), false})
	case r.Verdict == route.Foreign && python == 0:
		reasons = append(reasons, Reason{"handler", fmt.Sprintf("no running bridge has a handler for %q, and no Python worker works queue %s", r.Method, kind), true})
	}
	q := route.Question(r.Queued, policy.AtClaim)
	q.Limits = r.Limits
	reasons = append(reasons, e.rules(ctx, q, policy.AtClaim, policy.AtStart)...)
	if slots, left := fullSlots(bridges); slots > 0 && r.Verdict == route.Ours {
		reasons = append(reasons, Reason{ruleSlots, fmt.Sprintf("all %d slots are taken, %d of them by handlers that were abandoned", slots, left), left == slots})
	}
	return reasons
}

// byPolicy is what policy says of a row: of a Pending one also, why it isn't delivered.
func (e Explainer) byPolicy(ctx context.Context, site string, row *rows.BackgroundJob) []Reason {
	moments := []policy.Moment{policy.AtDelivery, policy.AtClaim, policy.AtStart}
	if row.Status != rows.StatusPending {
		moments = moments[1:]
	}
	return e.rules(ctx, policy.About(moments[0], site, row), moments...)
}

// rules lists what each rule of the policy says of a job at those moments that are still before it: for what it waits, and
// for what it will be refused.
func (e Explainer) rules(ctx context.Context, q policy.Question, moments ...policy.Moment) (reasons []Reason) {
	for _, q.Moment = range moments {
		for _, a := range e.Every(ctx, q) {
			if slices.ContainsFunc(reasons, func(r Reason) bool { return r.Rule == a.Rule }) {
				continue
			}
			why := a.Why
			if a.Verdict == policy.Refuse {
				why = "it will be refused: " + why
			}
			reasons = append(reasons, Reason{a.Rule, why, a.Stuck})
		}
	}
	return reasons
}

// fullSlots counts the slots of processes that have none left, and those that abandoned handlers hold; 0 if one has.
func fullSlots(bridges []rqcompat.Process) (slots, abandoned int) {
	for _, p := range bridges {
		if p.Running < p.Slots {
			return 0, 0
		}
		slots += p.Slots
		abandoned += len(p.Abandoned)
	}
	return slots, abandoned
}
