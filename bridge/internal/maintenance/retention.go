package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	// RetentionEvery is how often it is looked for sites whose time has come, cleanEvery how often each is cleaned.
	RetentionEvery = time.Minute
	cleanEvery     = time.Hour
	// cleanTurn is how long a site is cleaned before another one has its turn, cleanPause the least pause between two batches.
	cleanTurn  = 10 * time.Second
	cleanPause = 50 * time.Millisecond
	// unmovedBatch is how many rows that nobody retries are given up at a time, unmovedAtOnce how many side by side: they share
	// transactions.
	unmovedBatch  = 100
	unmovedAtOnce = 20
)

// CleanerParams are what a Cleaner needs.
type CleanerParams struct {
	RQ interface {
		Processes(ctx context.Context) ([]rqcompat.Process, error)
	}
	Rows interface {
		JobTypes(ctx context.Context, site string) (map[string]*rows.JobType, error)
		DeleteOld(ctx context.Context, site string, status rows.Status, before time.Time, behind rows.Place) (gone []string, next rows.Place, err error)
		DeleteOldBatches(ctx context.Context, site string, before time.Time) (int64, error)
		CountOld(ctx context.Context, site string, status rows.Status, before time.Time) (int, error)
		Unmoved(ctx context.Context, site string, before time.Time, behind rows.Place, limit int) ([]*rows.BackgroundJob, error)
		Apply(ctx context.Context, m moves.Move, then func(context.Context) error) (rows.TransitionResult, error)
	}
	Keep job.Retention
	// Deleted is told one of some rows that were deleted together; may be nil.
	Deleted func(site, name string)
}

// Cleaner deletes jobs that ended long ago, and batches when the last of their jobs is gone. Rows are locked while they are
// looked at and left out where somebody else has them, so that any number of processes may clean.
type Cleaner struct{ CleanerParams }

// Cleaned says of how many rows a site was, or would be, freed.
type Cleaned struct {
	// Deleted are those that had ended, by status.
	Deleted map[rows.Status]int
	// Batches had no job any more.
	Batches int
	// GivenUp are those that nobody retried, and that are dead letters now.
	GivenUp int
}

// Sum is of how many rows in all.
func (c Cleaned) Sum() (n int) {
	for _, k := range c.Deleted {
		n += k
	}
	return n + c.Batches + c.GivenUp
}

// ended are the states whose rows are deleted.
var ended = []rows.Status{rows.StatusCompleted, rows.StatusCanceled, rows.StatusDeadLetter}

// Clean cleans a site until nothing is left to do, or go on says so after a batch.
func (c Cleaner) Clean(ctx context.Context, site string, goOn func(Cleaned) bool) (done Cleaned, err error) {
	done.Deleted = map[rows.Status]int{}
	for _, status := range ended {
		keep := c.Keep.For(status)
		if keep == 0 {
			continue
		}
		before := time.Now().Add(-keep)
		err := inBatches(ctx, func(behind rows.Place) (rows.Place, bool, error) {
			gone, next, err := c.Rows.DeleteOld(ctx, site, status, before, behind)
			if err != nil || next == (rows.Place{}) {
				return next, false, err
			}
			done.Deleted[status] += len(gone)
			if len(gone) > 0 && c.Deleted != nil {
				c.Deleted(site, gone[0])
			}
			return next, goOn(done), nil
		})
		if err != nil {
			return done, err
		}
	}
	if keep := c.Keep.For(rows.StatusCompleted); keep > 0 {
		err := inBatches(ctx, func(behind rows.Place) (rows.Place, bool, error) {
			n, err := c.Rows.DeleteOldBatches(ctx, site, time.Now().Add(-keep))
			done.Batches += int(n)
			return behind, n > 0 && goOn(done), err
		})
		if err != nil {
			return done, err
		}
	}
	err = c.giveUp(ctx, site, &done, goOn)
	return done, err
}

// Count says what Clean would do, but for rows on which others depend, and for batches.
func (c Cleaner) Count(ctx context.Context, site string) (would Cleaned, err error) {
	would.Deleted = map[rows.Status]int{}
	for _, status := range ended {
		if keep := c.Keep.For(status); keep > 0 {
			if would.Deleted[status], err = c.Rows.CountOld(ctx, site, status, time.Now().Add(-keep)); err != nil {
				return would, err
			}
		}
	}
	err = c.unmoved(ctx, site, func(abandoned []*rows.BackgroundJob) (bool, error) {
		would.GivenUp += len(abandoned)
		return true, nil
	})
	return would, err
}

