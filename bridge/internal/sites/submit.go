package sites

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
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

// CountWaiting counts the jobs of an organization that wait, no further than most.
func (s *Sites) CountWaiting(ctx context.Context, site, organization string, most int) (int, error) {
	w, err := s.writer(ctx, site)
	if err != nil {
		return 0, err
	}
	return w.db.Count(ctx, organization, []rows.Status{rows.StatusPending, rows.StatusQueued}, most)
}

// IsManager reports whether a user is a System Manager.
func (s *Sites) IsManager(ctx context.Context, site, user string) (bool, error) {
	return readAccess(ctx, s, site, func(ctx context.Context, d *access.Directory) (bool, error) { return d.IsManager(ctx, user) })
}
