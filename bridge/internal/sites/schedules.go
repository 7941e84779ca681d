package sites

import (
	"context"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Schedules reads a site's Job Schedules, and in which zone they are.
func (s *Sites) Schedules(ctx context.Context, site string) (all []*rows.JobSchedule, zone *time.Location, err error) {
	err = s.Look(ctx, site, func(ctx context.Context, db *rows.DB) (err error) {
		zone = db.Location()
		if all, err = db.JobSchedules(ctx); len(all) == 0 {
			db.Rest()
		}
		return err
	})
	return all, zone, err
}

// PlanSchedule writes what the engine knows of a Job Schedule; see rows.DB.
func (s *Sites) PlanSchedule(ctx context.Context, site string, schedule *rows.JobSchedule, planned string) (won bool, err error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (bool, error) { return db.PlanSchedule(ctx, schedule, planned) })
}

// MaySubmit says why who saved a schedule may not submit in the name of its owner for an organization; names that don't exist
// are left to the submission.
func (s *Sites) MaySubmit(ctx context.Context, site, by, owner, organization string) error {
	submitter, editor := access.Caller{User: owner, Organization: organization, Member: true}, access.Caller{User: by, Member: true}
	known, err := s.Know(ctx, site, []access.Caller{submitter, editor})
	id, who := known.By[submitter], known.By[editor]
	switch {
	case err != nil:
		return err
	case id.User == "" || id.Organization == "":
		return nil
	case id.User != who.User && !who.Allowed:
		return fmt.Errorf("%s saved it for %s: only a System Manager submits for others, and bridge.trust_enqueuer is not set", by, id.User)
	case !id.Allowed:
		return fmt.Errorf("%s doesn't belong to organization %s: neither an active member of it nor a System Manager, "+
			"and bridge.trust_enqueuer is not set", id.User, id.Organization)
	}
	return nil
}