// inBatches calls do from place to place until it says that there is no more. It takes no more than half of the time.
func inBatches(ctx context.Context, do func(behind rows.Place) (last rows.Place, more bool, err error)) error {
	for behind, more := (rows.Place{}), true; more; {
		var err error
		began := time.Now()
		if behind, more, err = do(behind); err != nil {
			return err
		}
		if more {
			wait.Sleep(ctx, max(cleanPause, time.Since(began)))
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// giveUp makes dead letters of what nobody retries.
func (c Cleaner) giveUp(ctx context.Context, site string, done *Cleaned, goOn func(Cleaned) bool) error {
	return c.unmoved(ctx, site, func(abandoned []*rows.BackgroundJob) (bool, error) {
		var moving errgroup.Group
		moving.SetLimit(unmovedAtOnce)
		for _, row := range abandoned {
			moving.Go(func() error {
				_, err := c.Rows.Apply(ctx, moves.GiveUp(site, row, time.Now()), nil)
				return err
			})
		}
		done.GivenUp += len(abandoned)
		return goOn(*done), moving.Wait()
	})
}

// unmoved finds the rows that wait for a retry that nobody makes: none is planned, or it was due long ago and no process
// handles their Job Type.
func (c Cleaner) unmoved(ctx context.Context, site string, do func([]*rows.BackgroundJob) (more bool, err error)) error {
	keep := c.Keep.For(rows.StatusFailed)
	if keep == 0 {
		return nil
	}
	types, err := c.Rows.JobTypes(ctx, site)
	if err != nil {
		return err
	}
	processes, err := c.RQ.Processes(ctx)
	if err != nil {
		return err
	}
	return inBatches(ctx, func(behind rows.Place) (rows.Place, bool, error) {
		page, err := c.Rows.Unmoved(ctx, site, time.Now().Add(-keep), behind, unmovedBatch)
		if err != nil || len(page) == 0 {
			return behind, false, err
		}
		behind = page[len(page)-1].Place()
		more, err := do(slices.DeleteFunc(page, func(row *rows.BackgroundJob) bool {
			return !row.NextRetryAt.IsZero() && slices.ContainsFunc(processes, func(p rqcompat.Process) bool {
				return p.Handles(job.HandlerNames(types, row.JobType)...)
			})
		}))
		return behind, more, err
	})
}

// RetentionParams are what Retention needs.
type RetentionParams struct {
	Cleaner
	Sites interface {
		Names() ([]string, error)
		Maintenance(site string) bool
		IsNoted(site string, err error) bool
	}
	// Process is this process's name.
	Process string
	Log     *slog.Logger
}

// Retention cleans all sites, each once an hour. Of several processes the oldest does.
type Retention struct {
	RetentionParams
	rota sites.Rota
}

// NewRetention prepares the service.
func NewRetention(p RetentionParams) *Retention { return &Retention{RetentionParams: p} }

// Do cleans the sites whose time has come, in turns.
func (r *Retention) Do(ctx context.Context) error {
	names, err := r.Sites.Names()
	if err != nil {
		return err
	}
	if mine, err := r.mine(ctx); !mine {
		return err
	}
	var errs []error
	for due := r.rota.Due(time.Now(), names, func(string) time.Duration { return cleanEvery }); len(due) > 0 && ctx.Err() == nil; {
		site := due[0]
		due = due[1:]
		if r.Sites.Maintenance(site) {
			continue
		}
		more, err := r.clean(ctx, site)
		if err != nil && !r.Sites.IsNoted(site, err) {
			errs = append(errs, err)
		}
		if more {
			due = append(due, site)
		}
		if mine, err := r.mine(ctx); !mine {
			return errors.Join(append(errs, err)...)
		}
	}
	return errors.Join(errs...)
}

// mine reports whether this is the oldest process.
func (r *Retention) mine(ctx context.Context) (bool, error) {
	processes, err := r.RQ.Processes(ctx)
	return rqcompat.IsOldest(processes, r.Process), err
}

// clean cleans a site for a turn.
func (r *Retention) clean(ctx context.Context, site string) (more bool, err error) {
	began := time.Now()
	done, err := r.Clean(ctx, site, func(Cleaned) bool {
		more = time.Since(began) >= cleanTurn
		return !more
	})
	if n := done.Sum(); n > 0 {
		r.Log.Info("jobs that ended long ago were deleted", "site", site, "deleted", n-done.GivenUp-done.Batches, "batches", done.Batches, "given_up", done.GivenUp)
	}
	if errors.Is(err, rows.ErrTableMissing) || ctx.Err() != nil {
		return false, nil
	}
	return more && err == nil, err
}
