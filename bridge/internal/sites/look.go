package sites

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	// lookTime is how long a loop that serves all sites waits for one of them.
	lookTime = 2 * time.Second
	// absenceTime is how long it leaves the site alone then.
	absenceTime = 3 * time.Second
	// sideBySide is how many sites are looked at at once.
	sideBySide = 32
)

// writeTime is how long a site that refused a write is left alone, though it answers what is read: longer than whoever has
// something to write waits before he tries again, so that no job of the site is claimed as long as one is in hand that can't be
// settled.
const writeTime = 6 * time.Second

// absence is a site whose database can't be used now.
type absence struct {
	until time.Time
	since time.Time
	err   error
	// wrote is when a write was last refused; zero if none was.
	wrote time.Time
}

// Look reads the rows of one site, unless it is known to be away.
func (s *Sites) Look(ctx context.Context, name string, look func(context.Context, *rows.DB) error) error {
	return s.lookFor(ctx, name, lookTime, look)
}

// lookFor is a Look that may take so long.
func (s *Sites) lookFor(ctx context.Context, name string, limit time.Duration, look func(context.Context, *rows.DB) error) error {
	if err := s.away(name); err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	db, err := s.DB(short, name)
	if err == nil {
		err = look(short, db)
	}
	if ctx.Err() != nil || errors.Is(err, rows.ErrConnections) {
		return err // it says nothing of the site
	}
	if err != nil && short.Err() != nil {
		err = fmt.Errorf("site %s: %w: no answer within %s", name, rows.ErrUnavailable, limit)
	}
	s.note(name, err, false)
	return withCure(name, err)
}

// withCure adds to an error what a person can do about it.
func withCure(site string, err error) error {
	if lacksColumns(err) {
		return fmt.Errorf("%w; run: bridge install --site %s", err, site)
	}
	return err
}

// away says why a site is left alone. One caller at a time is let through to see whether it is back.
func (s *Sites) away(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.absent[name]
	now := time.Now()
	if ok && now.Before(a.until) {
		return a.err
	}
	if ok {
		a.until = now.Add(lookTime)
		s.absent[name] = a
	}
	return nil
}

// note remembers whether a site can be used, and tells when that changes. That it can be read says nothing of whether it can be
// written.
func (s *Sites) note(name string, err error, write bool) {
	gone, now := isAbsence(err), time.Now()
	s.mu.Lock()
	a, was := s.absent[name]
	switch {
	case gone:
		if !was {
			a.since = now
		}
		if a.until, a.err = now.Add(absenceTime), err; write {
			a.wrote = now
		}
		s.absent[name] = a
	case was && !write && now.Sub(a.wrote) < writeTime:
		a.until = a.wrote.Add(writeTime)
		s.absent[name] = a
	case was:
		delete(s.absent, name)
	}
	_, is := s.absent[name]
	s.mu.Unlock()
	switch {
	case is && !was:
		s.Log.Error("the site's database can't be used; its jobs wait, others go on", "error", err, "site", name)
	case was && !is:
		s.Log.Info("the site's database can be used again", "site", name, "lasted", now.Sub(a.since))
	}
}

// wrote notes what a write came to, unless that may be about one of the rows.
func (s *Sites) wrote(ctx context.Context, name string, err error) {
	if ctx.Err() == nil && (err == nil || rows.OfServer(err)) && !errors.Is(err, rows.ErrConnections) {
		s.note(name, err, true)
	}
}

func isAbsence(err error) bool {
	return isAny(err, rows.ErrUnavailable, rows.ErrAccessDenied, rows.ErrNoDatabase) && !errors.Is(err, rows.ErrConnections)
}

// IsAbsence reports whether an error is of a site of which the log says that it can't be used.
func (s *Sites) IsAbsence(err error) bool {
	if !isAbsence(err) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.absent[rows.SiteOf(err)]; known {
		return true
	}
	for _, a := range s.absent {
		if errors.Is(err, a.err) {
			return true
		}
	}
	return false
}

// Absent lists the sites that can't be used now, and why.
func (s *Sites) Absent() map[string]error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := map[string]error{}
	for name, a := range s.absent {
		list[name] = a.err
	}
	return list
}

// IsNoted reports whether err has been logged as the absence of a site.
func (s *Sites) IsNoted(name string, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.absent[name]
	return ok && errors.Is(err, a.err)
}

// Each calls do for several sites side by side and waits for all.
func Each(sites iter.Seq[string], do func(site string)) {
	var g errgroup.Group
	g.SetLimit(sideBySide)
	for site := range sites {
		g.Go(func() error {
			do(site)
			return nil
		})
	}
	_ = g.Wait() // do returns nothing
}

