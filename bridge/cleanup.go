package bridge

import (
	"context"

	"github.com/opensoft/dartwing-bridge/bridge/internal/maintenance"
)

// Cleaned says of how many rows a site was, or would be, freed: those Deleted, by status, the Batches that had no job any more
// (CountCleanup doesn't know), and those GivenUp, which nobody retried and which are dead letters now.
type Cleaned = maintenance.Cleaned

// Cleanup does for one site what an Engine does once an hour: it deletes jobs that ended longer ago than keep says, with
// their logs, and makes dead letters of what nobody retries. A row that another transaction has locked, or on which a job
// depends that may still run, stays. It takes as long as it takes, with pauses; done, which may be nil, is told after each
// hundred rows.
func (c *Client) Cleanup(ctx context.Context, site string, keep Retention, done func(Cleaned)) (Cleaned, error) {
	cleaner := c.cleaner(c.cfg)
	cleaner.Keep = keep
	return cleaner.Clean(ctx, site, func(so Cleaned) bool {
		if done != nil {
			done(so)
		}
		return ctx.Err() == nil
	})
}

// CountCleanup says what Cleanup would do.
func (c *Client) CountCleanup(ctx context.Context, site string, keep Retention) (Cleaned, error) {
	cleaner := c.cleaner(c.cfg)
	cleaner.Keep = keep
	return cleaner.Count(ctx, site)
}

// cleaner deletes what is older than the configuration says.
func (c *connections) cleaner(cfg Config) maintenance.Cleaner {
	return maintenance.Cleaner{CleanerParams: maintenance.CleanerParams{
		RQ: c.rq, Rows: c.sites, Keep: cfg.Retention, Deleted: c.desk.Deleted,
	}}
}
