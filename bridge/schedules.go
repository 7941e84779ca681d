package bridge

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/submit"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Schedules reads a site's Job Schedules: what is submitted again and again, when next, and what was wrong the last time. An
// engine keeps their times; a site without the DocType is rows.ErrTableMissing.
func (c *Client) Schedules(ctx context.Context, site string) ([]*rows.JobSchedule, error) {
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return nil, err
	}
	return db.JobSchedules(ctx)
}

// Zone is a site's time zone, in which its schedules are, and what people write as local times.
func (c *Client) Zone(ctx context.Context, site string) (*time.Location, error) {
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return nil, err
	}
	return db.Location(), nil
}

// submitSchedule submits the job of a schedule. Who saved it has to be its owner, or one who may submit for others.
func (w *rooms) submitSchedule(ctx context.Context, site string, s *rows.JobSchedule, key string) (string, error) {
	owner := cmp.Or(s.OwnerUser, s.ModifiedBy)
	if !w.cfg.TrustEnqueuer {
		if err := w.sites.MaySubmit(ctx, site, s.ModifiedBy, owner, s.Organization); err != nil {
			return "", err
		}
	}
	results, err := w.submitter.Submit(ctx, []submit.Request{{
		Site: site, JobType: s.JobType, Organization: s.Organization, User: owner, Priority: s.Priority, Parameters: s.Parameters, Key: key,
	}}, nil)
	if err = cmp.Or(err, results[0].Err); err != nil {
		return "", err
	}
	return results[0].Row.Name, nil
}

// serverAway reports whether an error of a submission is of a server that can't be used now.
func serverAway(err error) bool {
	if j := rqcompat.Judge(err); j != rqcompat.Unknown && j != rqcompat.Final {
		return true
	}
	return errors.Is(err, rows.ErrUnavailable) || errors.Is(err, rows.ErrConnections) || errors.Is(err, rows.ErrAccessDenied) ||
		errors.Is(err, rows.ErrNoDatabase) || errors.Is(err, rows.ErrBusy)
}
