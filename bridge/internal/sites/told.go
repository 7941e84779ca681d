package sites

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// What is written for people to read in the desk; each is a Look.

// SetHandledBy writes who handles a site's Job Types; by says it of them, with times in the site's zone.
func (s *Sites) SetHandledBy(ctx context.Context, site string, by func(types map[string]*rows.JobType, zone *time.Location) map[string]string) error {
	defer s.rest(site) // else many idle sites always have some
	return s.Look(ctx, site, func(ctx context.Context, db *rows.DB) error {
		types, err := jobTypes(ctx, db)
		if err != nil || len(types) == 0 {
			return err
		}
		return db.SetHandledBy(ctx, by(types, db.Location()))
	})
}

// Waiting reads up to limit rows behind a place that should run and have not moved for age, oldest first; none on a site whose
// rows can't say what they wait for.
func (s *Sites) Waiting(ctx context.Context, site string, behind rows.Place, age time.Duration, limit int) ([]*rows.BackgroundJob, error) {
	found, err := read(ctx, s, site, func(ctx context.Context, db *rows.DB) ([]*rows.BackgroundJob, error) {
		return db.Waiting(ctx, behind, age, limit)
	})
	if errors.Is(err, rows.ErrTableMissing) {
		return nil, nil
	}
	return found, err
}

// SetWaitingFor writes why rows wait, by name.
func (s *Sites) SetWaitingFor(ctx context.Context, site string, why map[string]string) error {
	return s.Look(ctx, site, func(ctx context.Context, db *rows.DB) error { return db.SetWaitingFor(ctx, why) })
}

// LogErrors writes to a site's Error Log what it takes; the error is of what it doesn't.
func (s *Sites) LogErrors(ctx context.Context, site string, entries []rows.ErrorLog) error {
	return s.Look(ctx, site, func(ctx context.Context, db *rows.DB) (err error) {
		for some := range slices.Chunk(entries, rowBatch) {
			answers := batch.Split(ctx, some, rows.OfServer, func(ctx context.Context, some []rows.ErrorLog) ([]struct{}, error) {
				return make([]struct{}, len(some)), db.LogErrors(ctx, some)
			})
			for _, a := range answers {
				err = cmp.Or(err, a.Err)
			}
			if err != nil && rows.OfServer(err) {
				return err
			}
		}
		return err
	})
}

// CountDeadLetters counts those of an organization, no further than most.
func (s *Sites) CountDeadLetters(ctx context.Context, site, organization string, most int) (int, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (int, error) {
		return db.Count(ctx, organization, []rows.Status{rows.StatusDeadLetter}, most)
	})
}

// Notify writes to a site's Notification Log and names who got something: they are to hear the desk's event.
func (s *Sites) Notify(ctx context.Context, site string, ns []rows.Notification) (told []string, err error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) ([]string, error) {
		told, err := db.Notify(ctx, ns)
		if len(told) > 0 && s.Cache != nil {
			s.forgetSettings(ctx, site, told)
		}
		return told, err
	})
}

// forgetSettings removes what Frappe remembers of whether users have looked at their notifications.
func (s *Sites) forgetSettings(ctx context.Context, site string, users []string) {
	ctx, cancel := context.WithTimeout(ctx, cacheTime)
	defer cancel()
	if found, err := s.Site(site); err == nil {
		// The bell, which asks the database, doesn't need it.
		_ = rows.InvalidateDocument(ctx, s.Cache, found.DBName(), "Notification Settings", users...)
	}
}

// InRole lists who has a role and may see what belongs to an organization.
func (s *Sites) InRole(ctx context.Context, site, role, organization string) ([]string, error) {
	return readAccess(ctx, s, site, func(ctx context.Context, d *access.Directory) ([]string, error) {
		return d.InRole(ctx, role, organization)
	})
}
