package byhand

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Rows is what Hands does with rows; *sites.Sites does it.
type Rows interface {
	Names() ([]string, error)
	Site(name string) (*frappe.Site, error)
	Maintenance(site string) bool
	IsNoted(site string, err error) bool
	Written(ctx context.Context, site string, names []string) (sites.Changes, error)
	NoteRunAfter(ctx context.Context, site string, at map[string]time.Time) error
	FindWritten(ctx context.Context, site string, s sites.Search) (behind rows.Place, err error)
	ParentsOf(ctx context.Context, site string, of []*rows.BackgroundJob) (map[string][]rows.Parent, error)
	EachDependents(ctx context.Context, site string, parents []string, page func(names []string)) error
	Forget(ctx context.Context, site string) error
	Identify(ctx context.Context, callers map[string][]access.Caller) map[string]sites.Identified
	Row(ctx context.Context, site, name string) (*rows.BackgroundJob, error)
	ClaimHashes(ctx context.Context, site string, claims []rows.Claim) (map[string]*rows.BackgroundJob, error)
	Apply(ctx context.Context, m moves.Move, then func(context.Context) error) (rows.TransitionResult, error)
}

// Params are what Hands needs.
type Params struct {
	Rows Rows
	RQ   RQ
	// Ask asks the policy.
	Ask func(context.Context, policy.Question) policy.Answer
	// Limits are how many jobs may be submitted; *policy.Limits has them.
	Limits interface {
		Take(ctx context.Context, site string, types map[string]*rows.JobType, all []*policy.Submission) error
		GiveBack(ctx context.Context, site string, all []*policy.Submission) error
	}
	// Handled names those Job Types that have a handler here.
	Handled func(map[string]*rows.JobType) []string
	// DefaultOrganization and TrustEnqueuer are the configuration's.
	DefaultOrganization string
	TrustEnqueuer       bool
	// Grace is how long a row waits for a bridge that has a handler for it, and Source how this bench's bridges sign their
	// own events.
	Grace  time.Duration
	Source string
	// Marks keep up to when sites were looked at; Marks does it.
	Marks interface {
		Last(ctx context.Context, site string) (time.Time, error)
		Note(ctx context.Context, site string, at time.Time) error
	}
	Log *slog.Logger
}

// RQ is the other half of a move by hand; Deliveries does it.
type RQ interface {
	// Ready says why nothing can be delivered now.
	Ready(ctx context.Context) error
	// Deliver brings a row that never was on its way, Redeliver one that was.
	Deliver(ctx context.Context, site string, row *rows.BackgroundJob) error
	Redeliver(ctx context.Context, site string, row *rows.BackgroundJob) error
	// Stop ends what a canceled row has in RQ: was is the state that it was canceled in.
	Stop(ctx context.Context, site string, row *rows.BackgroundJob, was rows.Status) error
	// Started are when the attempts that RQ has of a row began.
	Started(ctx context.Context, site string, row *rows.BackgroundJob) ([]time.Time, error)
	// Elsewhere reports whether another process of the bench has a handler of one of the names.
	Elsewhere(ctx context.Context, names ...string) (bool, error)
}

// Hands does what people and programs ask for by what they write into rows.
type Hands struct {
	Params
	lanes *batch.Lanes[string, string]
	// ended are jobs that others may wait for.
	ended *batch.Lanes[string, string]
	said  wait.Seldom
	rota  sites.Rota
	bare  map[string]bool // the sites without our tables, as Look saw them

	mu sync.Mutex
	// open are the rows that couldn't be dealt with yet, by site, with when they were first seen.
	open map[string]map[string]time.Time
	// came are those, by site, whose time to run has come, with that.
	came map[string]map[string]time.Time
	// used is when something was last heard of a site.
	used   map[string]time.Time
	looked map[string]looked
}

const (
	// maxWaiting bounds the names that wait, per site; what is dropped the next look finds.
	maxWaiting = 50_000
	// maxOpen bounds the rows of a site that are remembered, likewise.
	maxOpen = 10_000
	// together is how many rows are read at a time, and moved side by side: they share transactions.
	together = 200
)

// New prepares the room; Run and Listen work.
func New(p Params) *Hands {
	h := &Hands{Params: p, bare: map[string]bool{}, open: map[string]map[string]time.Time{}, came: map[string]map[string]time.Time{}, used: map[string]time.Time{}, looked: map[string]looked{}}
	h.lanes = batch.NewLanes(maxWaiting, h.work, func(site string, n int) {
		h.Log.Warn("more rows were changed at once than can be remembered; they are looked for", "site", site, "rows", n)
	})
	h.ended = batch.NewLanes(maxWaiting, h.release, func(site string, n int) {
		h.Log.Warn("more jobs ended at once than can be remembered; who waits for them is looked for", "site", site, "jobs", n)
	})
	return h
}

// Run deals with rows until ctx ends.
func (h *Hands) Run(ctx context.Context) {
	var ended sync.WaitGroup
	ended.Go(func() { h.ended.Run(ctx) })
	h.lanes.Run(ctx)
	ended.Wait()
}

// listenMost is the longest pause before a lost subscription is tried again.
const listenMost = 5 * time.Second

