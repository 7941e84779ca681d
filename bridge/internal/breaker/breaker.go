// Package breaker counts how attempts end and opens the circuit breaker of a Job Type and an organization whose attempts fail
// again and again: their jobs wait then, instead of failing one after the other, until one of them is let through as a trial.
//
// Counted is in Redis, by all processes together, so that keys expire by themselves; what is open is a document of the site's,
// which people see and may close. A site without its table has no breakers.
package breaker

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Policy is when breakers open, and for how long. Package bridge publishes it.
type Policy struct {
	// Failures is the share of the attempts that has to have failed, above 0 to 1, of at least AtLeast that ended within Window.
	Failures float64
	AtLeast  int
	Window   time.Duration
	// Open is how long the jobs wait before one of them is tried, and again after each trial that failed.
	Open time.Duration
	// Off says that no breaker opens, and that none holds anything.
	Off bool
}

// Rows is what a Keeper does with breakers; *sites.Sites does it.
type Rows interface {
	Breakers(ctx context.Context, site string) ([]*rows.Breaker, error)
	ForgetHolds(site string)
	OpenBreaker(ctx context.Context, site string, b rows.Breaker, until time.Time) (bool, error)
	TryBreaker(ctx context.Context, site string, b rows.Breaker, job string, until time.Time) (bool, error)
	ReopenBreaker(ctx context.Context, site string, b rows.Breaker, until time.Time) (bool, error)
	CloseBreaker(ctx context.Context, site string, b rows.Breaker) (bool, error)
	IsNoted(site string, err error) bool
}

// Params are what a Keeper needs.
type Params struct {
	Policy
	Rows  Rows
	Redis redis.Scripter
	// Clock is the time of all processes.
	Clock func(context.Context) time.Time
	// Changed tells the desk that a breaker was opened, tried or closed. May be nil.
	Changed func(site, name string)
	Log     *slog.Logger
}

// Keeper opens and closes breakers. It implements sites.Observer.
type Keeper struct {
	Params
	lanes *batch.Lanes[string, end]
	said  wait.Seldom
}

// end is how an attempt ended.
type end struct {
	sites.Subject
	ran, failed bool // neither for one that was given back, canceled, put off
	why         string
}

// maxWaiting bounds the attempts of a site that wait to be counted.
const maxWaiting = 50_000

// New prepares a keeper; Run counts.
func New(p Params) *Keeper {
	k := &Keeper{Params: p}
	k.lanes = batch.NewLanes(maxWaiting, k.work, func(site string, n int) {
		k.Log.Warn("ended attempts weren't counted for circuit breakers: there were too many at once", "site", site, "attempts", n)
	})
	return k
}

// Run counts until ctx ends, and the rest then.
func (k *Keeper) Run(ctx context.Context) { k.lanes.Run(ctx) }

// Moved implements sites.Observer.
func (k *Keeper) Moved(m sites.Moved) {
	if m.From == rows.StatusRunning {
		k.lanes.Add(m.Site, endOf(m))
	}
}

// endOf is how the attempt ended that a move ends. One that was put off by its handler failed without an error, and doesn't count.
func endOf(m sites.Moved) end {
	e := end{Subject: m.Subject}
	switch m.To {
	case rows.StatusCompleted:
		e.ran = true
	case rows.StatusFailed, rows.StatusTimedOut, rows.StatusDeadLetter:
		e.ran = m.Written.ErrorMessage != "" || m.Written.ErrorType != ""
		e.failed = e.ran
		e.why, _, _ = strings.Cut(strings.TrimSpace(m.Written.ErrorMessage), "\n")
	}
	return e
}

// Progressed implements sites.Observer.
func (k *Keeper) Progressed(sites.Progressed) {}

