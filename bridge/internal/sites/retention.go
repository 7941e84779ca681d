package sites

import (
	"context"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// deleteTime is how long a site is waited for that deletes some rows: a busy one is to go on with it, not to be left alone.
const deleteTime = 30 * time.Second

// DeleteOld deletes some rows of a status that were last modified before a time, behind a place, and has Frappe forget them;
// see rows.DB.DeleteOld.
func (s *Sites) DeleteOld(ctx context.Context, site string, status rows.Status, before time.Time, behind rows.Place) (gone []string, next rows.Place, err error) {
	err = s.lookFor(ctx, site, deleteTime, func(ctx context.Context, db *rows.DB) (err error) {
		gone, next, err = db.DeleteOld(ctx, status, before, behind)
		return err
	})
	s.forgetDeleted(ctx, site, gone)
	return gone, next, err
}

// DeleteOldBatches is rows.DB.DeleteOldBatches.
func (s *Sites) DeleteOldBatches(ctx context.Context, site string, before time.Time) (n int64, err error) {
	err = s.lookFor(ctx, site, deleteTime, func(ctx context.Context, db *rows.DB) (err error) {
		n, err = db.DeleteOldBatches(ctx, before)
		return err
	})
	return n, err
}

// DeleteEnded deletes those of the named rows that have one of the statuses, has Frappe forget them, and names them.
func (s *Sites) DeleteEnded(ctx context.Context, site string, names []string, statuses ...rows.Status) (gone []string, err error) {
	db, err := s.DB(ctx, site)
	if err != nil {
		return nil, err
	}
	gone, err = db.DeleteEnded(ctx, names, statuses)
	s.forgetDeleted(ctx, site, gone)
	return gone, err
}

// forgetDeleted removes deleted rows from Frappe's document cache.
func (s *Sites) forgetDeleted(ctx context.Context, name string, rows []string) {
	if site, err := s.Site(name); err == nil && len(rows) > 0 && s.Cache != nil {
		s.documents.forget(ctx, site.DBName(), rows)
	}
}

// CountOld counts the rows of a status that were last modified before a time.
func (s *Sites) CountOld(ctx context.Context, site string, status rows.Status, before time.Time) (n int, err error) {
	err = s.lookFor(ctx, site, deleteTime, func(ctx context.Context, db *rows.DB) (err error) {
		n, err = db.CountOld(ctx, status, before)
		return err
	})
	return n, err
}

// Unmoved reads some Failed and Timed Out rows that were last modified before a time and wait for no retry that is to come.
func (s *Sites) Unmoved(ctx context.Context, site string, before time.Time, behind rows.Place, limit int) ([]*rows.BackgroundJob, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) ([]*rows.BackgroundJob, error) {
		return db.Unmoved(ctx, before, behind, limit)
	})
}
