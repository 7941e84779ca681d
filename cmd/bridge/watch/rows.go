package watch

import (
	"context"

	"github.com/opensoft/dartwing-bridge/frappe"
)

// Rows reads Background Jobs of the watched site.
type Rows interface {
	// Named returns those of the names that there are.
	Named(ctx context.Context, names []string) (map[string]*frappe.BackgroundJob, error)
	// Open returns the newest jobs that have not ended for good, of one organization, or of all for "".
	Open(ctx context.Context, organization string, limit int) ([]*frappe.BackgroundJob, error)
}

// SiteRows are the rows of a bench's site.
func SiteRows(b *frappe.Bench, site string) Rows { return siteRows{b, site} }

type siteRows struct {
	bench *frappe.Bench
	site  string
}

func (r siteRows) db(ctx context.Context) (*frappe.DB, error) {
	site, err := r.bench.Site(r.site)
	if err != nil {
		return nil, err
	}
	return site.DB(ctx)
}

// Named implements [Rows].
func (r siteRows) Named(ctx context.Context, names []string) (map[string]*frappe.BackgroundJob, error) {
	db, err := r.db(ctx)
	if err != nil {
		return nil, err
	}
	return db.BackgroundJobs(ctx, names)
}

// Open implements [Rows].
func (r siteRows) Open(ctx context.Context, organization string, limit int) ([]*frappe.BackgroundJob, error) {
	db, err := r.db(ctx)
	if err != nil {
		return nil, err
	}
	rows, _, err := db.ListJobs(ctx, frappe.ListFilter{Organization: organization, Limit: limit, Statuses: []frappe.Status{
		frappe.StatusPending, frappe.StatusQueued, frappe.StatusRunning, frappe.StatusFailed, frappe.StatusTimedOut,
	}})
	return rows, err
}
