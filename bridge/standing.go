package bridge

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/waits"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Standing is where a job stands that isn't over.
type Standing struct {
	// Waits says why it doesn't run; empty if it has ended, or runs in a process that lives.
	Waits []Reason
	// Share is what its organization has of the site and of the bridges on its queue; nil unless it waits and has a row.
	Share *Share
	// Worker is the record of the worker that runs it; nil if none does, or the record is gone.
	Worker *rqcompat.Worker
	// Abandoned is a handler of the job that goes on although the job has ended; AbandonedBy is whose it is.
	Abandoned   *rqcompat.Abandoned
	AbandonedBy *rqcompat.Process
}

// Reason is one reason for which a job doesn't run.
type Reason = waits.Reason

// Stuck reports whether somebody has to do something before the job goes on.
func (s Standing) Stuck() bool {
	return slices.ContainsFunc(s.Waits, func(r Reason) bool { return r.Stuck })
}

// Standing finds out who runs a job that was inspected, or why nobody does. What can't be found out is left out.
func (c *Client) Standing(ctx context.Context, site string, in Inspection) (Standing, error) {
	e := c.explainer()
	a, err := e.LookAround(ctx)
	if err != nil {
		return Standing{}, err
	}
	in.Zone = cmp.Or(in.Zone, time.Local)
	s := Standing{}
	for i, p := range a.Processes {
		for j, left := range p.Abandoned {
			if in.Job != nil && left.JobID == in.Job.ID || in.Row != nil && left.Row == in.Row.Name {
				s.Abandoned, s.AbandonedBy = &p.Abandoned[j], &a.Processes[i]
				s.Abandoned.Since = left.Since.In(in.Zone)
			}
		}
	}
	switch {
	case runs(in):
		if i := slices.IndexFunc(a.Workers, func(k *rqcompat.Worker) bool { return in.Job != nil && k.Name == in.Job.WorkerName }); i >= 0 {
			s.Worker = a.Workers[i]
		} else if in.Row != nil {
			s.Waits = []Reason{{
				Rule: "worker", Why: "it is Running, and no worker is known that runs it: a running bridge gives it back when its lease is over",
				Stuck: len(a.Processes) == 0,
			}}
		}
	case !over(in):
		if s.Waits, err = c.waits(ctx, e, a, waits.Waiting{Site: site, Row: in.Row, Job: in.Job, Zone: in.Zone}); err == nil {
			s.Share, err = c.share(ctx, site, a, in)
		}
	}
	return s, err
}

func runs(in Inspection) bool {
	if in.Row != nil {
		return in.Row.Status == rows.StatusRunning
	}
	return in.Job.Status == rqcompat.StatusStarted
}

// over reports whether a job has ended.
func over(in Inspection) bool {
	if in.Row == nil {
		return in.Job.Status.Ended()
	}
	return in.Row.Status.Terminal()
}

// explainer says why jobs don't run.
func (c *Client) explainer() waits.Explainer {
	e := c.newExplainer(c.cfg, "client-"+rqcompat.NewExecutionID())
	e.Distances = true
	return e
}

// waits lists what keeps a job, the decisive first, its turn last.
func (c *Client) waits(ctx context.Context, e waits.Explainer, a waits.Around, w waits.Waiting) ([]Reason, error) {
	all, err := e.Explain(ctx, a, []waits.Waiting{w})
	if err != nil {
		return nil, err
	}
	reasons := all[0]
	failed := w.Row != nil && (w.Row.Status == rows.StatusFailed || w.Row.Status == rows.StatusTimedOut)
	switch {
	case failed, w.Job == nil:
		return reasons, nil
	case w.Job.Status == rqcompat.StatusStarted:
		claimed := "worker " + w.Job.WorkerName + " has claimed it and is about to start it"
		return append(reasons, Reason{Rule: "claim", Why: claimed, Stuck: len(a.Processes) == 0}), nil
	case w.Job.Status != rqcompat.StatusQueued:
		return reasons, nil
	}
	kind := e.Kind(w.Job.Origin)
	before, ok, err := c.rq.Position(ctx, w.Job.Origin, w.Job.ID)
	turn := Reason{Rule: "turn"}
	switch {
	case err != nil:
		return reasons, nil
	case !ok:
		turn = Reason{Rule: "delivery", Why: fmt.Sprintf("RQ says %s, but it doesn't stand on queue %s", w.Job.Status, kind)}
	case before == 0:
		turn.Why = "it is the first on queue " + kind
	default:
		turn.Why = fmt.Sprintf("%d stand before it on queue %s", before, kind)
	}
	return append(reasons, turn), nil
}
