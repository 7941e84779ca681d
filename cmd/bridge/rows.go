package main

import (
	"context"

	"github.com/opensoft/dartwing-bridge/frappe"
)

// rowSource reads rows of the watched site.
type rowSource interface {
	named(ctx context.Context, names []string) (map[string]*frappe.BackgroundJob, error)
	open(ctx context.Context, organization string, limit int) ([]*frappe.BackgroundJob, error)
}

// siteRows reads rows of a bench's site.
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

func (r siteRows) named(ctx context.Context, names []string) (map[string]*frappe.BackgroundJob, error) {
	db, err := r.db(ctx)
	if err != nil {
		return nil, err
	}
	return db.BackgroundJobs(ctx, names)
}

func (r siteRows) open(ctx context.Context, organization string, limit int) ([]*frappe.BackgroundJob, error) {
	db, err := r.db(ctx)
	if err != nil {
		return nil, err
	}
	rows, _, err := db.ListJobs(ctx, frappe.ListFilter{Organization: organization, Limit: limit, Statuses: []frappe.Status{
		frappe.StatusPending, frappe.StatusQueued, frappe.StatusRunning, frappe.StatusFailed, frappe.StatusTimedOut,
	}})
	return rows, err
}
