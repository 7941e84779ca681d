// Package batches sees to batches of jobs: it counts what has ended, cancels the jobs of one that is canceled, and ends one
// whose jobs have all ended, with the job that was asked for then.
//
//	a job of a batch ends ──► Moved ─┐
//	a batch is saved ───────► Hear ──┼─► a lane per batch, at most once a second ──► count ──► end, once
//	what nobody told of ────► Do ────┘
//
// Nothing is counted up: a batch's row isn't written with each of its jobs. A batch ends when it is closed and none of its
// jobs is left, which one statement decides. Its callback job is submitted before that, under a key of the batch's:
// by how many processes ever, and however often one of them dies in between, there is one.
package batches

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/submit"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// DocType is the DocType of batches.
const DocType = "Background Job Batch"

// Rows is what Batches does with rows; *sites.Sites does it.
type Rows interface {
	Names() ([]string, error)
	IsNoted(site string, err error) bool
	Maintenance(site string) bool
	Look(ctx context.Context, site string, look func(context.Context, *rows.DB) error) error
	Apply(ctx context.Context, m moves.Move, then func(context.Context) error) (rows.TransitionResult, error)
}

// Params are what Batches needs.
type Params struct {
	Rows Rows
	// Submit submits jobs, Stop ends what a canceled row has in RQ: was is the state that it was canceled in.
	Submit func(ctx context.Context, rs []submit.Request, done func(n int)) ([]submit.Result, error)
	Stop   func(ctx context.Context, site string, row *rows.BackgroundJob, was rows.Status) error
	// Changed is told of a batch that was written.
	Changed func(site string, b *rows.Batch)
	// Source is how this bench's bridges sign their own events.
	Source string
	Log    *slog.Logger
}

// key is one batch.
type key struct{ site, name string }

// Batches sees to the batches of a bench.
type Batches struct {
	Params
	lanes *batch.Lanes[key, struct{}]
	said  wait.Seldom
	rota  sites.Rota

	mu     sync.Mutex
	places map[string]string // by site: up to which batch was looked
	bare   map[string]bool   // sites without our tables
}

const (
	// countEvery is how often a batch is counted at most; one that takes long less often: rest times as long.
	countEvery, rest = time.Second, 20
	// lookEvery is how often a site is looked at, bareEvery one that has no batches.
	lookEvery, bareEvery = 4 * time.Second, time.Minute
	// lookPage is how many batches are looked at then, jobsPage how many jobs of a canceled one are read at a time, and
	// atOnce how many of them are moved side by side.
	lookPage, jobsPage, atOnce = 50, 200, 50
)

// New prepares the room; Run works.
func New(p Params) *Batches {
	b := &Batches{Params: p, places: map[string]string{}, bare: map[string]bool{}}
	// One that is told of again before it is looked at is looked at once.
	b.lanes = batch.NewLanes(1, b.work, func(key, int) {})
	return b
}

// Run works until ctx ends.
func (b *Batches) Run(ctx context.Context) { b.lanes.Run(ctx) }

// Moved implements sites.Observer.
func (b *Batches) Moved(m sites.Moved) {
	if m.Batch != "" && m.To.Terminal() {
		b.lanes.Add(key{m.Site, m.Batch}, struct{}{})
	}
}

// Progressed implements sites.Observer.
func (b *Batches) Progressed(sites.Progressed) {}

// Hear takes note of a batch that somebody wrote.
func (b *Batches) Hear(c realtime.Change) {
	if c.DocType == DocType && c.Name != "" && c.Source != b.Source && len(c.Name) <= 140 {
		b.lanes.Add(key{c.Site, c.Name}, struct{}{})
	}
}

// Do looks at some of the batches of each site whose time has come.
func (b *Batches) Do(ctx context.Context) error {
	all, err := b.Rows.Names()
	if err != nil {
		return err
	}
	b.rota.Spread = sites.FirstLooks(len(all))
	due := b.rota.Due(time.Now(), all, func(site string) time.Duration {
		if b.bare[site] {
			return bareEvery
		}
		return sites.OfMany(len(all), lookEvery)
	})
	return sites.Visit(due, b.Rows.IsNoted, func(site string) error {
		err := b.look(ctx, site)
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.bare[site] = errors.Is(err, rows.ErrTableMissing); b.bare[site] {
			return nil
		}
		return err
	})
}

func (b *Batches) look(ctx context.Context, site string) error {
	if b.Rows.Maintenance(site) {
		return nil
	}
	b.mu.Lock()
	behind := b.places[site]
	b.mu.Unlock()
	var open []*rows.Batch
	err := b.Rows.Look(ctx, site, func(ctx context.Context, db *rows.DB) (err error) {
		if open, err = db.OpenBatches(ctx, behind, lookPage); len(open) == 0 {
			db.Rest()
		}
		return err
	})
	behind = ""
	for _, one := range open {
		b.lanes.Add(key{site, one.Name}, struct{}{})
		behind = one.Name
	}
	if len(open) < lookPage {
		behind = ""
	}
	b.mu.Lock()
	b.places[site] = behind
	b.mu.Unlock()
	return err
}

