package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

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
		if _, err := s.RQ.EnqueueDue(ctx, queue, now); err != nil {
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
