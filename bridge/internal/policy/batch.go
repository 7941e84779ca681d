package policy

import (
	"context"
	"errors"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// batch refuses a row that somebody inserted into a batch that has ended, or that isn't of its organization. One that is
// closed takes it: it may have been inserted before. Of one that isn't there yet the transaction decides that makes it.
var batch = Rule{Name: "batch", Ask: func(ctx context.Context, f Facts, q Question) Answer {
	if q.Moment != AtDelivery || q.Row == nil || q.Row.Batch == "" || q.Row.Name == "" {
		return Answer{}
	}
	b, err := f.Batch(ctx, q.Site, q.Row.Batch)
	switch {
	case errors.Is(err, rows.ErrNoSuchBatch), err == nil && b.Organization != q.Row.Organization:
		return refuse(job.Refuse("BatchError", "batch %.140s doesn't exist", q.Row.Batch))
	case err != nil:
		return waitFor(Later, "its batch can't be read")
	case !b.Open() || b.Status == rows.BatchCanceled:
		return refuse(job.Refuse("BatchError", "batch %s is %s: it takes no more jobs", b.Name, b.Status))
	}
	return Answer{}
}}
