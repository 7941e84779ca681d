package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// ErrNotMember says that the user may not submit for the organization. Package bridge publishes it.
var ErrNotMember = errors.New("the user may not submit for the organization")

// notMember says what somebody would have to be.
const notMember = "neither an active member of it nor a System Manager, and bridge.trust_enqueuer is not set"

// membership refuses who submits for an organization that he doesn't belong to, or is disabled; and once more when the job
// starts: he may have been so meanwhile.
func membership(o Options) Rule {
	return Rule{Name: "membership", Ask: func(ctx context.Context, f Facts, q Question) Answer {
		atSubmission := q.Moment == AtSubmission
		if !atSubmission && q.Moment != AtStart || q.JobType == "" || q.User == "" {
			return Answer{}
		}
		standing, err := f.Standing(ctx, q.Site, q.User, q.Organization)
		stranger := !standing.Member && !o.TrustEnqueuer && !slices.Contains(o.Open, q.Organization)
		switch {
		case err != nil && atSubmission:
			return refuse(err)
		case err != nil:
			return unknown(q, err)
		case !standing.Enabled && atSubmission:
			return refuse(fmt.Errorf("site %s: %w: %s is disabled", q.Site, ErrNotMember, q.User))
		case !standing.Enabled:
			return refuse(denied("%s is disabled, or no user of site %s any more", q.User, q.Site))
		case stranger && atSubmission:
			return refuse(fmt.Errorf("site %s: %w: %s doesn't belong to organization %s: %s", q.Site, ErrNotMember, q.User, q.Organization, notMember))
		case stranger:
			return refuse(denied("%s doesn't belong to organization %s any more: %s", q.User, q.Organization, notMember))
		}
		return Answer{}
	}}
}

// denied is the error of a job whose owner has lost what he needs; no retry mends it.
func denied(format string, args ...any) error {
	return job.Refuse("PermissionError", "Permission denied: "+format, args...)
}
