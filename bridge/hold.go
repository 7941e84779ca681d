package bridge

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// While handlers run (step 4), this file keeps what the engine holds: leases
// and worker records are renewed, and commands and cancels reach the handlers.

const (
	// cancelPoll is how often the rows of running jobs are asked whether they were
	// cancelled, in case the command about it got lost.
	cancelPoll = 2 * time.Second
	// fullHeartbeat is how often jobs, executions and workers get a heartbeat; RQ
	// expects one within 90 s.
	fullHeartbeat = 15 * time.Second
	// patience is how much longer than its lease a job's entry in RQ's started
	// registry lasts: 90 s in all, as RQ's own. Whoever reads that registry through
	// RQ fails what has lapsed there, and the sweep, which gives it back, must
	// come first.
	patience = 75 * time.Second
	// slotIdle is how long a slot keeps its worker record without work.
	slotIdle = time.Minute
)

// hold renews until ctx ends.
func (e *Engine) hold(ctx context.Context) {
	renew := time.NewTicker(time.Duration(e.cfg.Lease) / 3)
	defer renew.Stop()
	e.heartbeat(ctx)
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-renew.C:
			full := now.Sub(last) >= fullHeartbeat
			e.renew(ctx, full)
			if full {
				e.heartbeat(ctx)
				last = now
			}
		}
	}
}

// renew extends the leases of all running jobs. A job that is no longer ours
// is told so.
func (e *Engine) renew(ctx context.Context, full bool) {
	rs := e.running.all()
	if len(rs) == 0 {
		return
	}
	now := time.Now()
	leases := make([]rqcompat.Lease, len(rs))
	for i, r := range rs {
		leases[i] = r.lease
		leases[i].Working = now.Sub(r.lease.StartedAt)
	}
	states, err := e.rq.Renew(ctx, leases, time.Duration(e.cfg.Lease)+patience, full)
	if err != nil {
		e.log.Warn().Err(err).Int("jobs", len(rs)).Msg("leases not renewed")
		return
	}
	for i, state := range states {
		switch state {
		case rqcompat.LeaseHeld:
		case rqcompat.LeaseCanceled:
			rs[i].cancel(ErrCanceled)
		default:
			// Also what was settled a moment ago; its handler has returned and
			// doesn't mind.
			rs[i].cancel(ErrLost)
		}
	}
}

// heartbeat keeps the records of idle slots alive and removes those that have
// been idle for long. One stays, so that RQ's tools see that the queues are
// worked.
func (e *Engine) heartbeat(ctx context.Context) {
	warm, cold := e.slots.idleRecords(time.Now().Add(-slotIdle), 1)
	if len(warm) == 0 && e.running.count() == 0 {
		warm = e.slots.firstRecord()
	}
	if err := e.rq.Heartbeat(ctx, warm, 90*time.Second); err != nil {
		e.log.Warn().Err(err).Msg("worker records not renewed")
	}
	if err := e.rq.Deregister(ctx, cold); err != nil {
		e.log.Warn().Err(err).Msg("idle worker records not removed")
	}
}

// watchCancels looks for cancels until ctx ends. It is not part of hold: leases
// don't wait for a database.
func (e *Engine) watchCancels(ctx context.Context) {
	look := time.NewTicker(cancelPoll)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			e.lookForCancels(ctx)
		}
	}
}

// lookForCancels asks the rows of running jobs whether they were cancelled.
func (e *Engine) lookForCancels(ctx context.Context) {
	bySite := map[string]map[string]*run{}
	for _, r := range e.running.all() {
		if name := r.rowOf(); name != "" {
			if bySite[r.site] == nil {
				bySite[r.site] = map[string]*run{}
			}
			bySite[r.site][name] = r
		}
	}
	atOnce(maps.Keys(bySite), func(site string) {
		rs := bySite[site]
		var statuses map[string]frappe.Status
		_ = e.sites.glance(ctx, site, func(ctx context.Context, w *siteRowsWriter) (err error) {
			statuses, err = w.db.Statuses(ctx, slices.Collect(maps.Keys(rs)))
			return err
		}) // settling will say what is wrong
		for name, status := range statuses {
			if status == frappe.StatusCanceled {
				rs[name].cancel(ErrCanceled)
			}
		}
	})
}

// listen takes RQ's commands for this process's workers, and cancels for any
// bridge, until ctx ends.
func (e *Engine) listen(ctx context.Context, shutdown func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.rq.Listen(ctx, everyBridge, func(_ string, c rqcompat.Command) {
			if c.Name != commandCancel {
				return
			}
			if site, name, ok := e.cfg.Bench.SplitJobID(c.JobID); ok {
				if r := e.running.ofRow(site, name); r != nil {
					r.cancel(ErrCanceled)
				}
			}
		})
	}()
	_ = e.rq.Listen(ctx, e.slots.prefix+"*", func(worker string, c rqcompat.Command) {
		e.obey(worker, c, shutdown)
	})
	<-done
}

// everyBridge is a worker name nobody has; all bridges listen to it.
const everyBridge = "bridge-all"

// commandCancel cancels the running job of a row: job_id is its canonical id.
const commandCancel = "cancel-row"

func (e *Engine) obey(worker string, c rqcompat.Command, shutdown func()) {
	if c.Err != nil {
		e.log.Warn().Err(c.Err).Str("worker", worker).Msg("no command; RQ's commands and cancels may come late")
		return
	}
	r := e.running.worker(worker)
	switch c.Name {
	case rqcompat.CommandShutdown:
		e.log.Info().Str("worker", worker).Msg("shutdown command")
		shutdown()
	case rqcompat.CommandStopJob:
		// As in RQ: only if that is the worker's current job.
		if r != nil && r.id == c.JobID {
			r.cancel(ErrStopped)
		}
	case rqcompat.CommandKillHorse:
		if r != nil {
			r.cancel(ErrKilled)
		}
	default:
		e.log.Debug().Str("command", c.Name).Msg("unknown command ignored")
	}
}

// IsAway reports whether err says that Redis can't be reached now, as opposed to
// a server that answers and refuses: trying again later may help.
func IsAway(err error) bool {
	var netErr *net.OpError
	return errors.As(err, &netErr) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, redis.ErrClosed) || errors.Is(err, redis.ErrPoolTimeout) ||
		redis.HasErrorPrefix(err, "LOADING") || redis.HasErrorPrefix(err, "MASTERDOWN")
}
