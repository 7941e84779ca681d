package attempt

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// An attempt whose lease wasn't renewed for as long as it lasts may be somebody else's: this process was stopped, or is cut off. All
// that it still writes about its job is compared with what is there; its handler is to end as soon as that can be known. The time is
// the process's own, CLOCK_MONOTONIC, which goes on while a process is stopped. It stands still while the whole machine is
// suspended: then the first renewal afterwards tells, a third of a lease later at most.

const (
	// overdueLook is how often it is looked for leases that have run out.
	overdueLook = 250 * time.Millisecond
	// overdueAsk is how long Redis, and then the site, may take to say whose a job is. Who doesn't answer is taken for a no.
	overdueAsk = time.Second
	// refusedFor is for how long it is believed that nobody takes jobs, once Redis has said so.
	refusedFor = 3 * time.Second
)

// WatchOverdue ends the handlers whose job may be somebody else's, until ctx ends.
func (x *Runner) WatchOverdue(ctx context.Context) {
	wait.Every(ctx, overdueLook, func(time.Time) { x.lookForOverdue(ctx) })
}

// lookForOverdue asks whose the jobs are whose leases have run out.
func (x *Runner) lookForOverdue(ctx context.Context) {
	if len(x.overdueNow()) == 0 {
		return
	}
	// After a stop nobody has tried to renew.
	short, cancel := context.WithTimeout(ctx, overdueAsk)
	_ = x.renew(short, false) // RenewLeases says what is wrong
	cancel()
	if at := x.refused.Load(); at != nil && time.Since(*at) < refusedFor {
		return
	}
	bySite := map[string][]*run{}
	for _, r := range x.overdueNow() {
		switch {
		case r.bereft.Load():
		case r.rowName() == "":
			x.giveUp(r)
		default:
			bySite[r.info.Site] = append(bySite[r.info.Site], r)
		}
	}
	for site, rs := range bySite {
		x.confirm(ctx, site, rs)
	}
}

// overdueNow are the attempts whose leases have run out.
func (x *Runner) overdueNow() (out []*run) {
	now := time.Now()
	for _, r := range x.running.unsettled() {
		if x.overdue(r, now) && !errors.Is(job.CauseOf(r.ctx), job.ErrLost) {
			out = append(out, r)
		}
	}
	return out
}

// confirm lets those attempts go on that their rows still belong to: Redis is away, and the row is the truth.
func (x *Runner) confirm(ctx context.Context, site string, rs []*run) {
	ctx, cancel := context.WithTimeout(ctx, overdueAsk)
	defer cancel()
	found, err := x.rowsOf(ctx, site, rs)
	now := time.Now()
	for _, r := range rs {
		row := found[r.rowName()]
		if err == nil && row != nil && row.Status == rows.StatusRunning && row.StartedAs(r.lease.StartedAt) {
			again := now.Add(-x.Lease + x.Lease/3) // it is asked again so long before a lease would end that began now
			r.renewed.Store(&again)
			continue
		}
		x.giveUp(r)
	}
}

// giveUp ends a handler whose job may be somebody else's.
func (x *Runner) giveUp(r *run) {
	r.Log().Warn("the lease has run out, and nobody says that the job is still this process's: its handler is told to end", "lease", x.Lease)
	r.cancel(job.ErrLost)
}

// heed remembers that Redis said at that time that it can't be used, if err says so, and returns err.
func (x *Runner) heed(err error, at time.Time) error {
	if nobodyTakes(err) {
		x.refused.Store(&at)
	}
	return err
}

// nobodyTakes reports whether Redis itself says that it can't be used now, so that nobody takes jobs from anybody: its host refuses
// connections, or it answers that it loads its data, has no memory, is a replica, or that its users have lost a right. Silence says
// nothing of others.
func nobodyTakes(err error) bool {
	judged := rqcompat.Judge(err)
	return errors.Is(err, syscall.ECONNREFUSED) || judged == rqcompat.Refusing || judged == rqcompat.Denied
}
