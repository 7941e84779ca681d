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
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

const (
	// retryTick is how often sites are asked what is due. A retry that this process scheduled itself doesn't wait for it.
	retryTick = time.Second
	// quietTick is how often sites are asked that have shown no job yet.
	quietTick = 15 * time.Second
	// dueBatch is how many rows of a site are moved at a time.
	dueBatch = 100
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

	mu   sync.Mutex
	next time.Time // the earliest known retry; zero if none

	// quiet says when a site without open rows is asked again; owned by Run.
	quiet map[string]time.Time
}

// NewRetries prepares the service.
func NewRetries(p RetriesParams) *Retries {
	return &Retries{RetriesParams: p, woke: wait.NewFlag(), quiet: map[string]time.Time{}}
}

// Moved implements sites.Observer.
func (s *Retries) Moved(m sites.Moved) {
	if at := m.Written.NextRetryAt; !at.IsZero() {
		s.wakeAt(at)
	}
}

// Progressed implements sites.Observer.
func (s *Retries) Progressed(sites.Progressed) {}

// wakeAt makes sure that due rows are looked for at t.
func (s *Retries) wakeAt(t time.Time) {
	s.mu.Lock()
	sooner := s.next.IsZero() || t.Before(s.next)
	if sooner {
		s.next = t
	}
	s.mu.Unlock()
	if sooner {
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
	now := time.Now()
	s.mu.Lock()
	if !s.next.IsZero() && !now.Before(s.next) {
		s.next = time.Time{}
	}
	s.mu.Unlock()
	sites.Each(slices.Values(s.sites(now)), func(site string) {
		if err := s.moveDue(ctx, site); err != nil && ctx.Err() == nil && !s.Rows.IsNoted(site, err) {
			s.said.Warn(s.Log, "retries that are due can't be moved now", site, "error", err, "site", site)
		}
	})
}

// sites lists the sites to ask now.
func (s *Retries) sites(now time.Time) (ask []string) {
	all, err := s.Rows.Names()
	if err != nil {
		return nil
	}
	for _, site := range all {
		if s.Rows.IsOpen(site) || !now.Before(s.quiet[site]) {
			s.quiet[site] = now.Add(quietTick)
			ask = append(ask, site)
		}
	}
	return ask
}

// moveDue queues a site's due rows. Whoever wins the compare-and-swap delivers; Orphans mends a crash in between.
func (s *Retries) moveDue(ctx context.Context, site string) error {
	due, err := s.Rows.Due(ctx, site, s.Handled, dueBatch)
	if errors.Is(err, rows.ErrTableMissing) {
		return nil
	}
	for _, row := range due {
		if _, err := s.Rows.Apply(ctx, moves.RetryDue(site, row), s.Deliver.of(site, row)); err != nil {
			return err
		}
	}
	return err
}
