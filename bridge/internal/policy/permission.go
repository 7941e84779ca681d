package policy

import (
	"context"
	"errors"
	"fmt"
)

// ErrNotPermitted says that a Job Type asks for a permission that the submitter lacks. Package bridge publishes it.
var ErrNotPermitted = errors.New("the Job Type asks for a permission that the user lacks")

// permission refuses a submitter who may not create documents of the DocType that the Job Type names.
var permission = Rule{Name: "permission", Ask: func(ctx context.Context, f Facts, q Question) Answer {
	if q.Moment != AtSubmission || q.User == "" {
		return Answer{}
	}
	types, err := f.JobTypes(ctx, q.Site)
	if err != nil {
		return refuse(err)
	}
	t := types[q.JobType]
	if t == nil || t.RequiresPermission == "" {
		return Answer{}
	}
	switch may, err := f.MayCreate(ctx, q.Site, q.User, t.RequiresPermission); {
	case err != nil:
		return refuse(err)
	case !may:
		return refuse(fmt.Errorf("site %s: %w: %s may not create %s, which %s requires", q.Site, ErrNotPermitted, q.User, t.RequiresPermission, q.JobType))
	}
	return Answer{}
}}
