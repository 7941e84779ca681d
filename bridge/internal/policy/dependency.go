package policy

import (
	"context"
	"strings"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// dependency holds a job until all that it depends on has completed, and refuses one of which something never will. Of
// one that isn't there yet the transaction decides that makes it. A job that was on its way before is asked about again: who retries a dead
// letter by hand has it wait as well, but for parents that are gone by then.
var dependency = Rule{Name: "dependency", Ask: func(ctx context.Context, f Facts, q Question) Answer {
	if q.Row == nil || q.Row.Name == "" || q.Moment == AtSubmission || q.Moment >= AtClaim && (q.Row.DependsOn == "" || q.Row.Status.Terminal()) {
		return Answer{}
	}
	var parents []rows.Parent
	if q.Parents != nil {
		parents = *q.Parents
	} else if read, err := f.Parents(ctx, q.Site, q.Row); err != nil {
		return waitFor(Later, "what it depends on can't be read")
	} else {
		parents = read
	}
	var first *rows.Parent // that hasn't ended
	for i, p := range parents {
		gone := p.Status == "" || p.Organization != q.Row.Organization // a foreign job is one that doesn't exist
		switch {
		case gone && q.Moment == AtDelivery:
			return refuse(job.Refuse("DependencyError", "%s", rows.MissingParent(p.Name)))
		case gone, p.Status == rows.StatusCompleted:
		case p.Status.Terminal():
			return refuse(job.Refuse("DependencyError", "%s", rows.EndedParent(p.Name, p.Status)))
		case first == nil:
			first = &parents[i]
		}
	}
	if first == nil {
		return Answer{}
	}
	if q.Moment == AtDelivery {
		if way := cycle(ctx, f, q, parents); way != nil {
			return refuse(job.Refuse("DependencyError", "it waits for itself: %s", strings.Join(append(way, way[0]), " depends on ")))
		}
	}
	return waitFor(Later, first.Waits())
}}

// cycle is the way from a job back to itself. Each cycle has a job that depends on one no older, and whoever made it so wrote
// that job: only there the way is followed. What can't be read is asked the next time.
func cycle(ctx context.Context, f Facts, q Question, parents []rows.Parent) []string {
	for _, p := range parents {
		if !p.Creation.Before(q.Row.Creation) && !p.Status.Terminal() {
			way, _ := f.Cycle(ctx, q.Site, q.Row)
			return way
		}
	}
	return nil
}
