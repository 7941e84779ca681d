package sites

import (
	"context"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// What loops that serve all sites read; each is a Look.

// Statuses reads the status of rows.
func (s *Sites) Statuses(ctx context.Context, site string, names []string) (statuses map[string]rows.Status, err error) {
	err = s.Look(ctx, site, func(ctx context.Context, db *rows.DB) (err error) {
		statuses, err = db.Statuses(ctx, names)
		return err
	})
	return statuses, err
}

// Row reads a row; rows.ErrNoSuchJob if there is none.
func (s *Sites) Row(ctx context.Context, site, name string) (row *rows.BackgroundJob, err error) {
	err = s.Look(ctx, site, func(ctx context.Context, db *rows.DB) (err error) {
		row, err = db.BackgroundJob(ctx, name)
		return err
	})
	return row, err
}

// RowOfArrival reads the row that was made for an RQ job; rows.ErrNoSuchJob if there is none.
func (s *Sites) RowOfArrival(ctx context.Context, site, id string) (row *rows.BackgroundJob, err error) {
	err = s.Look(ctx, site, func(ctx context.Context, db *rows.DB) (err error) {
		row, err = db.FindByHash(ctx, ArrivalHash(id))
		return err
	})
	return row, err
}

// Due reads up to limit rows whose retry has come, of the Job Types that handled names.
func (s *Sites) Due(ctx context.Context, site string, handled func(map[string]*rows.JobType) []string, limit int) (due []*rows.BackgroundJob, err error) {
	err = s.Look(ctx, site, func(ctx context.Context, db *rows.DB) error {
		types, err := jobTypes(ctx, db)
		if err == nil {
			due, err = db.Due(ctx, db.Now(), handled(types), limit)
		}
		return err
	})
	return due, err
}

// Stale reads up to limit unfinished rows that have not moved for age, oldest first; those that moved last before from
// are left out.
func (s *Sites) Stale(ctx context.Context, site string, from time.Time, age time.Duration, limit int) (stale []*rows.BackgroundJob, err error) {
	err = s.Look(ctx, site, func(ctx context.Context, db *rows.DB) (err error) {
		stale, err = db.Stale(ctx, from, db.Now().Add(-age), limit)
		return err
	})
	return stale, err
}

// Members lists the users of an organization, waiting for the site as long as ctx lasts.
func (s *Sites) Members(ctx context.Context, site, organization string) ([]string, error) {
	w, err := s.writer(ctx, site)
	if err != nil {
		return nil, err
	}
	return w.access.Members(ctx, organization)
}

// Now is a site's time as the desk writes it; UTC while the site can't be asked.
func (s *Sites) Now(ctx context.Context, site string) string {
	w, err := s.writer(ctx, site)
	if err != nil {
		return DeskTime(time.Now().UTC())
	}
	return DeskTime(w.db.Now())
}
