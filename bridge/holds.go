package bridge

import (
	"context"
	"fmt"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Pause has jobs of an organization, of a Job Type or, for this site only, of a queue wait until Resume: p.Kind says which, the
// field of that name what, PausedBy and Reason who wants it and why. What is submitted meanwhile waits as well, what runs goes on.
// Every process heeds it within 3 s. What is paused already stays as it is. The errors are ErrBadRequest, ErrNoSuchJobType,
// rows.ErrNoSuchOrganization and rows.ErrTableMissing of a site that can't keep it.
func (c *Client) Pause(ctx context.Context, site string, p rows.Pause) error {
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return err
	}
	switch p.Kind {
	case rows.PauseOrganization:
		organization, err := db.Organization(ctx, p.Organization)
		if err != nil {
			return err
		}
		p.Organization = organization.Name
	case rows.PauseJobType:
		types, err := db.JobTypes(ctx)
		if err == nil && types[p.JobType] == nil {
			err = fmt.Errorf("site %s: %w: %q", site, ErrNoSuchJobType, p.JobType)
		}
		if err != nil {
			return err
		}
	}
	if p.Of() == "" {
		return fmt.Errorf("%w: a pause is of an organization, a Job Type or a queue", ErrBadRequest)
	}
	return db.InsertPause(ctx, p)
}

// Resume ends the pauses of what p names, as Pause takes it, whoever made them, and says how many there were.
func (c *Client) Resume(ctx context.Context, site string, p rows.Pause) (int64, error) {
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return 0, err
	}
	return db.DeletePauses(ctx, p)
}

// Pauses lists what is paused on a site, the oldest first.
func (c *Client) Pauses(ctx context.Context, site string) ([]*rows.Pause, error) {
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return nil, err
	}
	pauses, err := db.Pauses(ctx)
	if err != nil {
		return nil, err
	}
	return pauses.All, nil
}

// Breakers lists up to limit circuit breakers of a site, also those that are closed by now; what changed last comes first.
func (c *Client) Breakers(ctx context.Context, site string, limit int) ([]*rows.Breaker, error) {
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return nil, err
	}
	return db.Breakers(ctx, limit)
}

// CloseBreaker lets the jobs of a Job Type and an organization go on whose circuit breaker is open; actor is who wants it, "" for the
// system. It is false if none was open.
func (c *Client) CloseBreaker(ctx context.Context, site, jobType, organization, actor string) (closed bool, err error) {
	db, err := c.sites.DB(ctx, site)
	if err != nil {
		return false, err
	}
	for tried := 0; !closed && tried < 3; tried++ { // one that moves meanwhile is read again
		open, err := db.OpenBreakers(ctx)
		if err != nil {
			return false, err
		}
		for _, b := range open {
			if b.JobType != jobType || b.Organization != organization {
				continue
			}
			done, err := db.CloseBreaker(ctx, *b, actor)
			if err != nil {
				return false, err
			}
			closed = closed || done
		}
	}
	return closed, nil
}
