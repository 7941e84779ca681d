package attempt

import (
	"context"
	"sync"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// EveryBridge is a worker name that nobody has; all bridges listen to it.
const EveryBridge = "bridge-all"

// CommandCancel cancels the running job of a row: job_id is its canonical id.
const CommandCancel = "cancel-row"

// Listen takes RQ's commands for this process's workers, and cancels for any bridge, until ctx ends. shutdown is what
// RQ's shutdown command does.
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
	if c.Err != nil {
		x.Logger.Warn("no command; RQ's commands and cancels may come late", "error", c.Err, "worker", worker)
		return
	}
	r := x.running.worker(worker)
	switch c.Name {
	case rqcompat.CommandShutdown:
		x.Logger.Info("shutdown command", "worker", worker)
		shutdown()
	case rqcompat.CommandStopJob:
		// As in RQ: only if that is the worker's current job.
		if r != nil && r.lease.ID == c.JobID {
			r.cancel(job.ErrStopped)
		}
	case rqcompat.CommandKillHorse:
		if r != nil {
			r.cancel(job.ErrKilled)
		}
	default:
		x.Logger.Debug("unknown command ignored", "command", c.Name)
	}
}
