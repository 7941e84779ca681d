package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// What is due: rows whose retry has come, and jobs in RQ's scheduled
// registries, which nobody moves on a Frappe bench otherwise.

const (
	// scheduleTick is how often sites and queues are asked what is due. A retry
	// that this process scheduled itself is moved when it is due.
	scheduleTick = time.Second
	// quietTick is how often sites are asked that have shown no job yet.
	quietTick = 15 * time.Second
	// lockRenew is how often the scheduler's locks are renewed, and those that
	// somebody else holds are tried again.
	lockRenew = 20 * time.Second
	// dueBatch is how many rows of a site are moved at a time.
	dueBatch = 100
)

type schedule struct {
	e *Engine

	mu   sync.Mutex
	next time.Time // the earliest known retry; zero if none
	woke chan struct{}

	// The rest is owned by run. quiet says when a site without open rows is asked
	// again.
	quiet   map[string]time.Time
	lock    *rqcompat.SchedulerLock
	renewed time.Time
}

func newSchedule(e *Engine) *schedule {
	return &schedule{e: e, woke: make(chan struct{}, 1), quiet: map[string]time.Time{}}
}

// wakeAt makes sure that due rows are looked for at t.
func (s *schedule) wakeAt(t time.Time) {
	s.mu.Lock()
	sooner := s.next.IsZero() || t.Before(s.next)
	if sooner {
		s.next = t
	}
	s.mu.Unlock()
	if sooner {
		signal(s.woke)
	}
}

// pause is how long to wait for the next look.
func (s *schedule) pause() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next.IsZero() {
		return scheduleTick
	}
	return min(max(time.Until(s.next), 0), scheduleTick)
}

func (s *schedule) run(ctx context.Context) {
	for ctx.Err() == nil {
		timer := time.NewTimer(s.pause())
		select {
		case <-ctx.Done():
		case <-s.woke:
		case <-timer.C:
			s.look(ctx)
		}
		timer.Stop()
	}
	if s.lock != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := s.lock.Release(last); err != nil {
			s.e.log.Warn().Err(err).Msg("scheduler's locks not released; they expire by themselves")
		}
	}
}

func (s *schedule) look(ctx context.Context) {
	s.mu.Lock()
	if !s.next.IsZero() && !time.Now().Before(s.next) {
		s.next = time.Time{}
	}
	s.mu.Unlock()
	atOnce(slices.Values(s.sites(time.Now())), func(site string) {
		if err := s.retryDue(ctx, site); err != nil && ctx.Err() == nil && !s.e.sites.isNoted(site, err) {
			s.e.log.Warn().Err(err).Str("site", site).Msg("retries that are due can't be moved now")
		}
	})
	if err := s.enqueueScheduled(ctx); err != nil && ctx.Err() == nil {
		s.e.log.Warn().Err(err).Msg("scheduled jobs can't be moved now")
	}
}

// enqueueScheduled does the work of RQ's scheduler for the queues that nobody
// else schedules.
func (s *schedule) enqueueScheduled(ctx context.Context) (err error) {
	now := time.Now()
	switch {
	case s.lock == nil:
		var queues []string
		for _, q := range s.e.watchedQueues() {
			queues = append(queues, q.name)
		}
		s.lock, err = s.e.rq.AcquireScheduler(ctx, queues, rqcompat.NewExecutionID())
		s.renewed = now
	case now.Sub(s.renewed) >= lockRenew:
		err = errors.Join(s.lock.Renew(ctx), s.lock.Acquire(ctx))
		s.renewed = now
	}
	if err != nil {
		return err
	}
	for _, queue := range s.lock.Queues() {
		if _, err := s.e.rq.EnqueueDue(ctx, queue, now); err != nil {
			return err
		}
	}
	return nil
}

// sites lists the sites to ask now.
func (s *schedule) sites(now time.Time) (ask []string) {
	all, err := s.e.cfg.Bench.Sites()
	if err != nil {
		return nil
	}
	for _, site := range all {
		if s.e.sites.isOpen(site) || !now.Before(s.quiet[site]) {
			s.quiet[site] = now.Add(quietTick)
			ask = append(ask, site)
		}
	}
	return ask
}

// retryDue moves a site's due rows back to the queue: those with a handler here,
// as the Python engine has its own schedule.
func (s *schedule) retryDue(ctx context.Context, site string) error {
	var w *siteRowsWriter
	var rows []*frappe.BackgroundJob
	err := s.e.sites.glance(ctx, site, func(ctx context.Context, open *siteRowsWriter) error {
		w = open
		types, err := w.jobTypes(ctx)
		if err == nil {
			rows, err = w.db.Due(ctx, w.db.Now(), s.e.handled(types), dueBatch)
		}
		return err
	})
	if errors.Is(err, frappe.ErrTableMissing) {
		return nil
	}
	for _, row := range rows {
		move := frappe.Transition{
			Name: row.Name, From: row.Status, To: frappe.StatusQueued, Message: "Job enqueued for retry",
			Set: map[string]any{"retry_count": row.RetryCount + 1, "next_retry_at": nil},
		}
		// Whoever wins the compare-and-swap delivers; a crash in between is mended
		// by the sweep.
		result, err := s.e.move(ctx, w, move)
		if err != nil {
			return err
		}
		if !result.Applied {
			continue
		}
		s.e.publishMove(site, row, move, result)
		if err := s.e.enqueueRow(ctx, s.e.cfg, site, row); err != nil {
			return err
		}
	}
	return err
}
