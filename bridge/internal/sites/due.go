package sites

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Soonest tells in which time each site has the first row that is due; nothing while Redis is away.
func (s *Sites) Soonest(ctx context.Context) (map[string]time.Duration, error) {
	soonest, err := s.Schedule.soonest(ctx)
	return soonest, unlessAway(err)
}

// Due are rows of a site whose time has come, taken from other processes for a while.
type Due struct {
	// Retries are to be queued again, without their parameters. Pending are those that were to run after a time, by name.
	Retries []*rows.BackgroundJob
	Pending map[string]time.Time
	// Lost says that other processes took some first: there may be more behind those.
	Lost  bool
	until time.Time
}

// Due takes rows whose time has come, of the Job Types that handled names: those of the schedule. With text it first takes
// those retries down there that it doesn't know and whose local time has come. While Redis is away there are none: nothing
// could be delivered.
func (s *Sites) Due(ctx context.Context, site string, handled func(map[string]*rows.JobType) []string, text bool) (due Due, err error) {
	if s.Schedule == nil {
		return due, nil
	}
	scheduled, err := s.Schedule.due(ctx, site)
	if err != nil || len(scheduled) == 0 && !text {
		return due, unlessAway(err)
	}
	return read(ctx, s, site, func(ctx context.Context, db *rows.DB) (Due, error) {
		types, err := jobTypes(ctx, db)
		if err != nil {
			return due, err
		}
		if text {
			unknown, err := s.byText(ctx, db, handled(types))
			if err != nil {
				return due, err
			}
			scheduled = append(scheduled, unknown...)
		}
		return s.take(ctx, db, scheduled, handled(types))
	})
}

// byText names retries that the schedule doesn't know, and takes them down there.
func (s *Sites) byText(ctx context.Context, db *rows.DB, handled []string) ([]string, error) {
	names, err := db.Due(ctx, db.Now(), handled, dueAmong)
	if err != nil {
		return nil, err
	}
	known, err := s.Schedule.times(ctx, db.Site(), names)
	if err != nil {
		return nil, unlessAway(err)
	}
	unknown := slices.DeleteFunc(names, func(name string) bool { return !known[name].IsZero() })
	return unknown, unlessAway(s.Schedule.adopt(ctx, db.Site(), unknown))
}

// take takes those of the rows that wait and have a handler. The others are forgotten, or left to whom they concern.
func (s *Sites) take(ctx context.Context, db *rows.DB, names, handled []string) (due Due, err error) {
	kinds, err := db.Kinds(ctx, names)
	if err != nil {
		return due, err
	}
	var over, wanted []string
	for _, name := range names {
		switch row := kinds[name]; {
		case row == nil, row.Status != rows.StatusFailed && row.Status != rows.StatusTimedOut && row.Status != rows.StatusPending:
			over = append(over, name)
		case slices.Contains(handled, row.JobType):
			wanted = append(wanted, name)
		}
	}
	err = s.Schedule.forget(ctx, db.Site(), over, time.Time{})
	taken, until, err2 := s.Schedule.take(ctx, db.Site(), wanted)
	if err = unlessAway(errors.Join(err, err2)); err != nil {
		return due, err
	}
	due.until, due.Lost, due.Pending = until, len(taken) < len(wanted), map[string]time.Time{}
	var retries []string
	for _, name := range wanted { // earliest first
		switch at, ours := taken[name]; {
		case !ours:
		case kinds[name].Status == rows.StatusPending:
			due.Pending[name] = at
		default:
			retries = append(retries, name)
		}
	}
	found, err := db.Unlocked(ctx, retries) // a locked one is anybody's in a while
	for _, name := range retries {
		if row := found[name]; row != nil {
			due.Retries = append(due.Retries, row)
		}
	}
	return due, err
}

// Dealt forgets those of the due rows that don't wait any more.
func (s *Sites) Dealt(ctx context.Context, site string, due Due, names []string) error {
	return unlessAway(s.Schedule.forget(ctx, site, names, due.until))
}

// NoteRunAfter takes down when Pending rows are to run.
func (s *Sites) NoteRunAfter(ctx context.Context, site string, at map[string]time.Time) error {
	return s.noteTimes(ctx, site, "", at)
}

func (s *Sites) noteTimes(ctx context.Context, site, nx string, at map[string]time.Time) error {
	if s.Schedule == nil || len(at) == 0 {
		return nil
	}
	var pairs []any
	var last time.Time
	for name, t := range at {
		pairs = append(pairs, scoreText(t), name)
		if t.After(last) {
			last = t
		}
	}
	return s.Schedule.noteAll(ctx, site, nx, pairs, last)
}

// exact gives the Pending rows the very instant that they are to run at, where the schedule knows it: their local time may be
// of an hour that comes twice. One whose text is another by now goes by that.
func (s *Sites) exact(ctx context.Context, site string, found map[string]*rows.BackgroundJob) error {
	var names []string
	for name, row := range found {
		if row.Status == rows.StatusPending && !row.RunAfter.IsZero() {
			names = append(names, name)
		}
	}
	times, err := s.Schedule.times(ctx, site, names)
	for name, at := range times {
		RunsAt(found[name], at)
	}
	return unlessAway(err)
}

// RunsAt gives a row the very instant that its run_after means, unless that says something else by now.
func RunsAt(row *rows.BackgroundJob, at time.Time) {
	if at = at.In(row.RunAfter.Location()); DeskTime(at) == DeskTime(row.RunAfter) {
		row.RunAfter = at
	}
}
