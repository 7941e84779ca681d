package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"golang.org/x/sync/errgroup"
)

const (
	// retryTick is how often sites are asked what is due. A retry that this process scheduled itself doesn't wait for it.
	retryTick = time.Second
	// quietTick is how often sites are asked in which no row has moved here for quietAfter.
	quietTick  = 15 * time.Second
	quietAfter = time.Minute
	// dueBatch is how many rows of a site are moved at a time, and movedAtOnce how many side by side: they share
	// transactions.
	dueBatch    = 100
	movedAtOnce = 20
)

// RetriesParams are what Retries needs.
type RetriesParams struct {
	Rows    Rows
	Deliver Deliver
	// Handled names those Job Types that have a handler here; the Python engine has its own schedule.
	Handled func(map[string]*rows.JobType) []string
	Log     *slog.Logger
}

// Retries queues rows whose retry is due. As an observer it learns when the next one is.
type Retries struct {
	RetriesParams
	woke wait.Flag
	said wait.Seldom

	mu    sync.Mutex
	next  time.Time // the earliest known retry; zero if none
	sites map[string]*retrySite
}

// retrySite is what is known of a site.
type retrySite struct {
	moved, asked time.Time
	// ask is when a quiet site is asked next.
	ask time.Time
	// retry is the earliest known retry; zero if none.
	retry time.Time
}

// NewRetries prepares the service.
func NewRetries(p RetriesParams) *Retries {
	return &Retries{RetriesParams: p, woke: wait.NewFlag(), sites: map[string]*retrySite{}}
}

// Moved implements sites.Observer.
func (s *Retries) Moved(m sites.Moved) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	site := s.sites[m.Site]
	if site == nil {
		site = &retrySite{ask: now}
		s.sites[m.Site] = site
	}
	site.moved = now
	at := m.Written.NextRetryAt
	if !at.IsZero() && (site.retry.IsZero() || at.Before(site.retry)) {
		site.retry = at
		s.wakeAt(at)
	}
}

// Progressed implements sites.Observer.
func (s *Retries) Progressed(sites.Progressed) {}

// wakeAt makes sure that due rows are looked for at t. It needs s.mu.
func (s *Retries) wakeAt(t time.Time) {
	if s.next.IsZero() || t.Before(s.next) {
		s.next = t
		s.woke.Raise()
	}
}

// pause is how long to wait for the next look.
func (s *Retries) pause() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next.IsZero() {
		return retryTick
	}
	return min(max(time.Until(s.next), 0), retryTick)
}

// Run looks when something is due, and every second, until ctx ends.
func (s *Retries) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if woke := s.woke.Within(ctx, s.pause()); !woke && ctx.Err() == nil {
			s.look(ctx)
		}
	}
}

func (s *Retries) look(ctx context.Context) {
	sites.Each(slices.Values(s.toAsk(ctx, time.Now())), func(site string) {
		more, err := s.moveDue(ctx, site)
		if err != nil && ctx.Err() == nil && !s.Rows.IsNoted(site, err) {
			s.said.Warn(s.Log, "retries that are due can't be moved now", site, "error", err, "site", site)
		}
		if more {
			s.goOn(site)
		}
	})
}

// toAsk lists the sites to ask now: those with a retry that is known to be due, whoever planned it, those in use every
// second, the others seldom and not all at once: a row may say so that nobody here knows of.
func (s *Retries) toAsk(ctx context.Context, now time.Time) (ask []string) {
	all, err := s.Rows.Names()
	pending, away := s.Rows.Pending(ctx, all)
	if away != nil && ctx.Err() == nil {
		s.said.Warn(s.Log, "what is due can't be read now", "", "error", away)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = time.Time{}
	if err != nil {
		return nil
	}
	for i, name := range all {
		site := s.sites[name]
		if site == nil {
			site = &retrySite{ask: now.Add(share(quietTick, i, len(all)))}
			s.sites[name] = site
		}
		due := pending[name] || !site.retry.IsZero() && !now.Before(site.retry)
		inUse := now.Sub(site.moved) < quietAfter && now.Sub(site.asked) >= retryTick
		if due || inUse || !now.Before(site.ask) {
			site.asked, site.ask = now, now.Add(quietTick)
			ask = append(ask, name)
		}
		if due {
			site.retry = time.Time{}
		}
		if !site.retry.IsZero() {
			s.wakeAt(site.retry)
		}
	}
	return ask
}

// goOn has a site asked again at once; other sites come in between.
func (s *Retries) goOn(name string) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sites[name].retry = now
	s.wakeAt(now)
}

// moveDue queues some of a site's due rows; more says that there are others. Whoever wins the compare-and-swap delivers;
// Orphans mends a crash in between.
func (s *Retries) moveDue(ctx context.Context, site string) (more bool, err error) {
	due, err := s.Rows.Due(ctx, site, s.Handled, dueBatch)
	if errors.Is(err, rows.ErrTableMissing) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var (
		moved  atomic.Int64
		moving errgroup.Group
	)
	moving.SetLimit(movedAtOnce)
	for _, row := range due {
		moving.Go(func() error {
			result, err := s.Rows.Apply(ctx, moves.RetryDue(site, row), s.Deliver.of(site, row))
			if result.Applied {
				moved.Add(1)
			}
			return err
		})
	}
	err = moving.Wait()
	// Rows that can't be moved are not asked for again and again.
	return len(due) == dueBatch && moved.Load() > 0, err
}
