// Package maintenance finds what a crash or somebody else left behind, and what is due: jobs whose worker died, rows
// without a delivery, Go jobs that a Python worker took and failed, rows whose time has come, jobs in RQ's scheduled
// registries, registries to be cleaned. Each is a service of its own that may run in several processes at once: a row is
// moved by a compare-and-swap, a job by a script that looks first.
package maintenance

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Service is one thing that is done again and again.
type Service struct {
	What  string
	Every time.Duration
	// Delay is how long the first time is put off.
	Delay time.Duration
	Do    func(context.Context) error
}

// Run does each service when it is due until ctx ends, and waits for what is under way. One that takes long, because a
// database doesn't answer or somebody filled a registry, doesn't hold up another.
func Run(ctx context.Context, log *slog.Logger, services []Service) {
	var (
		said wait.Seldom
		all  sync.WaitGroup
	)
	for _, s := range services {
		all.Go(func() {
			do := func(time.Time) {
				if err := s.Do(ctx); err != nil && ctx.Err() == nil {
					said.Warn(log, "maintenance failed; it is tried again", s.What, "error", err, "what", s.What)
				}
			}
			wait.Sleep(ctx, s.Delay)
			if ctx.Err() == nil {
				do(time.Now())
			}
			wait.Every(ctx, s.Every, do)
		})
	}
	all.Wait()
}

// Rows is what maintenance does with rows; *sites.Sites does it.
type Rows interface {
	Names() ([]string, error)
	IsNoted(site string, err error) bool
	JobTypes(ctx context.Context, site string) (map[string]*rows.JobType, error)
	RowOfArrival(ctx context.Context, site string, a sites.Arrival) (*rows.BackgroundJob, error)
	Soonest(ctx context.Context) (map[string]time.Duration, error)
	Due(ctx context.Context, site string, handled func(map[string]*rows.JobType) []string, text bool) (sites.Due, error)
	Dealt(ctx context.Context, site string, due sites.Due, names []string) error
	Stale(ctx context.Context, site string, behind rows.Place, age time.Duration, limit int) ([]*rows.BackgroundJob, error)
	Stuck(ctx context.Context, site string, statuses []rows.Status, behind rows.Place, age time.Duration, limit int) ([]*rows.BackgroundJob, error)
	Apply(ctx context.Context, m moves.Move, then func(context.Context) error) (rows.TransitionResult, error)
}

// Deliver puts a Queued row on its way again; sites.Courier.Redeliver does it.
type Deliver func(ctx context.Context, site string, row *rows.BackgroundJob) error

// lastDelivery is how long the delivery of a row that was just moved may take when the process stops meanwhile.
const lastDelivery = 3 * time.Second

// of makes the second half of a move to Queued: a stop in between must not leave the row without its delivery.
func (d Deliver) of(site string, row *rows.BackgroundJob) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastDelivery)
		defer cancel()
		return d(ctx, site, row)
	}
}

// share is the i-th of n points of a time, so that what is done with many isn't done with all at the same moment.
func share(all time.Duration, i, n int) time.Duration {
	return all * time.Duration(i) / time.Duration(n)
}

// each runs do for every queue and joins the errors: one queue must not keep the others.
func each[Q any](queues []Q, do func(Q) error) error {
	var errs []error
	for _, q := range queues {
		errs = append(errs, do(q))
	}
	return errors.Join(errs...)
}
