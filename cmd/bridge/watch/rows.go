package watch

import (
	"context"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Rows reads Background Jobs of the watched site.
type Rows interface {
	// Named returns those of the names that there are.
	Named(ctx context.Context, names []string) (map[string]*rows.BackgroundJob, error)
	// Open returns the newest jobs that have not ended for good, of one organization, or of all for "".
	Open(ctx context.Context, organization string, limit int) ([]*rows.BackgroundJob, error)
}

// SiteRows are the rows of a bench's site.
func SiteRows(p *rows.Pool, site string) Rows { return siteRows{p, site} }

type siteRows struct {
	pool *rows.Pool
	site string
}

// Named implements [Rows].
func (r siteRows) Named(ctx context.Context, names []string) (map[string]*rows.BackgroundJob, error) {
	db, err := r.pool.DB(ctx, r.site)
	if err != nil {
		return nil, err
	}
	return db.BackgroundJobs(ctx, names)
}

// Open implements [Rows].
func (r siteRows) Open(ctx context.Context, organization string, limit int) ([]*rows.BackgroundJob, error) {
	db, err := r.pool.DB(ctx, r.site)
	if err != nil {
		return nil, err
	}
	open, _, err := db.ListJobs(ctx, rows.ListFilter{Organization: organization, Limit: limit, Statuses: []rows.Status{
		rows.StatusPending, rows.StatusQueued, rows.StatusRunning, rows.StatusFailed, rows.StatusTimedOut,
	}})
	return open, err
}
