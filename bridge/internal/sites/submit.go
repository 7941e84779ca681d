package sites

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// What submissions need: each waits for its site as long as ctx lasts.

// Known is what requests of a site are judged by: its Job Types, and their callers as the database spells them.
type Known struct {
	Types map[string]*rows.JobType
	By    map[access.Caller]access.Identity
}

// Know reads it.
func (s *Sites) Know(ctx context.Context, site string, callers []access.Caller) (k Known, err error) {
	w, err := s.writer(ctx, site)
	if err != nil {
		return k, err
	}
	if k.Types, err = w.db.JobTypes(ctx); err == nil {
		k.By, err = w.access.Identify(ctx, callers)
	}
	return k, withCure(site, err)
}

// Check says what a site's columns don't take of a new job.
func (s *Sites) Check(ctx context.Context, site string, n rows.NewJob) error {
	w, err := s.writer(ctx, site)
	if err != nil {
		return err
	}
	return withCure(site, w.db.CheckJob(ctx, n))
}

// Keyed reads the rows of hashes that have one row each, by hash.
func (s *Sites) Keyed(ctx context.Context, site string, hashes []string) (map[string]*rows.BackgroundJob, error) {
	w, err := s.writer(ctx, site)
	if err != nil {
		return nil, err
	}
	found, err := w.db.FindByHashes(ctx, hashes)
	return found, withCure(site, err)
}

// Create is rows.DB.CreateUnlessThere.
func (s *Sites) Create(ctx context.Context, site string, ns []rows.NewJob) ([]rows.Created, error) {
	w, err := s.writer(ctx, site)
	if err != nil {
		return nil, err
	}
	select {
	case w.creating <- struct{}{}:
		defer func() { <-w.creating }()
	case <-ctx.Done():
		return nil, fmt.Errorf("site %s: wait to create %d jobs: %w", site, len(ns), context.Cause(ctx))
	}
	created, err := w.db.CreateUnlessThere(ctx, ns)
	return created, withCure(site, err)
}

// CreateInTx is rows.DB.CreateInTx.
func (s *Sites) CreateInTx(ctx context.Context, tx *sql.Tx, site string, n rows.NewJob) (rows.Created, error) {
	w, err := s.writer(ctx, site)
	if err != nil {
		return rows.Created{}, err
	}
	created, err := w.db.CreateInTx(ctx, tx, n)
	return created, withCure(site, err)
}

// TakeBack is rows.DB.TakeBack.
func (s *Sites) TakeBack(ctx context.Context, site string, jobs []*rows.BackgroundJob) error {
	w, err := s.writer(ctx, site)
	if err != nil {
		return err
	}
	return w.db.TakeBack(ctx, jobs)
}

// ClaimHashes is rows.DB.ClaimHashes.
func (s *Sites) ClaimHashes(ctx context.Context, site string, claims []rows.Claim) (map[string]*rows.BackgroundJob, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (map[string]*rows.BackgroundJob, error) {
		return db.ClaimHashes(ctx, claims)
	})
}

// CountWaiting is rows.DB.CountWaiting.
func (s *Sites) CountWaiting(ctx context.Context, site, organization string, most int) (int, error) {
	w, err := s.writer(ctx, site)
	if err != nil {
		return 0, err
	}
	return w.db.CountWaiting(ctx, organization, most)
}

// IsManager reports whether a user is a System Manager.
func (s *Sites) IsManager(ctx context.Context, site, user string) (bool, error) {
	return readAccess(ctx, s, site, func(ctx context.Context, d *access.Directory) (bool, error) { return d.IsManager(ctx, user) })
}

// DeliverMany is Deliver for many rows in few round trips: an error for each.
func (c Courier) DeliverMany(ctx context.Context, site string, queued []*rows.BackgroundJob) []error {
	errs := make([]error, len(queued))
	if len(queued) <= 1 {
		for i, row := range queued {
			errs[i] = c.Deliver(ctx, site, row)
		}
		return errs
	}
	var requests []rqcompat.Request
	var of []int
	for i, row := range queued {
		request, err := c.delivery(site, row, row.Name)
		if errs[i] = err; err == nil {
			requests, of = append(requests, request), append(of, i)
		}
	}
	jobs, err := c.RQ.EnqueueMany(ctx, requests)
	var taken []string
	var by []int
	for n, i := range of {
		switch {
		case jobs == nil:
			errs[i] = fmt.Errorf("enqueue the delivery of %s: %w", queued[i].Name, err)
		case jobs[n] == nil:
			taken, by = append(taken, requests[n].ID), append(by, i)
		}
	}
	// By an earlier delivery, which is on its way, or by somebody's job.
	fetched, err := c.RQ.FetchMany(ctx, taken)
	for n, i := range by {
		if err == nil && fetched[n].Job != nil && fetched[n].Job.Status == rqcompat.StatusQueued && c.brings(fetched[n].Job, site, queued[i]) {
			continue
		}
		errs[i] = c.Deliver(ctx, site, queued[i])
	}
	return errs
}

// delivery is the request for a delivery of a row under an id.
func (c Courier) delivery(site string, row *rows.BackgroundJob, id string) (rqcompat.Request, error) {
	call := frappe.Call{
		Site: site, User: row.OwnerUser, Method: frappe.Executor, JobName: row.JobType, IsAsync: true,
		Kwargs: map[string]any{"background_job_id": row.Name, "job_type": row.JobType},
	}
	request, err := c.Request(c.queueOf(row.Priority), id, int64(row.TimeoutSeconds), call)
	request.Deduplicate = true
	return request, err
}