// Listen hears of changes until ctx ends; listen is realtime.Listen on the bench's Redis. What was missed while nobody
// listened is looked for.
func (h *Hands) Listen(ctx context.Context, listen func(ctx context.Context, listening func(), hear func(realtime.Change)) error) {
	pause := wait.Backoff{Log: h.Log, What: "changes of documents aren't heard; they are found some seconds later", Most: listenMost}
	var denied sync.Once
	for ctx.Err() == nil {
		err := listen(ctx, pause.Succeeded, h.Hear)
		if rqcompat.Judge(err) == rqcompat.Denied {
			denied.Do(func() {
				h.Log.Error("Redis' user may not listen to the channel events: what people do to jobs in the desk is found up to 5 s late; grant it &events", "error", err)
			})
			wait.Sleep(ctx, time.Minute)
			continue
		}
		pause.Failed(ctx, err)
	}
}

// Hear takes note of a change. What bridges did themselves needs nothing: the row's log has it.
func (h *Hands) Hear(c realtime.Change) {
	if _, err := h.Rows.Site(c.Site); err != nil {
		return // it isn't there, or will be looked at when it can be
	}
	h.mu.Lock()
	h.used[c.Site] = time.Now()
	h.mu.Unlock()
	if c.DocType == sites.DocType && c.Name != "" && c.Source != h.Source {
		h.lanes.Add(c.Site, c.Name)
	}
}

// TimeCame has a row looked at that was to run after a time.
func (h *Hands) TimeCame(site, name string, at time.Time) {
	h.mu.Lock()
	if h.came[site] == nil {
		h.came[site] = map[string]time.Time{}
	}
	if len(h.came[site]) < maxWaiting {
		h.came[site][name] = at
	}
	h.mu.Unlock()
	h.lanes.Add(site, name)
}

// exact gives rows whose time came the very instant of that: their local time may mean another one.
func (h *Hands) exact(site string, found []sites.Written) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range found {
		if at, came := h.came[site][w.Row.Name]; came {
			sites.RunsAt(w.Row, at)
		}
	}
}

// work deals with rows of one site, some of them twice named.
func (h *Hands) work(ctx context.Context, site string, names []string) {
	slices.Sort(names)
	names = slices.Compact(names)
	if h.Rows.Maintenance(site) {
		h.keep(site, names)
		return
	}
	for some := range slices.Chunk(names, together) {
		err := h.some(ctx, site, some)
		if errors.Is(err, rows.ErrTableMissing) {
			return
		}
		if err != nil && ctx.Err() == nil && !h.Rows.IsNoted(site, err) {
			h.said.Warn(h.Log, "what was done to jobs by hand can't be dealt with now; it is tried again", site, "error", err, "site", site)
		}
	}
}

// keep remembers rows that aren't dealt with, since when they are first seen.
func (h *Hands) keep(site string, names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[site] == nil {
		h.open[site] = map[string]time.Time{}
	}
	for _, name := range names {
		if _, known := h.open[site][name]; !known && len(h.open[site]) < maxOpen {
			h.open[site][name] = time.Now()
		}
	}
}

// done forgets a row that was dealt with.
func (h *Hands) done(site, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if delete(h.open[site], name); len(h.open[site]) == 0 {
		delete(h.open, site)
	}
	if delete(h.came[site], name); len(h.came[site]) == 0 {
		delete(h.came, site)
	}
}

// age is since when a row that isn't dealt with is known.
func (h *Hands) age(site, name string) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if first, known := h.open[site][name]; known {
		return time.Since(first)
	}
	return 0
}

// ofAppGrace is how long a row is left to an app that brings its DocType: the app's own code queues it a moment after it
// wrote it, and doesn't see to it that it runs once.
const ofAppGrace = 3 * time.Second

// leftToApp reports whether a row that somebody wrote a moment ago is still left to the app, and has it looked at when that is
// over. What has waited for a time or for other jobs was written long ago.
func (h *Hands) leftToApp(site string, row *rows.BackgroundJob) bool {
	known := h.age(site, row.Name) // beside what the row says, since clocks differ
	if known >= ofAppGrace || time.Since(row.Modified) >= ofAppGrace {
		return false
	}
	if known == 0 {
		time.AfterFunc(ofAppGrace, func() { h.lanes.Add(site, row.Name) })
	}
	return true
}

// Moved implements sites.Observer: who waits for a job that has ended is looked at. Whoever makes a job that depends on it
// holds it by a lock, or commits before this looks.
func (h *Hands) Moved(m sites.Moved) {
	if m.To.Terminal() {
		h.ended.Add(m.Site, m.Name)
	}
}

// Progressed implements sites.Observer.
func (h *Hands) Progressed(sites.Progressed) {}

// release deals with the jobs that depend on some that have ended: beside what people write, which needn't wait for a
// thousand children of one job.
func (h *Hands) release(ctx context.Context, site string, parents []string) {
	slices.Sort(parents)
	for some := range slices.Chunk(slices.Compact(parents), together) {
		err := h.Rows.EachDependents(ctx, site, some, func(names []string) { h.work(ctx, site, names) })
		if err != nil && !errors.Is(err, rows.ErrTableMissing) && ctx.Err() == nil && !h.Rows.IsNoted(site, err) {
			h.said.Warn(h.Log, "jobs that depend on others can't be looked at now; it is tried again", site, "error", err, "site", site)
		}
	}
}
