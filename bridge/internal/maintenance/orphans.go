package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// orphanBatch is how many rows of a site are looked at a time.
const orphanBatch = 1000

// OrphansParams are what Orphans needs.
type OrphansParams struct {
	Rows    Rows
	Deliver Deliver
	Alive   func(context.Context) (Alive, error)
	JobID   func(site, name string) string
	// Finished asks RQ whether a running row's attempt ended well: a row that refused the end must not run again.
	Finished func(ctx context.Context, site string, row *rows.BackgroundJob) (bool, error)
	// Handled names those Job Types that have a handler here; other rows are the Python engine's to care for.
	Handled func(map[string]*rows.JobType) []string
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
	seen map[string]rows.Place // by site: up to where it was looked at
}

// NewOrphans prepares the service.
func NewOrphans(p OrphansParams) *Orphans {
	return &Orphans{OrphansParams: p, seen: map[string]rows.Place{}}
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
	stale = map[string][]*rows.BackgroundJob{}
	sites.Each(slices.Values(names), func(site string) {
		if !s.Rows.IsOpen(site) {
			return
		}
		s.mu.Lock()
		behind := s.seen[site]
		s.mu.Unlock()
		found, err := s.Rows.Stale(ctx, site, behind, s.Age, orphanBatch)
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case err == nil:
			s.seen[site] = goOnBehind(found)
			if len(found) > 0 {
				stale[site] = found
			}
		case !errors.Is(err, rows.ErrTableMissing) && !s.Rows.IsNoted(site, err):
			errs = append(errs, err)
		}
	})
	return stale, errs
}

// goOnBehind is where a site is looked at next, zero for from the oldest: long-running rows must not hide what follows.
func goOnBehind(found []*rows.BackgroundJob) rows.Place {
	if len(found) < orphanBatch {
		return rows.Place{}
	}
	return found[len(found)-1].Place()
}

// adopt delivers a row again that has no delivery.
func (s *Orphans) adopt(ctx context.Context, site string, row *rows.BackgroundJob, alive Alive) error {
	delivered := alive[s.JobID(site, row.Name)] || row.JobHash != "" && alive[row.JobHash]
	if delivered || !s.handles(ctx, site, row) {
		return nil
	}
	deliver := s.Deliver.of(site, row)
	said := func() {
		s.Log.Warn("row had no delivery; it is delivered again", "site", site, "job", row.Name, "status", row.Status)
	}
	switch row.Status {
	case rows.StatusRunning:
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
	return err == nil && slices.Contains(s.Handled(types), row.JobType)
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
	return now.Status != row.Status || now.ModifiedRaw != row.ModifiedRaw, nil
}

// Alive has the ids of jobs on their way or running, and the hashes of rows made for them.
type Alive map[string]bool

// Census finds out what is alive on all queues of the bench, also on those that only others work.
type Census struct {
	RQ interface {
		Queues(ctx context.Context) ([]string, error)
		QueueIDs(ctx context.Context, queue string, from, to int64) ([]string, error)
		Members(ctx context.Context, reg rqcompat.Registry, queue string, from, to int64) ([]rqcompat.Member, error)
		FetchMany(ctx context.Context, ids []string) ([]*rqcompat.FetchResult, error)
	}
	Bench *frappe.Bench
	// Deliveries gives the ids of the RQ jobs that may bring a row.
	Deliveries func(ctx context.Context, site, name string) ([]string, error)
	// Waiting calls yield for each row whose job waits in this process.
	Waiting func(yield func(site, name string))
}

// Take collects what is alive.
func (c Census) Take(ctx context.Context) (Alive, error) {
	alive := Alive{}
	queues, err := c.queues(ctx)
	if err != nil {
		return nil, err
	}
	err = each(queues, func(queue string) error {
		// The queue comes first: a job that is claimed meanwhile is then seen twice and not never.
		waiting, err := c.RQ.QueueIDs(ctx, queue, 0, -1)
		if err != nil {
			return err
		}
		for _, id := range waiting {
			alive[id], alive[sites.ArrivalHash(id)] = true, true
		}
		return c.started(ctx, queue, alive)
	})
	c.Waiting(func(site, name string) { alive[c.Bench.JobID(site, name)] = true })
	return alive, err
}

// Finished reports whether RQ has it that a running row's attempt ended well.
func (c Census) Finished(ctx context.Context, site string, row *rows.BackgroundJob) (bool, error) {
	ids, err := c.Deliveries(ctx, site, row.Name)
	if err != nil {
		return false, err
	}
	jobs, err := c.RQ.FetchMany(ctx, ids)
	return slices.ContainsFunc(jobs, func(f *rqcompat.FetchResult) bool {
		return f.Job != nil && f.Job.Status == rqcompat.StatusFinished && row.StartedAs(f.Job.StartedAt)
	}), err
}

// started collects the attempts in a queue's started registry.
func (c Census) started(ctx context.Context, queue string, alive Alive) error {
	members, err := c.RQ.Members(ctx, rqcompat.Wip, queue, 0, -1)
	if err != nil {
		return err
	}
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = m.ID
	}
	jobs, err := c.RQ.FetchMany(ctx, ids)
	if err != nil {
		return err
	}
	for i, j := range jobs {
		alive[ids[i]], alive[sites.ArrivalHash(ids[i])] = true, true
		if j.Job == nil {
			continue
		}
		// It may bear another id than its row's own delivery; the row is named in the call.
		if site, name, ok := route.RowOf(j.Job); ok {
			alive[c.Bench.JobID(site, name)] = true
		}
	}
	return nil
}

// queues lists the queues of the bench, also those that only others work.
func (c Census) queues(ctx context.Context) ([]string, error) {
	names, err := c.RQ.Queues(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range c.Bench.QueueTypes() {
		names = append(names, c.Bench.QueueName(t.Name))
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
