package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Registries keeps RQ's registries in order: failed ones below Frappe's limit, and what RQ's workers clean.
type Registries struct {
	RQ interface {
		TrimFailed(ctx context.Context, queue string, limit int64) (removed int64, err error)
		Maintain(ctx context.Context, queue string, ours func(workerName string) bool) (rqcompat.MaintenanceReport, error)
		MaintainGroups(ctx context.Context) (removed int64, err error)
	}
	Queues []job.Queue
	// Limit is how many failed jobs stay, frappe.conf.rq_failed_jobs_limit.
	Limit func() int64

	growing sync.Map // names of queues whose failed registry grew
}

// Failed notes that a queue's failed registry grew. Safe for concurrent use.
func (s *Registries) Failed(queue string) { s.growing.Store(queue, nil) }

// Trim drops the oldest of what exceeds the limit in the registries that grew.
func (s *Registries) Trim(ctx context.Context) error {
	var errs []error
	for queue := range s.growing.Range {
		s.growing.Delete(queue)
		if _, err := s.RQ.TrimFailed(ctx, queue.(string), s.Limit()); err != nil {
			s.growing.Store(queue, nil)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Maintain does RQ's own cleaning; jobs of bridges are left to Rescue.
func (s *Registries) Maintain(ctx context.Context) error {
	err := each(s.Queues, func(q job.Queue) error {
		_, err := s.RQ.Maintain(ctx, q.Name, workers.IsOurs)
		return err
	})
	_, groups := s.RQ.MaintainGroups(ctx)
	return errors.Join(err, groups)
}

// Dependents goes on releasing what jobs with many dependents left behind at their end.
type Dependents struct {
	RQ interface {
		ReleaseDependents(ctx context.Context) (more bool, err error)
	}
}

// Do releases until nothing is left.
func (s Dependents) Do(ctx context.Context) error {
	for {
		if more, err := s.RQ.ReleaseDependents(ctx); !more || err != nil {
			return err
		}
	}
}

// lockRenew is how often the scheduler's locks are renewed, and those that somebody else holds are tried again.
const lockRenew = 20 * time.Second

// Scheduler does the work of RQ's scheduler for the queues that nobody else schedules: a Frappe bench has none.
type Scheduler struct {
	RQ     *rqcompat.Client
	Queues []string
	Log    *slog.Logger

	lock    *rqcompat.SchedulerLock
	renewed time.Time
}

// Do moves what is due, once.
func (s *Scheduler) Do(ctx context.Context) (err error) {
	now := time.Now()
	switch {
	case s.lock == nil:
		s.lock, err = s.RQ.AcquireScheduler(ctx, s.Queues, rqcompat.NewExecutionID())
		s.renewed = now
	case now.Sub(s.renewed) >= lockRenew:
		err = errors.Join(s.lock.Renew(ctx), s.lock.Acquire(ctx))
		s.renewed = now
	}
	if err != nil {
		return err
	}
	for _, queue := range s.lock.Queues() {
		if _, err := s.RQ.EnqueueDue(ctx, queue); err != nil {
			return err
		}
	}
	return nil
}

// Release gives the locks back.
func (s *Scheduler) Release(ctx context.Context) {
	if s.lock == nil {
		return
	}
	if err := s.lock.Release(ctx); err != nil {
		s.Log.Warn("scheduler's locks not released; they expire by themselves", "error", err)
	}
}
