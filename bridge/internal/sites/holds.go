package sites

import (
	"context"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// What holds jobs of a site: pauses and circuit breakers, which people may write as documents; each is a Look.

// The DocTypes of what holds jobs.
const (
	PauseDocType   = "Background Job Pause"
	BreakerDocType = "Job Circuit Breaker"
)

// Pauses reads what is paused on a site.
func (s *Sites) Pauses(ctx context.Context, site string) (*rows.Pauses, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (*rows.Pauses, error) { return db.Pauses(ctx) })
}

// Breakers reads a site's circuit breakers that aren't closed.
func (s *Sites) Breakers(ctx context.Context, site string) ([]*rows.Breaker, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) ([]*rows.Breaker, error) { return db.OpenBreakers(ctx) })
}

// Clock is the time by which breakers open, and retries are due: Redis's.
func (s *Sites) Clock(ctx context.Context) time.Time {
	if s.Schedule == nil {
		return time.Now()
	}
	return s.Schedule.Now(ctx)
}

// OpenBreaker is rows.DB.OpenBreaker; false on a site that can keep none.
func (s *Sites) OpenBreaker(ctx context.Context, site string, b rows.Breaker, until time.Time) (bool, error) {
	return s.swap(ctx, site, func(ctx context.Context, db *rows.DB) (bool, error) { return db.OpenBreaker(ctx, b, until) })
}

// TryBreaker is rows.DB.TryBreaker.
func (s *Sites) TryBreaker(ctx context.Context, site string, b rows.Breaker, job string, until time.Time) (bool, error) {
	return s.swap(ctx, site, func(ctx context.Context, db *rows.DB) (bool, error) { return db.TryBreaker(ctx, b, job, until) })
}

// ReopenBreaker is rows.DB.ReopenBreaker.
func (s *Sites) ReopenBreaker(ctx context.Context, site string, b rows.Breaker, until time.Time) (bool, error) {
	return s.swap(ctx, site, func(ctx context.Context, db *rows.DB) (bool, error) { return db.ReopenBreaker(ctx, b, until) })
}

// CloseBreaker is rows.DB.CloseBreaker, by nobody in particular.
func (s *Sites) CloseBreaker(ctx context.Context, site string, b rows.Breaker) (bool, error) {
	return s.swap(ctx, site, func(ctx context.Context, db *rows.DB) (bool, error) { return db.CloseBreaker(ctx, b, "") })
}

// swap is a compare-and-swap of a document that the site may have no table for.
func (s *Sites) swap(ctx context.Context, site string, try func(context.Context, *rows.DB) (bool, error)) (done bool, err error) {
	err = s.Look(ctx, site, func(ctx context.Context, db *rows.DB) (err error) {
		done, err = try(ctx, db)
		return err
	})
	if lacksColumns(err) {
		return false, nil
	}
	return done, err
}

// ForgetHolds has what is paused and open on a site read anew, if anything was.
func (s *Sites) ForgetHolds(site string) {
	s.mu.Lock()
	w := s.writers[site]
	s.mu.Unlock()
	if w != nil {
		w.db.ForgetHolds()
	}
}
