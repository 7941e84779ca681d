package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// Reasons for which a Job Type takes no job. Package bridge publishes and documents them.
var (
	ErrNoSuchJobType   = errors.New("no such Job Type")
	ErrJobTypeDisabled = errors.New("the Job Type is disabled")
)

// jobType refuses jobs of a Job Type that is gone or disabled. A site that can't be asked refuses submissions only.
var jobType = Rule{Name: "job type", Ask: func(ctx context.Context, f Facts, q Question) Answer {
	if q.JobType == "" || q.Moment == AtDelivery || q.Moment == AtClaim {
		return Answer{}
	}
	types, err := f.JobTypes(ctx, q.Site)
	atSubmission := q.Moment == AtSubmission
	switch t := types[q.JobType]; {
	case err != nil && atSubmission:
		return refuse(err)
	case err != nil:
		return Answer{}
	case t == nil && atSubmission:
		return refuse(fmt.Errorf("site %s: %w: %q", q.Site, ErrNoSuchJobType, q.JobType))
	case t == nil:
		return refuse(job.Refuse("JobTypeError", "Job Type %q no longer exists", q.JobType))
	case !t.Enabled && atSubmission:
		return refuse(fmt.Errorf("site %s: %w: %q", q.Site, ErrJobTypeDisabled, q.JobType))
	case !t.Enabled:
		return refuse(job.Refuse("JobTypeError", "Job Type %q is disabled", q.JobType))
	}
	return Answer{}
}}
