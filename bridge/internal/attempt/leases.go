package attempt

import (
	"context"
	"maps"
	"slices"
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

// cancelPoll is how often running jobs' rows are asked for a cancel, in case the command about it got lost.
const cancelPoll = 2 * time.Second

// RenewLeases keeps leases and worker records alive until ctx ends. A full renewal, which also writes the heartbeats of
// jobs and executions, costs ten times as much and comes with the workers' heartbeat.
func (x *Runner) RenewLeases(ctx context.Context) {
	x.heartbeat(ctx)
	pause := wait.Backoff{Log: x.Logger, What: "leases can't be renewed", Most: renewAgain}
	var last time.Time
	for wait.Sleep(ctx, x.Lease/3); ctx.Err() == nil; wait.Sleep(ctx, x.Lease/3) {
		full := time.Since(last) >= workers.Interval
		for err := x.renew(ctx, full); err != nil && ctx.Err() == nil; err = x.renew(ctx, full) {
			pause.Failed(ctx, err)
		}
		pause.Succeeded()
		if full {
			x.heartbeat(ctx)
			last = time.Now()
		}
	}
}

func (x *Runner) heartbeat(ctx context.Context) {
	x.Slots.Heartbeat(ctx, x.RQ, x.running.count() > 0, x.Logger)
}

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
		return err
	}
	for i, state := range states {
		switch state {
		case rqcompat.LeaseHeld:
		case rqcompat.LeaseCanceled:
			rs[i].cancel(job.ErrCanceled)
		default:
			// Also what was settled a moment ago; its handler has returned and doesn't mind.
			rs[i].cancel(job.ErrLost)
		}
	}
	return nil
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
