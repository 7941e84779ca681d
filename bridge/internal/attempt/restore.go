package attempt

import (
	"context"
	"errors"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Redis may lose what runs here: it is emptied, started again with older data, or taken over by a replica that lacks the last
// seconds. The attempts go on, and are put back there: the row is the truth, and of a job without one this process has a copy.

const (
	// lookAtData is how often it is asked whether Redis has lost data.
	lookAtData = 500 * time.Millisecond
	// keepAfter is how long an attempt has to run before a copy of its job is kept, which most are through with by then; and
	// keepLook is how often it is looked for such.
	keepAfter, keepLook = 100 * time.Millisecond, 100 * time.Millisecond
	// keepMost is how many are read in one round trip.
	keepMost = 200
)

// KeepCopies keeps a copy of each job that runs for a while, until ctx ends. Of a large one there is none.
func (x *Runner) KeepCopies(ctx context.Context) {
	wait.Every(ctx, keepLook, func(now time.Time) { x.keepCopies(ctx, now) })
}

func (x *Runner) keepCopies(ctx context.Context, now time.Time) {
	var ids []string
	var of []*run
	for _, r := range x.running.unsettled() {
		if len(ids) < keepMost && r.copied.Load() == nil && now.Sub(r.began) >= keepAfter {
			ids, of = append(ids, r.lease.ID), append(of, r)
		}
	}
	if len(ids) == 0 {
		return
	}
	found, err := x.RQ.FetchSmall(ctx, ids, wait.LargeItem)
	if err != nil {
		return // renewals say what is wrong
	}
	for i, f := range found {
		switch {
		case f.Job != nil && f.Job.WorkerName == of[i].lease.Worker:
			of[i].copied.CompareAndSwap(nil, &copied{f.Job})
		case f.Err != nil:
			of[i].copied.CompareAndSwap(nil, &copied{})
		}
	}
}

// WatchData puts back what runs here whenever Redis has lost data, until ctx ends.
func (x *Runner) WatchData(ctx context.Context) {
	x.lookAtData(ctx)
	wait.Every(ctx, lookAtData, func(time.Time) { x.lookAtData(ctx) })
}

// lookAtData asks whether Redis has lost data, and if so puts back what runs here. It tells of the last time; an error says that it
// can't be known, or that something is still to be put back.
func (x *Runner) lookAtData(ctx context.Context) (last loss, err error) {
	x.data.mu.Lock()
	defer x.data.mu.Unlock()
	mark, err := x.RQ.DataMark(ctx)
	if err != nil {
		return x.data.loss, err
	}
	if x.data.mark != "" && x.data.mark != mark {
		x.data.loss.n, x.data.loss.at, x.data.open = x.data.loss.n+1, time.Now(), true
		x.Logger.Warn("Redis was emptied, started again or taken over by another server: what runs here goes on, and is put back there", "jobs", len(x.running.unsettled()))
	}
	x.data.mark = mark
	if x.data.open {
		if err = x.restore(ctx); err != nil {
			x.said.Warn(x.Logger, "what runs here can't be put back into Redis yet", "", "error", err)
			return x.data.loss, err
		}
		x.data.open, x.data.loss.back = false, time.Now()
		x.heartbeat(ctx)
	}
	return x.data.loss, nil
}

// restoreAgain has what runs here looked at again, for those that were missed.
func (x *Runner) restoreAgain() {
	x.data.mu.Lock()
	defer x.data.mu.Unlock()
	x.data.open = true
}

// restore puts back what runs here. What is being settled at this moment looks after itself. data is locked.
func (x *Runner) restore(ctx context.Context) error {
	var free []*run
	for _, r := range x.running.unsettled() {
		r.looked.Store(x.data.loss.n)
		if r.settling.TryLock() {
			free = append(free, r)
		}
	}
	defer func() {
		for _, r := range free {
			r.settling.Unlock()
		}
	}()
	bySite := map[string][]*run{}
	var plain []*run
	for _, r := range free {
		switch name := r.rowName(); {
		case r.told:
		case name == "":
			plain = append(plain, r)
		default:
			bySite[r.info.Site] = append(bySite[r.info.Site], r)
		}
	}
	err := x.putBack(ctx, plain, func(*run) *rows.BackgroundJob { return nil })
	for site, rs := range bySite {
		found, missed := x.rowsOf(ctx, site, rs)
		if missed != nil {
			err = missed
			continue
		}
		var ours []*run
		for _, r := range rs {
			switch row := found[r.rowName()]; {
			case row == nil || row.Status.Terminal(): // it has settled its row, or the next renewal says that it is over
			case row.Status == rows.StatusRunning && !row.StartedAs(r.lease.StartedAt):
				r.cancel(job.ErrLost)
			default:
				ours = append(ours, r)
			}
		}
		if missed := x.putBack(ctx, ours, func(r *run) *rows.BackgroundJob { return found[r.rowName()] }); missed != nil {
			err = missed
		}
	}
	return err
}

// rowsOf reads the rows of attempts on one site.
func (x *Runner) rowsOf(ctx context.Context, site string, rs []*run) (map[string]*rows.BackgroundJob, error) {
	names := make([]string, len(rs))
	for i, r := range rs {
		names[i] = r.rowName()
	}
	return x.Rows.Named(ctx, site, names)
}

// putBack writes attempts into Redis that nobody else has. One without a row of which there is no copy goes on all the same; what
// Redis says of it means nothing then.
func (x *Runner) putBack(ctx context.Context, rs []*run, rowOf func(*run) *rows.BackgroundJob) error {
	var back []rqcompat.Restore
	var of []*run
	for _, r := range rs {
		row := rowOf(r)
		restore := rqcompat.Restore{Lease: r.lease, Worker: r.slot.Worker, Sure: row != nil && row.StartedAs(r.lease.StartedAt)}
		if kept := r.copied.Load(); kept != nil {
			restore.Job = kept.job
		}
		if restore.Job == nil && row != nil {
			restore.Job, _ = x.Envelope(r.info.Site, row, r.lease.ID) // of a site that is gone there is none
		}
		if restore.Job == nil {
			r.bereft.Store(true)
			continue
		}
		back, of = append(back, restore), append(of, r)
	}
	if len(back) == 0 {
		return nil
	}
	answers, err := x.RQ.Restore(ctx, back, x.Lease+x.Slack)
	if err != nil {
		return err
	}
	leases := make([]rqcompat.Lease, 0, len(of))
	for i, a := range answers {
		switch {
		case a.Err != nil:
			err = a.Err
		case a.Result == rqcompat.RestoreLost:
			of[i].cancel(job.ErrLost)
		default:
			of[i].bereft.Store(false)
			leases = append(leases, of[i].lease)
		}
	}
	if len(leases) > 0 && err == nil {
		_, err = x.RQ.Renew(ctx, leases, x.Lease+x.Slack, true) // writes the rest; what it says the next one says as well
	}
	return err
}

// restoreOne puts an attempt back whose end finds that Redis doesn't know it, if that has lost data since it began. settling is held.
// One that is somebody else's by now has nothing to put back.
func (x *Runner) restoreOne(ctx context.Context, r *run) bool {
	last, err := x.lookAtData(ctx)
	if err != nil || last.at.Before(r.began) || r.lease.Worker != r.slot.Worker.Name || errors.Is(job.CauseOf(r.ctx), job.ErrLost) {
		return false
	}
	row := func(r *run) *rows.BackgroundJob { return r.row } // it was this attempt's a moment ago, when it was moved
	return x.putBack(ctx, []*run{r}, row) == nil && !r.bereft.Load()
}
