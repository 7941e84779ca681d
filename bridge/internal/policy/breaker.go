package policy

import (
	"context"
	"fmt"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// breaker holds the jobs of a Job Type and an organization whose attempts failed again and again, until one of them is tried. It is
// the last rule: what it lets through as the trial, nobody else refuses.
var breaker = Rule{Name: "breaker", Ask: func(ctx context.Context, f Facts, q Question) Answer {
	if q.Moment < AtClaim || q.JobType == "" {
		return Answer{}
	}
	open, err := f.Breakers(ctx, q.Site)
	if err != nil {
		return unknown(q, err)
	}
	for _, b := range open {
		if b.JobType != q.JobType || b.Organization != q.Organization {
			continue
		}
		left := b.Until().Sub(f.Clock(ctx))
		if left <= 0 {
			return Answer{Trial: b.Name}
		}
		return waitFor(min(left, Later), Opened(b))
	}
	return Answer{}
}}

// Opened tells a person why the jobs of a breaker wait, and for what. Of the jobs that failed it says nothing: they are others'.
func Opened(b *rows.Breaker) string {
	text := fmt.Sprintf("the circuit breaker of %s for %s is open: %d of %d attempts failed", b.JobType, b.Organization, b.Failures, b.Attempts)
	if b.Status == rows.BreakerTrial {
		return text + "; one job is being tried, the others wait for what comes of it"
	}
	return text + "; one job is tried " + job.At(b.NextTrialAt)
}
