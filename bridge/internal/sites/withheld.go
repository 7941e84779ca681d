package sites

import (
	"context"
	"errors"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Results of jobs that end while their organization is suspended: they are kept beside the rows, in a DocType that nobody of the
// organization may read, and shown when it is active again.

// withheldKey is the SET of the sites that have withheld results: a hint, so that the others needn't be asked.
const withheldKey = "rq:bridge:withheld"

// Withhold keeps the result of a row back if its organization is suspended, and says whether it does.
func (s *Sites) Withhold(ctx context.Context, site string, row *rows.BackgroundJob, output string) (bool, error) {
	w, err := s.writer(ctx, site)
	if err != nil {
		return false, err
	}
	organization, err := w.db.Organization(ctx, row.Organization)
	if err != nil || !organization.Suspended() {
		return false, unlessNone(err)
	}
	if s.Schedule != nil {
		_ = s.Schedule.Redis.SAdd(ctx, withheldKey, site).Err() // without it they are found some minutes later
	}
	withheld, err := w.db.Withhold(ctx, rows.Withheld{Job: row.Name, Organization: row.Organization, Output: output})
	if lacksColumns(err) {
		return false, nil
	}
	return withheld, err
}

// unlessNone is err, unless it says that the organization is gone.
func unlessNone(err error) error {
	if errors.Is(err, rows.ErrNoSuchOrganization) {
		return nil
	}
	return err
}

// Withholding lists the sites that are known to have withheld results; none while Redis is away.
func (s *Sites) Withholding(ctx context.Context) ([]string, error) {
	if s.Schedule == nil {
		return nil, nil
	}
	found, err := s.Schedule.Redis.SMembers(ctx, withheldKey).Result()
	return found, unlessAway(err)
}

// revealMost is how many withheld results of a site are looked at a time.
const revealMost = 1000

// Reveal shows the withheld results of those of a site's organizations that are active again.
func (s *Sites) Reveal(ctx context.Context, site string) error {
	all, err := read(ctx, s, site, func(ctx context.Context, db *rows.DB) ([]*rows.Withheld, error) {
		return db.WithheldResults(ctx, revealMost)
	})
	if err != nil {
		return err
	}
	if len(all) == 0 && s.Schedule != nil {
		return unlessAway(s.Schedule.Redis.SRem(ctx, withheldKey, site).Err())
	}
	for _, w := range all {
		organization, err := s.Organization(ctx, site, w.Organization)
		switch {
		case unlessNone(err) != nil:
			return err
		case err != nil, organization.Suspended(), organization.Status == rows.OrganizationDissolved:
			continue
		}
		if err := s.reveal(ctx, site, w); err != nil {
			return err
		}
	}
	return nil
}

// reveal shows one result, if it is still its row's.
func (s *Sites) reveal(ctx context.Context, site string, w *rows.Withheld) error {
	row, err := s.Row(ctx, site, w.Job)
	switch {
	case errors.Is(err, rows.ErrNoSuchJob):
	case err != nil:
		return err
	case row.Status == rows.StatusCompleted && row.OutputReference == "":
		if result, err := s.Apply(ctx, moves.Reveal(site, row, w.Output), nil); err != nil || !result.Applied && !result.Missing {
			return err // somebody has changed it: it is looked at again
		}
	case !row.Status.Terminal():
		return nil // its attempt is about to be settled, or runs once more
	}
	return s.Look(ctx, site, func(ctx context.Context, db *rows.DB) error { return db.DropWithheld(ctx, w.Job) })
}
