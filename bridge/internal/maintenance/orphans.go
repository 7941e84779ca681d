package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// orphanBatch is how many rows of a site are looked at a time.
const orphanBatch = 1000

// OrphansParams are what Orphans needs.
type OrphansParams struct {
	Rows    Rows
	Deliver Deliver
	Alive   func(context.Context) (*Alive, error)
	JobID   func(site, name string) string
	// Finished asks RQ whether a running row's attempt ended well: a row that refused the end must not run again.
	Finished func(ctx context.Context, site string, row *rows.BackgroundJob) (bool, error)
	// Handles reports whether a Job Type has a handler here; other rows are the Python engine's to care for.
	Handles func(*rows.JobType) bool
	// Age is how long a row must not have moved.
	Age time.Duration
	Log *slog.Logger
}

// Orphans finds rows that should be on their way and have no delivery: the submitter died between COMMIT and enqueue,
// Redis lost its data, or a worker's end was noticed by somebody who knows nothing of rows. They are delivered again;
// should there be a delivery after all, the row's compare-and-swap lets only one run.
type Orphans struct {
	OrphansParams

	mu   sync.Mutex
	seen map[string]time.Time // by site, see seenUntil
}

// NewOrphans prepares the service.
func NewOrphans(p OrphansParams) *Orphans {
	return &Orphans{OrphansParams: p, seen: map[string]time.Time{}}
}

// Do looks once through the sites in use.
func (s *Orphans) Do(ctx context.Context) error {
	all, err := s.Rows.Names()
	if err != nil {
		return err
	}
	stale, errs := s.stale(ctx, all)
	if len(stale) == 0 {
		return errors.Join(errs...)
	}
	alive, err := s.Alive(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for site, orphans := range stale {
		for _, row := range orphans {
			errs = append(errs, s.adopt(ctx, site, row, alive))
		}
	}
	return errors.Join(errs...)
}

// stale reads the rows of the sites in use that have not moved for a while.
func (s *Orphans) stale(ctx context.Context, names []string) (stale map[string][]*rows.BackgroundJob, errs []error) {
	var mu sync.Mutex
	stale = map[string][]*rows.BackgroundJob{}
	sites.Each(slices.Values(names), func(site string) {
		if !s.Rows.IsOpen(site) {
			return
		}
		found, err := s.Rows.Stale(ctx, site, s.seenUntil(site), s.Age, orphanBatch)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			s.goOnAfter(site, found)
		}
		switch {
		case err == nil && len(found) > 0:
			stale[site] = found
		case err != nil && !errors.Is(err, rows.ErrTableMissing) && !s.Rows.IsNoted(site, err):
			errs = append(errs, err)
		}
	})
	return stale, errs
}

// seenUntil is where the last look at a site's stale rows ended; zero means that it starts from the oldest. Thousands
// of rows that run for hours must not hide the ones behind them.
func (s *Orphans) seenUntil(site string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[site]
}

func (s *Orphans) goOnAfter(site string, found []*rows.BackgroundJob) {
	var next time.Time
	if len(found) == orphanBatch {
		// Rows moved in one transaction share their time, so that one is read again; unless it is all there was.
		if next = found[len(found)-1].Modified; next.Equal(found[0].Modified) {
			next = next.Add(time.Microsecond)
		}
	}
	s.mu.Lock()
	s.seen[site] = next
	s.mu.Unlock()
}

// adopt delivers a row again that has no delivery.
func (s *Orphans) adopt(ctx context.Context, site string, row *rows.BackgroundJob, alive *Alive) error {
	if alive.waits(s.JobID(site, row.Name), row.JobHash) || !s.handles(ctx, site, row) {
		return nil
	}
	deliver := s.Deliver.of(site, row)
	said := func() {
		s.Log.Warn("row had no delivery; it is delivered again", "site", site, "job", row.Name, "status", row.Status)
	}
	switch row.Status {
	case rows.StatusRunning:
		if alive.runs(row.StartedAt) {
			return nil
		}
		switch finished, err := s.Finished(ctx, site, row); {
		case err != nil:
			return err
		case finished:
			return s.complete(ctx, site, row)
		}
		_, err := s.Rows.Apply(ctx, moves.GiveBack(site, row, workerDied), func(ctx context.Context) error {
			said()
			return deliver(ctx)
		})
		return err
	case rows.StatusQueued:
		// It may have run, and even ended, since it was read.
		if moved, err := s.hasMoved(ctx, site, row); err != nil || moved {
			return err
		}
		said()
		return deliver(ctx)
	}
	return nil // a Pending row waits for something else
}

// complete ends a row whose job has finished in RQ.
func (s *Orphans) complete(ctx context.Context, site string, row *rows.BackgroundJob) error {
	move := moves.Complete(site, row, moves.Said{}, time.Now()).Bare()
	result, err := s.Rows.Apply(ctx, move, nil)
	if result.Applied {
		s.Log.Warn("row still ran though its job has finished; it is completed", "site", site, "job", row.Name)
	}
	return err
}

func (s *Orphans) handles(ctx context.Context, site string, row *rows.BackgroundJob) bool {
	types, err := s.Rows.JobTypes(ctx, site)
	return err == nil && types[row.JobType] != nil && s.Handles(types[row.JobType])
}

// hasMoved reports whether a row is no longer as it was read.
func (s *Orphans) hasMoved(ctx context.Context, site string, row *rows.BackgroundJob) (bool, error) {
	now, err := s.Rows.Row(ctx, site, row.Name)
	switch {
	case errors.Is(err, rows.ErrNoSuchJob):
		return true, nil
	case err != nil:
		return false, err
	}
	return now.Status != row.Status || !now.Modified.Equal(row.Modified), nil
}
