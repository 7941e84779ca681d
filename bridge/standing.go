package bridge

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Standing is where a job stands that isn't over.
type Standing struct {
	// Waits says why it doesn't run; empty if it runs or has ended.
	Waits []Reason
	// Worker is the record of the worker that runs it; nil if none does, or the record is gone.
	Worker *rqcompat.Worker
	// Abandoned is a handler of the job that goes on although the job has ended; AbandonedBy is whose it is.
	Abandoned   *rqcompat.Abandoned
	AbandonedBy *rqcompat.Process
}

// Reason is one reason for which a job doesn't run: the name of the rule that keeps it, and what a person should know.
type Reason struct {
	Rule string `json:"rule"`
	Why  string `json:"why"`
}

// Standing finds out who runs a job that was inspected, or why nobody does. What can't be found out is left out.
func (c *Client) Standing(ctx context.Context, site string, in Inspection) (Standing, error) {
	w, err := c.lookAround(ctx)
	if err != nil {
		return Standing{}, err
	}
	in.Zone = cmp.Or(in.Zone, time.Local)
	s := Standing{}
	for i, p := range w.processes {
		for j, a := range p.Abandoned {
			if in.Job != nil && a.JobID == in.Job.ID || in.Row != nil && a.Row == in.Row.Name {
				s.Abandoned, s.AbandonedBy = &p.Abandoned[j], &w.processes[i]
				s.Abandoned.Since = a.Since.In(in.Zone)
			}
		}
	}
	switch {
	case runs(in):
		if i := slices.IndexFunc(w.workers, func(k *rqcompat.Worker) bool { return in.Job != nil && k.Name == in.Job.WorkerName }); i >= 0 {
			s.Worker = w.workers[i]
		}
	case !over(in):
		s.Waits, err = c.waits(ctx, site, in, w)
	}
	return s, err
}

func runs(in Inspection) bool {
	if in.Row != nil {
		return in.Row.Status == rows.StatusRunning
	}
	return in.Job.Status == rqcompat.StatusStarted
}

// over reports whether nothing will happen to a job by itself.
func over(in Inspection) bool {
	if in.Row == nil {
		return in.Job.Status.Ended()
	}
	failed := in.Row.Status == rows.StatusFailed || in.Row.Status == rows.StatusTimedOut
	return in.Row.Status.Terminal() || failed && in.Row.NextRetryAt.IsZero()
}

// surroundings are what decides about every job of a bench.
type surroundings struct {
	holds     rqcompat.Holds
	processes []rqcompat.Process
	workers   []*rqcompat.Worker
}

func (c *Client) lookAround(ctx context.Context) (w surroundings, err error) {
	if w.holds, err = c.rq.Holds(ctx); err != nil {
		return w, err
	}
	// Of records that can't be read the others are still of use.
	if w.processes, err = c.rq.Processes(ctx); err != nil && rqcompat.Judge(err) == rqcompat.Away {
		return w, err
	}
	if w.workers, err = c.rq.Workers(ctx); err != nil && rqcompat.Judge(err) == rqcompat.Away {
		return w, err
	}
	return w, nil
}

// bridges are the processes that work a queue.
func (w surroundings) bridges(queue string) (on []rqcompat.Process) {
	for _, p := range w.processes {
		if slices.Contains(p.Queues, queue) {
			on = append(on, p)
		}
	}
	return on
}

// python counts the Python workers on a queue.
func (w surroundings) python(queue string) (n int) {
	for _, k := range w.workers {
		if !strings.HasPrefix(k.Name, WorkerPrefix) && slices.Contains(k.Queues, queue) {
			n++
		}
	}
	return n
}

// waits lists what keeps a job, the decisive first.
func (c *Client) waits(ctx context.Context, site string, in Inspection, w surroundings) ([]Reason, error) {
	switch {
	case in.Row != nil && !in.Row.NextRetryAt.IsZero():
		return []Reason{retryReason(in.Row, time.Now())}, nil
	case in.Job == nil && in.Row.Status == rows.StatusPending:
		return c.unsubmitted(ctx, site, in.Row, w), nil
	case in.Job == nil || in.Row != nil && in.Job.Status.Ended():
		return []Reason{{"delivery", "the row is " + string(in.Row.Status) + " and RQ has no job for it: a running bridge that has a handler for " +
			in.Row.JobType + " delivers it again within a minute"}}, nil
	case in.Job.Status == rqcompat.StatusScheduled:
		due, ok, err := c.rq.Score(ctx, rqcompat.Scheduled, in.Job.Origin, in.Job.ID)
		if !ok || err != nil {
			return nil, err
		}
		return []Reason{{"scheduled", "it is due " + when(time.Unix(int64(due), 0).In(in.Zone), time.Now())}}, nil
	case in.Job.Status == rqcompat.StatusDeferred:
		return []Reason{{"dependency", "it waits for the end of " + strings.Join(in.Job.DependencyIDs, ", ")}}, nil
	}
	return c.queued(ctx, site, in, w)
}

