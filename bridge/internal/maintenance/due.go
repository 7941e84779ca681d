package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"golang.org/x/sync/errgroup"
)

const (
	// dueTick is how often it is asked what is due next, whoever planned it: one command for all sites. What this process
	// planned itself doesn't wait for it.
	dueTick = 200 * time.Millisecond
	// textTick is how often a site's rows are looked at for what only their texts say, and how long a site is left alone
	// whose due rows can't be moved.
	textTick = time.Second
	// quietTick is how often those sites are looked at in which no row has moved here for quietAfter.
	quietTick  = 15 * time.Second
	quietAfter = time.Minute
)

// DueParams are what Due needs.
type DueParams struct {
	Rows    Rows
	Deliver Deliver
	// Release has a Pending row looked at whose time has come, with that; byhand.Hands.TimeCame does it.
	Release func(site, name string, at time.Time)
	// Handled names those Job Types that have a handler here; the Python engine has its own schedule.
	Handled func(map[string]*rows.JobType) []string
	Log     *slog.Logger
}

// Due queues rows whose retry is due, and has those released whose time to run has come. As an observer it learns when the
// next retry is.
type Due struct {
	DueParams
	lanes *batch.Lanes[string, dueAsk] // of the sites with due rows
	woke  wait.Flag
	said  wait.Seldom

	mu     sync.Mutex
	next   time.Time // the earliest known time; zero if none
	listed time.Time // when the sites were listed
	sites  map[string]*dueSite
}

// dueSite is what is known of a site.
type dueSite struct {
	here bool // it is one of the bench's
	busy bool // its due rows are being moved
	// moved is when a row moved here, text when its rows' texts are looked at next.
	moved, text time.Time
	// again is when the site is asked again whose due rows can't be moved.
	again time.Time
}

// NewDue prepares the service.
func NewDue(p DueParams) *Due {
	s := &Due{DueParams: p, woke: wait.NewFlag(), sites: map[string]*dueSite{}}
	s.lanes = batch.NewLanes(dueLane, s.work, func(string, int) {})
	return s
}

// dueAsk is why a site is asked: the schedule says that something is due, or it is time to look at its rows' texts.
type dueAsk struct{ due, text bool }

// dueLane is how often a site may be asked for at once; it is only asked for when it isn't being dealt with.
const dueLane = 10

// Moved implements sites.Observer.
func (s *Due) Moved(m sites.Moved) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.site(m.Site).moved = now
	if at := m.Written.NextRetryAt; !at.IsZero() {
		s.wakeAt(at)
	}
}

// Lost has all rows' texts looked at, since what was planned may be lost.
func (s *Due) Lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, site := range s.sites {
		site.text, site.moved = now, now
	}
	s.wakeAt(now)
}

// Progressed implements sites.Observer.
func (s *Due) Progressed(sites.Progressed) {}

// site needs s.mu.
func (s *Due) site(name string) *dueSite {
	site := s.sites[name]
	if site == nil {
		site = &dueSite{}
		s.sites[name] = site
	}
	return site
}

// wakeAt makes sure that due rows are looked for at t. It needs s.mu.
func (s *Due) wakeAt(t time.Time) {
	if s.next.IsZero() || t.Before(s.next) {
		s.next = t
		s.woke.Raise()
	}
}

// pause is how long to wait for the next look.
func (s *Due) pause() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next.IsZero() {
		return dueTick
	}
	return min(max(time.Until(s.next), 0), dueTick)
}

// Run looks when something is due, and at each tick, until ctx ends.
func (s *Due) Run(ctx context.Context) {
	var moving sync.WaitGroup
	moving.Go(func() { s.lanes.Run(ctx) })
	for ctx.Err() == nil {
		if woke := s.woke.Within(ctx, s.pause()); !woke && ctx.Err() == nil {
			s.look(ctx)
		}
	}
	moving.Wait()
}

// look finds out which sites have something to do.
func (s *Due) look(ctx context.Context) {
	soonest, err := s.Rows.Soonest(ctx)
	if err != nil && ctx.Err() == nil {
		s.said.Warn(s.Log, "what is due can't be read now", "", "error", err)
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = time.Time{}
	s.list(now)
	for name, site := range s.sites {
		if !site.here || site.busy {
			continue
		}
		in, planned := soonest[name]
		due, text := planned && in <= 0 && !now.Before(site.again), !now.Before(site.text)
		if text {
			site.text = now.Add(quietTick)
			if now.Sub(site.moved) < quietAfter {
				site.text = now.Add(textTick)
			}
		}
		if due || text {
			site.busy = true
			s.lanes.Add(name, dueAsk{due, text})
		} else if planned && in > 0 {
			s.wakeAt(now.Add(in))
		}
	}
}

// list takes note of which sites there are. Those that are new are not all looked at at the same moment. It needs s.mu.
func (s *Due) list(now time.Time) {
	if now.Sub(s.listed) < textTick {
		return
	}
	all, err := s.Rows.Names()
	if err != nil {
		return
	}
	s.listed = now
	for _, site := range s.sites {
		site.here = false
	}
	for i, name := range all {
		site := s.site(name)
		site.here = true
		if site.text.IsZero() {
			site.text = now.Add(share(quietTick, i, len(all)))
		}
	}
}

// work moves what is due at one site, until nothing is left that can be moved.
func (s *Due) work(ctx context.Context, name string, asked []dueAsk) {
	ask := asked[0] // there is one at a time
	for more := true; more && ctx.Err() == nil; ask.text = false {
		var err error
		more, err = s.moveDue(ctx, name, ask.text)
		if err != nil && ctx.Err() == nil && !s.Rows.IsNoted(name, err) {
			s.said.Warn(s.Log, "rows that are due can't be moved now", name, "error", err, "site", name)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	site := s.site(name)
	if site.busy = false; ask.due {
		site.again = time.Now().Add(textTick)
	}
	s.wakeAt(time.Now())
}

// moveDue moves some of a site's due rows; more says that some were, so that there may be others. Whoever wins the
// compare-and-swap delivers; Orphans mends a crash in between.
func (s *Due) moveDue(ctx context.Context, site string, text bool) (more bool, err error) {
	due, err := s.Rows.Due(ctx, site, s.Handled, text)
	if errors.Is(err, rows.ErrTableMissing) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var (
		mu     sync.Mutex
		dealt  []string
		moving errgroup.Group
	)
	for name, at := range due.Pending {
		s.Release(site, name, at)
		dealt = append(dealt, name) // what becomes of it is byhand's, whose look finds it should it be forgotten
	}
	for _, row := range due.Retries {
		moving.Go(func() error {
			result, err := s.Rows.Apply(ctx, moves.RetryDue(site, row), s.Deliver.of(site, row))
			if result.Applied {
				mu.Lock()
				dealt = append(dealt, row.Name)
				mu.Unlock()
			}
			return err
		})
	}
	err = moving.Wait()
	// Rows that can't be moved are not asked for again and again.
	return len(dealt) > 0 || due.Lost, errors.Join(err, s.Rows.Dealt(ctx, site, due, dealt))
}
