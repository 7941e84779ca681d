package sites

import (
	"context"
	"slices"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// ParentsOf reads what some rows of a site depend on, by their names; those that depend on nothing have an empty list.
func (s *Sites) ParentsOf(ctx context.Context, site string, of []*rows.BackgroundJob) (map[string][]rows.Parent, error) {
	all, err := read(ctx, s, site, func(ctx context.Context, db *rows.DB) (map[string][]rows.Parent, error) { return db.Parents(ctx, of) })
	if err != nil {
		return nil, err
	}
	for _, row := range of {
		parents := all[row.Name]
		if parents == nil {
			all[row.Name] = []rows.Parent{}
		}
		if !slices.ContainsFunc(parents, func(p rows.Parent) bool { return p.Status != rows.StatusCompleted }) {
			s.released.add(site, row.Name)
		}
	}
	return all, nil
}

// Parents reads what a row depends on; nothing once all of it has completed.
func (s *Sites) Parents(ctx context.Context, site string, row *rows.BackgroundJob) ([]rows.Parent, error) {
	if s.released.has(site, row.Name) {
		return nil, nil
	}
	all, err := s.ParentsOf(ctx, site, []*rows.BackgroundJob{row})
	return all[row.Name], err
}

// Cycle is the way from a row back to itself over what it waits for, nil if there is none.
func (s *Sites) Cycle(ctx context.Context, site string, row *rows.BackgroundJob) ([]string, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) ([]string, error) { return db.Cycle(ctx, row) })
}

// EachDependents calls page for the Pending rows of a site that depend on one of the named, some at a time.
func (s *Sites) EachDependents(ctx context.Context, site string, parents []string, page func(names []string)) error {
	var dependents *rows.Dependents
	for {
		names, err := read(ctx, s, site, func(ctx context.Context, db *rows.DB) ([]string, error) {
			if dependents == nil {
				dependents = db.Dependents(parents, writtenPage)
			}
			return dependents.Next(ctx)
		})
		if err != nil || len(names) == 0 {
			return err
		}
		page(names)
	}
}

// Batch reads a batch of jobs; rows.ErrNoSuchBatch if there is none.
func (s *Sites) Batch(ctx context.Context, site, name string) (*rows.Batch, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (*rows.Batch, error) { return db.Batch(ctx, name) })
}
