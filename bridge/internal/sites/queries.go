package sites

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// What loops that serve all sites read; each is a Look.

// read is a Look at one thing.
func read[T any](ctx context.Context, s *Sites, site string, query func(context.Context, *rows.DB) (T, error)) (found T, err error) {
	err = s.Look(ctx, site, func(ctx context.Context, db *rows.DB) (err error) {
		found, err = query(ctx, db)
		return err
	})
	return found, err
}

// JobTypes reads a site's Job Types; a site without these tables has none.
func (s *Sites) JobTypes(ctx context.Context, site string) (map[string]*rows.JobType, error) {
	return read(ctx, s, site, jobTypes)
}

func jobTypes(ctx context.Context, db *rows.DB) (map[string]*rows.JobType, error) {
	types, err := db.JobTypes(ctx)
	if errors.Is(err, rows.ErrTableMissing) {
		return nil, nil
	}
	return types, err
}

// Organization reads an organization; rows.ErrNoSuchOrganization if there is none.
func (s *Sites) Organization(ctx context.Context, site, name string) (*rows.Organization, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (*rows.Organization, error) { return db.Organization(ctx, name) })
}

// Statuses reads the status of rows.
func (s *Sites) Statuses(ctx context.Context, site string, names []string) (map[string]rows.Status, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (map[string]rows.Status, error) { return db.Statuses(ctx, names) })
}

// Row reads a row; rows.ErrNoSuchJob if there is none.
func (s *Sites) Row(ctx context.Context, site, name string) (*rows.BackgroundJob, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (*rows.BackgroundJob, error) {
		return db.BackgroundJob(ctx, name)
	})
}

// RowOfArrival reads the row that was made for an RQ job; rows.ErrNoSuchJob if there is none.
func (s *Sites) RowOfArrival(ctx context.Context, site, id string) (*rows.BackgroundJob, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (*rows.BackgroundJob, error) {
		return db.FindByHash(ctx, ArrivalHash(id))
	})
}

// Delivery gives the id of the RQ job that brings a row: the one that it was made for, else the one that its name gives.
func (s *Sites) Delivery(ctx context.Context, site, name string) (id string, err error) {
	history, err := read(ctx, s, site, func(ctx context.Context, db *rows.DB) ([]rows.LogEntry, error) { return db.History(ctx, name) })
	return cmp.Or(ArrivalOf(history), s.Bench.JobID(site, name)), err
}

// Due reads up to limit rows whose retry has come, of the Job Types that handled names.
func (s *Sites) Due(ctx context.Context, site string, handled func(map[string]*rows.JobType) []string, limit int) ([]*rows.BackgroundJob, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) ([]*rows.BackgroundJob, error) {
		types, err := jobTypes(ctx, db)
		if err != nil {
			return nil, err
		}
		return db.Due(ctx, db.Now(), handled(types), limit)
	})
}

// Stale reads up to limit unfinished rows that have not moved for age, oldest first; those that moved last before from
// are left out.
func (s *Sites) Stale(ctx context.Context, site string, from time.Time, age time.Duration, limit int) ([]*rows.BackgroundJob, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) ([]*rows.BackgroundJob, error) {
		return db.Stale(ctx, from, db.Now().Add(-age), limit)
	})
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
