package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// LimitsPoll is when to ask again about a limit that is used up: what it counts may end at any time.
const LimitsPoll = 250 * time.Millisecond

// caps says which limit holds a job, to who asks why it waits. Only the claim can hold to them, in the step that takes the
// job; so nobody else names limits.
var caps = Rule{Name: "limit", Ask: func(ctx context.Context, f Facts, q Question) Answer {
	limits, places := q.Limits.List()
	if q.Moment != AtClaim || len(limits) == 0 {
		return Answer{}
	}
	uses, err := f.LimitUses(ctx, limits)
	if err != nil {
		return Answer{}
	}
	for i, l := range limits {
		if uses[i].Used < l.Most {
			continue
		}
		a := waitFor(LimitsPoll, used(places[i], l.Most, q))
		if l.Window > 0 {
			a.Again = max(time.Until(uses[i].Frees), time.Millisecond)
			a.Why += fmt.Sprintf(" within %s; the next starts in %s", l.Window, a.Again.Round(time.Second))
		}
		return a
	}
	return Answer{}
}}

// used tells a person which limit is used up.
func used(place, most int, q Question) string {
	jobs := "jobs"
	if most == 1 {
		jobs = "job"
	}
	switch place {
	case job.LimitOrganization:
		return fmt.Sprintf("organization %s has its %d running %s", q.Organization, most, jobs)
	case job.LimitJobType:
		return fmt.Sprintf("Job Type %s has its %d running %s", q.JobType, most, jobs)
	case job.LimitJobTypeInOrganization:
		return fmt.Sprintf("Job Type %s has its %d running %s of organization %s", q.JobType, most, jobs, q.Organization)
	case job.LimitKeyRunning:
		return fmt.Sprintf("Job Type %s has its %d running %s of organization %s with the same key", q.JobType, most, jobs, q.Organization)
	}
	return fmt.Sprintf("of Job Type %s %d %s of organization %s with the same key have started", q.JobType, most, jobs, q.Organization)
}