// Visit calls do for several sites side by side, waits for all, and joins their errors, but for those that noted says have been
// logged as the absence of a site.
func Visit(sites []string, noted func(site string, err error) bool, do func(site string) error) error {
	errs := make(chan error, len(sites))
	Each(slices.Values(sites), func(site string) {
		if err := do(site); err != nil && !noted(site, err) {
			errs <- err
		}
	})
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// Final reports whether err is about the row or the job: a value that a column doesn't take, a move that isn't legal, a
// site, row or organization that doesn't exist. Anything else lies outside the job and passes; nil is not final.
func Final(err error) bool {
	_, illegal := errors.AsType[*moves.TransitionError](err)
	return illegal || isAny(err, rows.ErrValue, rows.ErrDependency, rows.ErrBatch, rows.ErrNoSuchBatch, rows.ErrNoSuchJob, rows.ErrNoSuchOrganization, frappe.ErrNoSuchSite)
}

// lacksColumns reports whether a site's tables are missing or older than this program.
func lacksColumns(err error) bool { return isAny(err, rows.ErrTableMissing, rows.ErrColumnMissing) }

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

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

// MayCreate reports whether a user may create documents of a DocType.
func (s *Sites) MayCreate(ctx context.Context, site, user, doctype string) (bool, error) {
	return readAccess(ctx, s, site, func(ctx context.Context, d *access.Directory) (bool, error) { return d.MayCreate(ctx, user, doctype) })
}

// Standing is how a user stands to an organization; who asks at the same time asks together.
func (s *Sites) Standing(ctx context.Context, site, user, organization string) (access.Standing, error) {
	pair := access.Identity{User: user, Organization: organization}
	return read(ctx, s, site, func(ctx context.Context, _ *rows.DB) (none access.Standing, err error) {
		w, err := s.writer(ctx, site)
		if err != nil {
			return none, err
		}
		if known, ok := w.access.Known(pair); ok {
			return known, nil
		}
		return w.standings.Do(ctx, pair)
	})
}

// readAccess is read of a site's directory.
func readAccess[T any](ctx context.Context, s *Sites, site string, ask func(context.Context, *access.Directory) (T, error)) (T, error) {
	return read(ctx, s, site, func(ctx context.Context, _ *rows.DB) (none T, err error) {
		w, err := s.writer(ctx, site)
		if err != nil {
			return none, err
		}
		return ask(ctx, w.access)
	})
}

// Statuses reads the status of rows.
func (s *Sites) Statuses(ctx context.Context, site string, names []string) (map[string]rows.Status, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (map[string]rows.Status, error) { return db.Statuses(ctx, names) })
}

// Named reads rows by name, without their parameters.
func (s *Sites) Named(ctx context.Context, site string, names []string) (map[string]*rows.BackgroundJob, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (map[string]*rows.BackgroundJob, error) {
		return db.Named(ctx, names)
	})
}

// Stuck reads up to limit rows of some statuses behind a place that have not moved for age, oldest first, without their parameters.
func (s *Sites) Stuck(ctx context.Context, site string, statuses []rows.Status, behind rows.Place, age time.Duration, limit int) ([]*rows.BackgroundJob, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) ([]*rows.BackgroundJob, error) {
		return db.Stuck(ctx, statuses, behind, age, limit)
	})
}

// Parameter reads one parameter of rows.
func (s *Sites) Parameter(ctx context.Context, site, path string, names []string) (map[string]json.RawMessage, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (map[string]json.RawMessage, error) {
		return db.Parameter(ctx, path, names)
	})
}

// Row reads a row; rows.ErrNoSuchJob if there is none.
func (s *Sites) Row(ctx context.Context, site, name string) (*rows.BackgroundJob, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (*rows.BackgroundJob, error) {
		return db.BackgroundJob(ctx, name)
	})
}

// unlessAway is an error of Redis, unless that can't be used now, which whoever takes jobs says.
func unlessAway(err error) error {
	if rqcompat.Judge(err) != rqcompat.Final {
		return nil
	}
	return err
}

// Stale reads up to limit unfinished rows behind a place that have not moved for age, oldest first.
func (s *Sites) Stale(ctx context.Context, site string, behind rows.Place, age time.Duration, limit int) ([]*rows.BackgroundJob, error) {
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) ([]*rows.BackgroundJob, error) {
		return db.Stale(ctx, behind, age, limit)
	})
}

// Now is a site's time as the desk writes it; UTC while the site can't be asked.
func (s *Sites) Now(ctx context.Context, site string) string {
	w, err := s.writer(ctx, site)
	if err != nil {
		return DeskTime(time.Now().UTC())
	}
	return DeskTime(w.db.Now())
}
