package attempt

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// renewAgain is how long after a renewal that failed the next one comes at most: before anybody takes the jobs for lost.
const renewAgain = time.Second

// cancelPoll is how often running jobs' rows are asked for a cancel, in case nobody tells of it: so it is in time, within two
// seconds, also of a database that takes one to answer.
const cancelPoll = time.Second

// RenewLeases keeps leases and worker records alive until ctx ends. A full renewal, which also writes the heartbeats of
// jobs and executions, costs ten times as much and comes with the workers' heartbeat.
func (x *Runner) RenewLeases(ctx context.Context) {
	x.heartbeat(ctx)
	pause := wait.Backoff{Log: x.Logger, What: "leases can't be renewed", Most: renewAgain}
	var last time.Time
	defer x.renewal.Rest()
	for wait.Sleep(ctx, x.Lease/3); ctx.Err() == nil; wait.Sleep(ctx, x.Lease/3) {
		x.renewal.Beat()
		full := time.Since(last) >= workers.Interval
		for err := x.renew(ctx, full); err != nil && ctx.Err() == nil; err = x.renew(ctx, full) {
			pause.Failed(ctx, err)
			x.renewal.Beat()
		}
		pause.Succeeded()
		x.Slots.Retire(ctx, x.RQ, x.Logger)
		if full {
			x.heartbeat(ctx)
			last = time.Now()
		}
	}
}

// Renewing is how long the present renewal of leases has taken, since it last failed; 0 if none is made.
func (x *Runner) Renewing() time.Duration { return x.renewal.Round() }

// renew extends the leases of all running jobs. A job that is no longer ours is told so.
func (x *Runner) renew(ctx context.Context, full bool) error {
	rs := x.running.unsettled()
	if len(rs) == 0 {
		return nil
	}
	now := time.Now()
	leases := make([]rqcompat.Lease, len(rs))
	for i, r := range rs {
		leases[i] = r.lease
		leases[i].Working = now.Sub(r.lease.StartedAt)
	}
	states, err := x.RQ.Renew(ctx, leases, x.Lease+x.Slack, full)
	if err != nil {
		return x.heed(err, now)
	}
	lost := slices.ContainsFunc(states, func(a rqcompat.Answer[rqcompat.LeaseState]) bool {
		return a.Err == nil && (a.Result == rqcompat.LeaseLost || a.Result == rqcompat.LeaseJobDeleted)
	})
	var last loss
	if lost { // if Redis has lost data, that says nothing, and what is put back is asked about again
		if last, err = x.lookAtData(ctx); err != nil || last.back.After(now) {
			return err
		}
	}
	for i, state := range states {
		switch {
		case passes(state.Err):
			err = state.Err // the whole is renewed again soon
		case state.Err != nil:
			x.said.Warn(rs[i].Log(), "lease can't be renewed in full: what belongs to the job holds something else", rs[i].lease.Queue, "error", state.Err)
		case state.Result == rqcompat.LeaseHeld:
			rs[i].renewed.Store(&now)
		case rs[i].bereft.Load():
		case state.Result == rqcompat.LeaseCanceled:
			rs[i].cancel(job.ErrCanceled)
		case last.missed(rs[i]):
			x.restoreAgain()
		default:
			// Also what was settled a moment ago; its handler has returned and doesn't mind.
			rs[i].cancel(job.ErrLost)
		}
	}
	return x.heed(err, now)
}

// WatchCancels looks for cancels until ctx ends. It is apart from the leases, which don't wait for a database.
func (x *Runner) WatchCancels(ctx context.Context) {
	wait.Every(ctx, cancelPoll, func(time.Time) { x.lookForCancels(ctx) })
}

// lookForCancels asks the rows of running jobs whether they were canceled.
func (x *Runner) lookForCancels(ctx context.Context) {
	bySite := map[string]map[string]*run{}
	for _, r := range x.running.unsettled() {
		if name := r.rowName(); name != "" {
			if bySite[r.info.Site] == nil {
				bySite[r.info.Site] = map[string]*run{}
			}
			bySite[r.info.Site][name] = r
		}
	}
	sites.Each(maps.Keys(bySite), func(site string) {
		rs := bySite[site]
		statuses, err := x.Rows.Statuses(ctx, site, slices.Collect(maps.Keys(rs)))
		if err != nil {
			return // settling will say what is wrong
		}
		for name, status := range statuses {
			if status == rows.StatusCanceled {
				rs[name].cancel(job.ErrCanceled)
			}
		}
	})
}

// EveryBridge is a worker name that nobody has; all bridges listen to it.
const EveryBridge = "bridge-all"

// CommandCancel cancels the running job of a row: job_id is its canonical id.
const CommandCancel = "cancel-row"

// Listen takes RQ's commands for this process's workers, shutdown among them, and cancels for any bridge, until ctx ends.
func (x *Runner) Listen(ctx context.Context, shutdown func()) {
	var all sync.WaitGroup
	all.Go(func() { _ = x.RQ.Listen(ctx, EveryBridge, func(_ string, c rqcompat.Command) { x.obeyAll(c) }) })
	all.Go(func() {
		_ = x.RQ.Listen(ctx, x.Slots.NamePattern(), func(worker string, c rqcompat.Command) { x.obey(worker, c, shutdown) })
	})
	all.Wait()
}

// obeyAll takes a command to all bridges; only one of them runs the row.
func (x *Runner) obeyAll(c rqcompat.Command) {
	if c.Name != CommandCancel {
		return
	}
	if site, name, ok := x.RowOfJob(c.JobID); ok {
		if r := x.running.ofRow(site, name); r != nil {
			r.cancel(job.ErrCanceled)
		}
	}
}

// obey takes a command to one of this process's workers.
func (x *Runner) obey(worker string, c rqcompat.Command, shutdown func()) {
	switch {
	case c.Err == nil:
	case rqcompat.Judge(c.Err) == rqcompat.Denied:
		x.denied.Do(func() {
			x.Logger.Error("Redis' user may not listen to rq:pubsub:*: stops don't reach this process, cancels come up to 1 s late; bridge doctor says what to grant", "error", c.Err)
		})
		return
	default:
		x.said.Warn(x.Logger, "no command; RQ's commands and cancels may come late", "", "error", c.Err, "worker", worker)
		return
	}
	r := x.running.worker(worker)
	switch c.Name {
	case rqcompat.CommandShutdown:
		x.Logger.Info("shutdown command", "worker", worker)
		shutdown()
	case rqcompat.CommandStopJob:
		x.stopJob(worker, c.JobID, claimAnswer)
	case rqcompat.CommandKillHorse:
		if r != nil {
			r.cancel(job.ErrKilled)
		}
	default:
		x.Logger.Debug("unknown command ignored", "command", c.Name)
	}
}

const (
	// claimAnswer is how long the answer to a claim may take: others see in Redis that a job is started before it.
	claimAnswer = time.Second
	// stopAgain is how often a job is looked for meanwhile that is to be stopped.
	stopAgain = 50 * time.Millisecond
)

// stopJob stops a job if it is the worker's current one, as RQ does, or becomes that within a time.
func (x *Runner) stopJob(worker, id string, within time.Duration) {
	if r := x.running.worker(worker); r != nil && r.lease.ID == id {
		r.cancel(job.ErrStopped)
	} else if within > 0 {
		time.AfterFunc(stopAgain, func() { x.stopJob(worker, id, within-stopAgain) })
	}
}
