package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Inspection is everything that is known of one job.
type Inspection struct {
	// Row and History are the site's view; Row is nil for a job without one.
	Row     *rows.BackgroundJob
	History []rows.LogEntry
	// Job and Results are RQ's view; Job is nil when its hash is gone.
	Job     *rqcompat.Job
	Results []rqcompat.Result
}

// Inspect collects what the row, its log and RQ know of a job. name is a Background Job's or an RQ job id, with or
// without the site's prefix. A name that neither knows is rows.ErrNoSuchJob.
func (c *Client) Inspect(ctx context.Context, site, name string) (Inspection, error) {
	var in Inspection
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return in, err
	}
	ids := []string{name, c.cfg.Bench.JobID(site, name)}
	if in.Row, err = findRow(ctx, db, name, ids); err != nil {
		return in, err
	}
	if in.Row != nil {
		if in.History, err = db.History(ctx, in.Row.Name); err != nil {
			return in, err
		}
		ids = append(ids, sites.ArrivalOf(in.History))
	}
	if in.Job, in.Results, err = c.findJob(ctx, ids); err != nil {
		return in, err
	}
	if in.Row == nil && in.Job == nil {
		return in, fmt.Errorf("site %s: %q is neither a Background Job nor an RQ job: %w", site, name, rows.ErrNoSuchJob)
	}
	return in, nil
}

// findRow reads the row of that name, else the one that was made for an RQ job of one of the ids; nil if there is none.
func findRow(ctx context.Context, db *rows.DB, name string, ids []string) (*rows.BackgroundJob, error) {
	row, err := noneIsNil(db.BackgroundJob(ctx, name))
	for _, id := range ids {
		if row != nil || err != nil {
			break
		}
		row, err = noneIsNil(db.FindByHash(ctx, sites.ArrivalHash(id)))
	}
	return row, err
}

func noneIsNil(row *rows.BackgroundJob, err error) (*rows.BackgroundJob, error) {
	if errors.Is(err, rows.ErrNoSuchJob) || errors.Is(err, rows.ErrTableMissing) {
		return nil, nil
	}
	return row, err
}

// findJob reads the first of the RQ jobs that exists.
func (c *Client) findJob(ctx context.Context, ids []string) (*rqcompat.Job, []rqcompat.Result, error) {
	for _, id := range ids {
		if id == "" {
			continue
		}
		j, err := c.rq.Fetch(ctx, id)
		if j != nil {
			results, err := c.rq.Results(ctx, id)
			return j, results, err
		}
		if !errors.Is(err, rqcompat.ErrNoSuchJob) {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}
