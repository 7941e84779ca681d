package policy

import (
	"context"
	"slices"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// membership refuses a job whose owner is disabled by now, or doesn't belong to its organization any more. It is asked when a
// row is about to run: at its submission whoever took it in has asked.
func membership(o Options) Rule {
	return Rule{Name: "membership", Ask: func(ctx context.Context, f Facts, q Question) Answer {
		if q.Moment != AtStart || q.JobType == "" || q.User == "" {
			return Answer{}
		}
		standing, err := f.Standing(ctx, q.Site, q.User, q.Organization)
		switch {
		case err != nil:
			return unknown(q, err)
		case !standing.Enabled:
			return refuse(denied("%s is disabled, or no user of site %s any more", q.User, q.Site))
		case !standing.Member && !o.TrustEnqueuer && !slices.Contains(o.Open, q.Organization):
			return refuse(denied("%s doesn't belong to organization %s any more: neither an active member of it nor a System Manager, "+
				"and bridge.trust_enqueuer is not set", q.User, q.Organization))
		}
		return Answer{}
	}}
}

// denied is the error of a job whose owner has lost what he needs; no retry mends it.
func denied(format string, args ...any) error {
	return job.Refuse("PermissionError", "Permission denied: "+format, args...)
}
