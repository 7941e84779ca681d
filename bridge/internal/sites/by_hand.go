package sites

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Written is a row that somebody else than the engine may have written, and what the engine knows of it.
type Written struct {
	Row *rows.BackgroundJob
	// Last is the newest row of its log, zero if it has none.
	Last rows.LogEntry
	// NoObject says of a row that never was on its way that its parameters are no JSON object.
	NoObject bool
}

// Changes are rows of a site that somebody may have written, and what they are judged by.
type Changes struct {
	Rows  []Written
	Types map[string]*rows.JobType
	// OfApp says that an app of the site's has code that makes and moves rows as well.
	OfApp bool
}

// Written reads rows that somebody may have written; those that are gone are left out. Large parameters are too.
func (s *Sites) Written(ctx context.Context, site string, names []string) (c Changes, err error) {
	err = s.Look(ctx, site, func(ctx context.Context, db *rows.DB) error {
		found, err := db.Brief(ctx, names)
		if err != nil {
			return err
		}
		if err := s.exact(ctx, site, found); err != nil {
			return err
		}
		// After the rows: a move in between makes a log that is ahead of its row, which has another `modified` by then.
		last, err := db.LastLogged(ctx, names)
		if err != nil {
			return err
		}
		var fresh []string
		for name, row := range found {
			c.Rows = append(c.Rows, Written{Row: row, Last: last[name]})
			if was := last[name].ToStatus; was == "" || was == rows.StatusPending {
				fresh = append(fresh, name)
			}
		}
		without, err := db.WithoutObject(ctx, fresh)
		if err != nil {
			return err
		}
		for i := range c.Rows {
			c.Rows[i].NoObject = slices.Contains(without, c.Rows[i].Row.Name)
		}
		if c.Types, err = jobTypes(ctx, db); err == nil {
			c.OfApp, err = db.IsOfApp(ctx)
		}
		return err
	})
	return c, err
}

const (
	// writtenPage is how many rows of a site are found at a time.
	writtenPage = 1000
	// leastStretch and longestStretch are how long a time is that is looked at at a time: a minute of a busy site is a
	// second's work for its database, a day of a quiet one is none.
	leastStretch, longestStretch = time.Minute, 4 * time.Hour
	// quickly is how long a look takes after which the next one is at twice the time.
	quickly = 100 * time.Millisecond
)

// Search says what FindWritten looks for.
type Search struct {
	// Since is from when on rows were modified.
	Since time.Time
	// Behind is up to where the last look has walked through the Pending rows.
	Behind rows.Place
	// Rest gives up the site's connections at once: nothing else is expected of it.
	Rest bool
	// Written is called for each row that somebody else than the engine may have written, Ended for each that has ended and
	// that others wait for.
	Written, Ended func(name string)
}

// FindWritten finds the rows that somebody else than the engine has written, and those that ended without anybody looking for
// who waits for them. Of all Pending rows it looks at some more each time, since their time may have come unseen: behind is up to where.
func (s *Sites) FindWritten(ctx context.Context, site string, q Search) (behind rows.Place, err error) {
	pages := func(found func(name string), page func(ctx context.Context, db *rows.DB, behind rows.Place) ([]rows.Place, error)) error {
		for behind := (rows.Place{}); ; {
			places, err := read(ctx, s, site, func(ctx context.Context, db *rows.DB) ([]rows.Place, error) { return page(ctx, db, behind) })
			for _, p := range places {
				found(p.Name)
				behind = p
			}
			if err != nil || len(places) < writtenPage {
				return err
			}
		}
	}
	behind, err = s.findPending(ctx, site, q.Behind, q.Written)
	stretch := leastStretch
	for from, now := q.Since, time.Now(); err == nil && !from.IsZero(); {
		to, began := from.Add(stretch), time.Now()
		if !to.Before(now) {
			to = time.Time{}
		}
		err = pages(q.Written, func(ctx context.Context, db *rows.DB, behind rows.Place) ([]rows.Place, error) {
			return db.ChangedByHand(ctx, from, to, behind, writtenPage)
		})
		if err == nil {
			err = pages(q.Ended, func(ctx context.Context, db *rows.DB, behind rows.Place) ([]rows.Place, error) {
				return db.EndedParents(ctx, from, to, behind, writtenPage)
			})
		}
		if stretch = leastStretch; time.Since(began) < quickly && !to.IsZero() {
			stretch = min(2*to.Sub(from), longestStretch)
		}
		from = to
	}
	if q.Rest {
		s.rest(site)
	}
	return behind, err
}

// findPending calls found for Pending rows behind a place, but for those whose time is still to come: the schedule has these.
// It returns the place of the last, the zero one if there are no more.
func (s *Sites) findPending(ctx context.Context, site string, behind rows.Place, found func(name string)) (last rows.Place, err error) {
	pending, err := read(ctx, s, site, func(ctx context.Context, db *rows.DB) ([]*rows.BackgroundJob, error) {
		return db.Pending(ctx, behind, writtenPage)
	})
	later, now := map[string]time.Time{}, s.Clock(ctx)
	for _, row := range pending {
		if row.RunAfter.After(now) {
			later[row.Name] = row.RunAfter
		} else {
			found(row.Name)
		}
	}
	if len(pending) == writtenPage {
		last = pending[writtenPage-1].Place()
	}
	return last, errors.Join(err, unlessAway(s.noteTimes(ctx, site, "NX", later)))
}

// rest ends a site's connections that nobody uses.
func (s *Sites) rest(site string) {
	s.mu.Lock()
	w := s.writers[site]
	s.mu.Unlock()
	if w != nil {
		w.db.Rest()
	}
}

// Forget has a site's Job Types, organizations and names read anew.
func (s *Sites) Forget(ctx context.Context, site string) error {
	return s.Look(ctx, site, func(_ context.Context, db *rows.DB) error {
		db.Forget()
		return nil
	})
}
