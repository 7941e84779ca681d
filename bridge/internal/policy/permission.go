package policy

import (
	"context"
	"errors"
	"fmt"
)

// ErrNotPermitted says that a Job Type asks for a permission that the submitter lacks. Package bridge publishes it.
var ErrNotPermitted = errors.New("the Job Type asks for a permission that the user lacks")

// permission refuses a submitter who may not create documents of the DocType that the Job Type names, and once more when the
// job starts: he may have lost that meanwhile.
var permission = Rule{Name: "permission", Ask: func(ctx context.Context, f Facts, q Question) Answer {
	atSubmission := q.Moment == AtSubmission
	if !atSubmission && q.Moment != AtStart || q.JobType == "" || q.User == "" {
		return Answer{}
	}
	types, err := f.JobTypes(ctx, q.Site)
	t := types[q.JobType]
	if err == nil && (t == nil || t.RequiresPermission == "") {
		return Answer{}
	}
	may := false
	if err == nil {
		may, err = f.MayCreate(ctx, q.Site, q.User, t.RequiresPermission)
	}
	switch {
	case err != nil && atSubmission:
		return refuse(err)
	case err != nil:
		return unknown(q, err)
	case !may && atSubmission:
		return refuse(fmt.Errorf("site %s: %w: %s may not create %s, which %s requires", q.Site, ErrNotPermitted, q.User, t.RequiresPermission, q.JobType))
	case !may:
		return refuse(denied("%s may not create %s, which Job Type %s requires", q.User, t.RequiresPermission, q.JobType))
	}
	return Answer{}
}}