// unsubmitted says why a row that somebody inserted isn't on its way yet.
func (c *Client) unsubmitted(ctx context.Context, site string, row *rows.BackgroundJob, w surroundings) (waits []Reason) {
	names := []string{row.JobType}
	if types, err := c.sites.JobTypes(ctx, site); err == nil && types[row.JobType] != nil {
		names = append(names, types[row.JobType].HandlerMethod)
	}
	has := func(p rqcompat.Process) bool {
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(p.Handlers, name) })
	}
	why := "it was inserted as a document: a bridge that runs submits it within seconds, or refuses it and says why"
	switch {
	case len(w.processes) == 0:
		why = "it was inserted as a document and waits for a bridge to submit it: none runs"
	case !slices.ContainsFunc(w.processes, has):
		why = "it was inserted as a document and waits for a bridge that has a handler for " + row.JobType + ": none that runs has one"
	}
	if c.sites.Maintenance(site) {
		waits = append(waits, Reason{"maintenance", "site " + site + " is in maintenance mode"})
	}
	return append(waits, Reason{"submission", why})
}

func retryReason(row *rows.BackgroundJob, now time.Time) Reason {
	if row.NextRetryAt.Before(now) {
		return Reason{"retry", "its retry was due " + when(row.NextRetryAt, now) + ": only a running bridge that has a handler for " + row.JobType + " makes it"}
	}
	return Reason{"retry", fmt.Sprintf("retry %d of %d is due %s", row.RetryCount+1, row.MaxRetries, when(row.NextRetryAt, now))}
}

const clock = "2006-01-02 15:04:05 MST"

// when is a moment with its distance.
func when(t, now time.Time) string {
	d := t.Sub(now).Round(time.Second)
	if d < 0 {
		return fmt.Sprintf("at %s (%s ago)", t.Format(clock), -d)
	}
	return fmt.Sprintf("at %s (in %s)", t.Format(clock), d)
}

// queued lists what keeps a job that stands on its queue.
func (c *Client) queued(ctx context.Context, site string, in Inspection, w surroundings) (waits []Reason, err error) {
	queue := in.Job.Origin
	kind := cmp.Or(c.cfg.Bench.QueueTypeOf(queue), queue)
	bridges, python := w.bridges(queue), w.python(queue)
	add := func(rule, format string, args ...any) {
		waits = append(waits, Reason{rule, fmt.Sprintf(format, args...)})
	}
	if w.holds.Suspended {
		add("suspension", policy.Suspended)
	}
	if slices.Contains(w.holds.Paused, queue) {
		add("pause", "queue %s is paused for bridges (bridge resume %s ends that)", kind, kind)
	}
	if len(bridges)+python == 0 {
		add("workers", "nobody works queue %s", kind)
	}
	if len(bridges) > 0 {
		r, err := c.routeAs(ctx, in.Job, bridges)
		if err != nil {
			return waits, err
		}
		switch {
		case r.Verdict == route.Unready:
			add("row", "the row or the site that it names can't be read")
		case r.Broken != nil:
			add("handler", "%v", r.Broken)
		case r.Verdict == route.Foreign && python == 0:
			add("handler", "no running bridge has a handler for %q, and no Python worker works queue %s", r.Method, kind)
		}
		if answer := c.askBoth(ctx, r.Queued); answer.Verdict == policy.Wait {
			add(answer.Rule, "%s", answer.Why)
		}
		if slots, left := fullSlots(bridges); slots > 0 && r.Verdict == route.Ours {
			add("slots", "all %d slots are taken, %d of them by handlers that were abandoned", slots, left)
		}
	} else if in.Row != nil {
		question := policy.Question{Moment: policy.AtStart, Site: site, JobType: in.Row.JobType, Organization: in.Row.Organization}
		if answer := c.policy.Ask(ctx, question); answer.Verdict != policy.Go {
			add(answer.Rule, "%s", answer.Why)
		}
	}
	before, ok, err := c.rq.Position(ctx, queue, in.Job.ID)
	switch {
	case err != nil:
	case !ok:
		add("delivery", "RQ says %s, but it doesn't stand on queue %s", in.Job.Status, kind)
	case before == 0:
		add("turn", "it is the first on queue %s", kind)
	default:
		add("turn", "%d stand before it on queue %s", before, kind)
	}
	return waits, err
}

// routeAs routes a job as those bridges do.
func (c *Client) routeAs(ctx context.Context, j *rqcompat.Job, bridges []rqcompat.Process) (route.Routed, error) {
	handlers := job.Handlers{}
	for _, p := range bridges {
		for _, name := range p.Handlers {
			handlers[name] = &job.Handler{}
		}
	}
	shared := slices.ContainsFunc(bridges, func(p rqcompat.Process) bool { return slices.Contains(p.Shared, j.Origin) })
	router := c.newRouter(c.cfg, handlers, "client-"+rqcompat.NewExecutionID())
	queue := job.Queue{Name: j.Origin, Kind: c.cfg.Bench.QueueTypeOf(j.Origin), Own: !shared}
	return route.One(ctx, router, queue, route.Found{Job: j})
}

// askBoth asks what is asked before the claim, then what is asked before the start.
func (c *Client) askBoth(ctx context.Context, q *job.Queued) policy.Answer {
	answer := c.policy.Ask(ctx, route.Question(q, policy.AtClaim))
	if answer.Verdict == policy.Go {
		answer = c.policy.Ask(ctx, route.Question(q, policy.AtStart))
	}
	return answer
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