// work counts attempts of one site, and ends the trials among them.
func (k *Keeper) work(ctx context.Context, site string, ends []end) {
	open, err := k.Rows.Breakers(ctx, site)
	if err == nil && (len(open) > 0 || slices.ContainsFunc(ends, func(e end) bool { return !e.ran })) {
		// Rare, and perhaps the end of a trial that another process let through a moment ago: it must not be missed.
		k.Rows.ForgetHolds(site)
		open, err = k.Rows.Breakers(ctx, site)
	}
	if err == nil {
		err = k.count(ctx, site, k.judge(ctx, site, open, ends))
	}
	if err != nil && ctx.Err() == nil && !k.Rows.IsNoted(site, err) {
		k.said.Warn(k.Log, "ended attempts weren't counted for circuit breakers", site, "error", err, "site", site, "attempts", len(ends))
	}
}

// judge ends the trials among the attempts and gives those that count: of what is open nothing does.
func (k *Keeper) judge(ctx context.Context, site string, open []*rows.Breaker, ends []end) (count []end) {
	if len(open) == 0 {
		return ends
	}
	of := map[[2]string]*rows.Breaker{}
	for _, b := range open {
		of[[2]string{b.JobType, b.Organization}] = b
	}
	for _, e := range ends {
		switch b := of[[2]string{e.JobType, e.Organization}]; {
		case b == nil:
			count = append(count, e)
		case b.Status == rows.BreakerTrial && b.TrialJob == e.Name:
			k.tried(ctx, site, *b, e)
		}
	}
	return count
}

// trialSlack is how much longer than its timeout a trial is waited for: its process may have died, and is noticed before.
const trialSlack = time.Minute

// Try lets the job of a row through as the trial of a breaker; false if another one is, or the breaker is closed by now.
func (k *Keeper) Try(ctx context.Context, site, breaker string, row *rows.BackgroundJob) (bool, error) {
	b, err := k.find(ctx, site, breaker)
	now := k.Clock(ctx)
	if err != nil || b == nil || b.Until().After(now) {
		return false, err
	}
	longest := time.Duration(row.TimeoutSeconds) * time.Second
	if longest <= 0 {
		longest = k.Open
	}
	won, err := k.Rows.TryBreaker(ctx, site, *b, row.Name, now.Add(longest+trialSlack))
	if won {
		k.Log.Info("circuit breaker lets one job through as a trial", "site", site, "job_type", b.JobType, "organization", b.Organization, "job", row.Name)
		k.changed(site, b.Name)
	}
	return won, err
}

// NotTried says that the trial of a breaker didn't start after all: another job may be it.
func (k *Keeper) NotTried(ctx context.Context, site, breaker string, row *rows.BackgroundJob) {
	if b, err := k.find(ctx, site, breaker); err == nil && b != nil && b.TrialJob == row.Name {
		k.tried(ctx, site, *b, end{})
	}
}

func (k *Keeper) find(ctx context.Context, site, breaker string) (*rows.Breaker, error) {
	open, err := k.Rows.Breakers(ctx, site)
	for _, b := range open {
		if b.Name == breaker {
			return b, nil
		}
	}
	return nil, err
}

// tried ends a trial. One that can't be ended is given up when its time is over.
func (k *Keeper) tried(ctx context.Context, site string, b rows.Breaker, e end) {
	about := []any{"site", site, "job_type", b.JobType, "organization", b.Organization, "job", b.TrialJob}
	var err error
	switch now := k.Clock(ctx); {
	case !e.ran:
		_, err = k.Rows.ReopenBreaker(ctx, site, b, now)
	case e.failed:
		_, err = k.Rows.ReopenBreaker(ctx, site, b, now.Add(k.Open))
		k.Log.Warn("the trial of a circuit breaker failed; its jobs wait on", append(about, "again_in", k.Open, "error", e.why)...)
	default:
		_, err = k.Rows.CloseBreaker(ctx, site, b)
		k.Log.Info("the trial of a circuit breaker succeeded: it is closed", about...)
	}
	if err != nil {
		k.said.Warn(k.Log, "the end of a circuit breaker's trial can't be written; another is made when its time is over", site, append(about, "error", err)...)
	}
	k.changed(site, b.Name)
}

func (k *Keeper) changed(site, name string) {
	if k.Changed != nil {
		k.Changed(site, name)
	}
}