// work looks at one batch, and lets some time pass.
func (b *Batches) work(ctx context.Context, k key, _ []struct{}) {
	began := time.Now()
	err := b.settle(ctx, k.site, k.name)
	if err != nil && ctx.Err() == nil && !errors.Is(err, rows.ErrTableMissing) && !b.Rows.IsNoted(k.site, err) {
		b.said.Warn(b.Log, "a batch can't be seen to now; it is tried again", k.site, "error", err, "site", k.site, "batch", k.name)
	}
	wait.Sleep(ctx, max(countEvery, rest*time.Since(began)))
}

// settle brings a batch up to date.
func (b *Batches) settle(ctx context.Context, site, name string) error {
	var one *rows.Batch
	var was rows.Batch
	count := func(ctx context.Context, db *rows.DB) (err error) {
		if one, err = db.Batch(ctx, name); err != nil {
			return err
		}
		was = *one
		if one.Open() && one.Status != rows.BatchRunning && one.Status != rows.BatchCanceled {
			one.Status = rows.BatchRunning
			err = db.RunBatch(ctx, name)
		}
		return errors.Join(err, db.CountBatch(ctx, one))
	}
	err := b.Rows.Look(ctx, site, count)
	if errors.Is(err, rows.ErrNoSuchBatch) {
		return nil
	}
	if err == nil && one.Open() && one.Status == rows.BatchCanceled && one.Left() > 0 {
		if err = b.cancel(ctx, site, one); err == nil {
			err = b.Rows.Look(ctx, site, count)
		}
	}
	if err == nil && one.Open() && (one.Closed || one.Status == rows.BatchCanceled) && one.Left() == 0 {
		err = b.end(ctx, site, one)
	}
	if err != nil {
		return err
	}
	if one.Total != was.Total || one.Done != was.Done || one.Failed != was.Failed || one.Status != was.Status || one.Open() != was.Open() {
		b.Changed(site, one)
	}
	return nil
}

// end ends a batch whose jobs have all ended, and submits what was asked for then.
func (b *Batches) end(ctx context.Context, site string, one *rows.Batch) error {
	if one.Status != rows.BatchCanceled {
		one.Status = rows.BatchCompleted
		if one.Failed > 0 {
			one.Status = rows.BatchFailed
		}
		if one.CallbackJobType != "" {
			if err := b.callBack(ctx, site, one); err != nil {
				return err
			}
		}
	}
	return b.Rows.Look(ctx, site, func(ctx context.Context, db *rows.DB) error {
		ended, err := db.EndBatch(ctx, one)
		if ended {
			b.Log.Info("batch has ended", "site", site, "batch", one.Name, "status", one.Status, "completed", one.Done, "failed", one.Failed)
		}
		return err
	})
}

// callBack submits the job that was asked for, in the name of who made the batch. Its error passes; what doesn't pass the batch says.
func (b *Batches) callBack(ctx context.Context, site string, one *rows.Batch) error {
	parameters := map[string]any{}
	if text := one.CallbackParameters; len(text) > 0 && string(text) != "null" {
		if err := json.Unmarshal(text, &parameters); err != nil {
			one.ErrorMessage = "its parameters are not a JSON object"
			return nil
		}
	}
	parameters["batch"] = map[string]any{"name": one.Name, "status": one.Status, "total": one.Total, "done": one.Done, "failed": one.Failed}
	results, _ := b.Submit(ctx, []submit.Request{{ // its error is the result's
		Site: site, JobType: one.CallbackJobType, Organization: one.Organization, User: one.Owner, Parameters: parameters, Key: "batch " + one.Name,
	}}, nil)
	switch result := results[0]; {
	case result.Err == nil:
		one.CallbackJob = result.Row.Name
	case refused(result.Err):
		one.ErrorMessage = "it was refused: " + result.Err.Error()
	default:
		return result.Err
	}
	return nil
}

// refused reports whether a submission was refused for what no waiting mends.
func refused(err error) bool {
	return policy.Final(err) || sites.Final(err) || errors.Is(err, sites.ErrBadRequest)
}

// cancel cancels the jobs of a batch, some at a time. Those between two retries end as dead letters: nothing else may become of them.
func (b *Batches) cancel(ctx context.Context, site string, one *rows.Batch) error {
	why := "its batch " + one.Name + " was canceled"
	for behind := ""; ; {
		var some []*rows.BackgroundJob
		err := b.Rows.Look(ctx, site, func(ctx context.Context, db *rows.DB) (err error) {
			some, err = db.BatchJobs(ctx, one, behind, jobsPage)
			return err
		})
		if err != nil || len(some) == 0 {
			return err
		}
		behind = some[len(some)-1].Name
		var moving errgroup.Group
		moving.SetLimit(atOnce)
		for _, row := range some {
			moving.Go(func() error {
				was, now := row.Status, time.Now()
				move := moves.Cancel(site, row, one.ModifiedBy, moves.CanceledBy(one.ModifiedBy)+": "+why, now)
				if was == rows.StatusFailed || was == rows.StatusTimedOut {
					move = moves.Refuse(site, row, job.Refuse("BatchError", "%s", why), now)
				}
				_, err := b.Rows.Apply(ctx, move, func(ctx context.Context) error { return b.Stop(ctx, site, row, was) })
				return err
			})
		}
		if err := moving.Wait(); err != nil {
			return err
		}
	}
}
