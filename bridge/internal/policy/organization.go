package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// ErrOrganizationDissolved says that the organization takes no jobs any more.
var ErrOrganizationDissolved = errors.New("the organization is dissolved")

// organization holds jobs of a suspended organization, on their queues, and refuses those of one that is gone, as jobType does;
// a row that still waits to be delivered needn't come to its queue for that.
var organization = Rule{Name: "organization", Ask: func(ctx context.Context, f Facts, q Question) Answer {
	if q.JobType == "" {
		return Answer{}
	}
	org, err := f.Organization(ctx, q.Site, q.Organization)
	missing := errors.Is(err, rows.ErrNoSuchOrganization)
	switch {
	case err != nil && q.Moment == AtSubmission:
		return refuse(err)
	case err != nil && !missing:
		return Answer{}
	case !missing && org.Suspended() && q.Moment >= AtClaim:
		return stuck("organization " + q.Organization + " is suspended: its status is " + org.Status)
	case !missing && org.Status != rows.OrganizationDissolved, q.Moment == AtClaim:
		return Answer{}
	case q.Moment == AtSubmission:
		return refuse(fmt.Errorf("site %s: %w: %q", q.Site, ErrOrganizationDissolved, q.Organization))
	}
	return refuse(job.Refuse("OrganizationError", "Organization not found: %s", q.Organization))
}}

// NeedsOrganization refuses a job of a Job Type that names no organization, before it has a row.
func NeedsOrganization(jobType string) error {
	return job.Refuse("OrganizationError",
		"%s is a Job Type and needs an organization: pass organization=… to frappe.enqueue, or set bridge.default_organization", jobType)
}
