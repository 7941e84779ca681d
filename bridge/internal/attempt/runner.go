// Package attempt has steps 4 to 6 of a job's life: admit a claimed job, run its handler under its clock, settle what
// came of it. While handlers run it keeps what they hold: leases are renewed, commands and cancels reach them.
//
// Settling goes row and log first, then RQ's outcome, then the observers. A crash in between is mended by whoever gets
// the delivery next: it finds a final row and only tidies up. What can't be written is tried again until it can.
package attempt

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Rows is what attempts do with rows; *sites.Sites does it.
type Rows interface {
	Arrive(ctx context.Context, site string, j rows.NewJob) (*rows.BackgroundJob, error)
	Apply(ctx context.Context, m moves.Move, then func(context.Context) error) (rows.TransitionResult, error)
	WriteProgress(ctx context.Context, site string, reports []sites.Report) []error
	Statuses(ctx context.Context, site string, names []string) (map[string]rows.Status, error)
	Written(ctx context.Context, site string, names []string) (sites.Changes, error)
	Named(ctx context.Context, site string, names []string) (map[string]*rows.BackgroundJob, error)
	Withhold(ctx context.Context, site string, row *rows.BackgroundJob, output string) (bool, error)
}

// RQ is what attempts do in Redis; *rqcompat.Client does it.
type RQ interface {
	Settle(ctx context.Context, os []rqcompat.Outcome) ([]rqcompat.Answer[rqcompat.OutcomeResult], error)
	SettleBare(ctx context.Context, o rqcompat.Outcome) (rqcompat.OutcomeResult, error)
	Renew(ctx context.Context, ls []rqcompat.Lease, lease time.Duration, full bool) ([]rqcompat.Answer[rqcompat.LeaseState], error)
	DataMark(ctx context.Context) (string, error)
	Restore(ctx context.Context, rs []rqcompat.Restore, lease time.Duration) ([]rqcompat.Answer[rqcompat.RestoreResult], error)
	FetchSmall(ctx context.Context, ids []string, most int) ([]*rqcompat.FetchResult, error)
	Listen(ctx context.Context, namePattern string, f func(worker string, cmd rqcompat.Command)) error
	workers.Records
}

// Trials let one job at a time through a circuit breaker that is open; *breaker.Keeper does it.
type Trials interface {
	Try(ctx context.Context, site, breaker string, row *rows.BackgroundJob) (bool, error)
	NotTried(ctx context.Context, site, breaker string, row *rows.BackgroundJob)
}

// Ended is told how an attempt, or a job that was refused before, ended, when row and RQ know of it.
type Ended func(info job.Info, outcome string, err *job.Failure, took time.Duration)

// Params are what a Runner needs.
type Params struct {
	Rows Rows
	RQ   RQ
	Ask  func(ctx context.Context, q policy.Question) policy.Answer
	// Trials are asked where Ask says that a job would be a trial.
	Trials Trials
	Slots  *workers.Slots
	Retry  job.RetryPolicy
	// RetryIntervals are the pauses before the retries of a job without a row.
	RetryIntervals []time.Duration
	Logger         *slog.Logger
	// HandlerLog is what handlers log to. Default: Logger.
	HandlerLog *slog.Logger
	// CancelGrace is how long a handler may take to return once its context has ended.
	CancelGrace time.Duration
	// Lease is how long a claim holds without renewal, Slack how much longer its entry in RQ's started registry lasts.
	Lease, Slack time.Duration
	// PlainProgress takes the reports of jobs without a row.
	PlainProgress func(site, user, id string, percent float64, message string)
	// Failed is told of each queue whose failed registry grew.
	Failed func(queue string)
	// CallBack hands a callback of the job's caller over to Python; sites.Courier.CallBack does it.
	CallBack func(sites.End) (*rqcompat.HandOver, string)
	// Envelope is the job that would bring a row under an id; sites.Courier.Envelope makes it.
	Envelope func(site string, row *rows.BackgroundJob, id string) (*rqcompat.Job, error)
	// RowOfJob splits a canonical job id into site and row; RQ's commands name jobs by it.
	RowOfJob func(id string) (site, name string, ok bool)
	Ended    Ended
	// Tidied is told of each delivery that was ended since its row needed nothing done; nil tells nobody.
	Tidied func()
}

// Runner runs claimed jobs.
type Runner struct {
	Params
	running  running
	reports  *batch.Lanes[string, *run]
	outcomes batch.Batcher[rqcompat.Outcome, rqcompat.Answer[rqcompat.OutcomeResult]]
	said     wait.Seldom
	renewal  wait.Pulse
	data     data
	// refused is when Redis last said that it can't be used, see nobodyTakes.
	refused atomic.Pointer[time.Time]

	// jobs counts the goroutines that run jobs; abandoned those among them that were left behind.
	jobs      sync.WaitGroup
	abandoned atomic.Int64
	// denied is done when it was said that commands can't be heard.
	denied sync.Once
	// stopping is closed when this process begins to stop.
	stopping chan struct{}
}

// data is what is known of Redis's data.
type data struct {
	mu   sync.Mutex
	mark string
	loss loss
	open bool // what runs here is still to be put back
}

// loss is the last time that Redis lost data: the how manieth, when that was noticed, and when what runs here was last put back.
type loss struct {
	n        int64
	at, back time.Time
}

// missed reports whether an attempt is older than the loss, and wasn't among those that were looked at since: its claim was being
// answered just then.
func (l loss) missed(r *run) bool { return r.began.Before(l.at) && r.looked.Load() < l.n }

// NewRunner prepares a runner.
func NewRunner(p Params) *Runner {
	x := &Runner{Params: p, running: running{byWorker: map[string]*run{}}, stopping: make(chan struct{})}
	x.outcomes.Limit, x.outcomes.Call, x.outcomes.Shared = outcomeBatch, p.RQ.Settle, passes
	x.outcomes.Large = func(o rqcompat.Outcome) bool { return o.Size() > wait.LargeItem }
	x.reports = batch.NewLanes(1<<20, x.writeProgress, func(string, int) {})
	return x
}

// Start lets an attempt go. Its handler's context ends with work; last writes are tried until settle ends. If again isn't
// nil, q is what was known before the claim: again waits for what the job asks for now, or gives nil for a job that has to
// go back to its queue.
func (x *Runner) Start(work, settle context.Context, q *job.Queued, again func(context.Context) *job.Queued, slot *workers.Slot, lease rqcompat.Lease) {
	now := time.Now()
	r := &run{slot: slot, lease: lease, base: x.Logger, loud: cmp.Or(x.HandlerLog, x.Logger), began: now.Add(min(lease.StartedAt.Sub(now.Round(0)), 0))}
	r.renewed.Store(&r.began)
	r.take(q)
	r.progress.hand = func() { x.reports.Add(r.info.Site, r) }
	r.ctx, r.cancel = context.WithCancelCause(job.WithOwned(work, func() bool { return !x.overdue(r, time.Now()) }))
	x.running.add(r)
	x.jobs.Go(func() {
		if again != nil {
			if q = again(r.ctx); q == nil {
				x.settleDelivery(settle, r, rqcompat.OutcomeGivenBack)
				x.finish(r)
				return
			}
			r.take(q)
		}
		x.execute(settle, r, q)
	})
}

// WriteReports writes progress until ctx ends.
func (x *Runner) WriteReports(ctx context.Context) { x.reports.Run(ctx) }

// Running counts the attempts under way, and those among them whose handler was abandoned.
func (x *Runner) Running() (running, abandoned int) {
	return x.running.count(), int(x.abandoned.Load())
}

// Abandoned lists the handlers that go on although their attempts have ended, the oldest first.
func (x *Runner) Abandoned() []rqcompat.Abandoned { return x.running.abandoned() }

// Holds reports whether a worker of this process still has an attempt to settle.
func (x *Runner) Holds(worker string) bool {
	r := x.running.worker(worker)
	return r != nil && !r.settled.Load()
}

// lastWrites is how much longer than the grace period a stop waits for what abandoned attempts settle.
const lastWrites = 2 * time.Second

// Stopping tells that this process begins to stop, before Drain: programs may get the same signal. It is called once.
func (x *Runner) Stopping() { close(x.stopping) }

// Drain waits for the running jobs, then cancels them with stop, then leaves them behind.
func (x *Runner) Drain(timeout time.Duration, stop func()) {
	running, end := context.WithCancel(context.Background())
	go func() {
		x.jobs.Wait()
		end()
	}()
	if n := len(x.running.unsettled()); n > 0 {
		x.Logger.Info("stopping: waiting for running jobs", "jobs", n, "timeout", timeout)
	}
	if wait.Sleep(running, timeout); running.Err() != nil {
		return
	}
	x.Logger.Warn("stopping: canceling running jobs; they go back to their queues", "jobs", len(x.running.unsettled()))
	stop()
	limit := time.Now().Add(x.CancelGrace + lastWrites)
	for time.Now().Before(limit) {
		if wait.Sleep(running, 20*time.Millisecond); running.Err() != nil {
			return
		}
		if int64(x.running.count()) == x.abandoned.Load() && len(x.running.unsettled()) == 0 {
			break
		}
	}
	x.Logger.Error("stopping: what doesn't end is left behind: handlers that ignore their context, and jobs whose end can't be written",
		"handlers", x.abandoned.Load(), "jobs", len(x.running.unsettled()))
}

// writeProgress writes what the runs of one site report.
func (x *Runner) writeProgress(ctx context.Context, site string, reporting []*run) {
	now := time.Now()
	var (
		reports []sites.Report
		of      []*run
	)
	for _, r := range reporting {
		if errors.Is(job.CauseOf(r.ctx), job.ErrLost) {
			continue
		}
		if r.rowName() == "" && x.overdue(r, now) { // nothing there would refuse what comes too late
			r.progress.again()
			continue
		}
		newest, ok := r.progress.take(now)
		switch name := r.rowName(); {
		case !ok:
		case name == "":
			x.PlainProgress(site, r.info.User, r.info.ID, newest.percent, newest.message)
		default:
			of = append(of, r)
			reports = append(reports, sites.Report{
				Subject:  sites.Subject{Site: site, Name: name, JobType: r.info.JobType, Organization: r.info.Organization, Owner: r.info.User},
				Progress: rows.Progress{Name: name, Fence: r.fence, Percent: newest.percent, Message: newest.message, LogTail: newest.logTail},
			})
		}
	}
	if len(reports) == 0 {
		return
	}
	for i, err := range x.Rows.WriteProgress(ctx, site, reports) {
		switch {
		case err == nil:
		case sites.Final(err):
			x.said.Warn(of[i].Log(), "progress can't be written", site, "error", err)
		default:
			of[i].progress.again()
			x.said.Warn(x.Logger, "progress not written; it is tried again", site, "error", err, "site", site, "jobs", len(reports))
		}
	}
}

// overdue reports whether an attempt may be somebody else's by now.
func (x *Runner) overdue(r *run, now time.Time) bool { return now.Sub(*r.renewed.Load()) >= x.Lease }

func (x *Runner) heartbeat(ctx context.Context) {
	x.Slots.Heartbeat(ctx, x.RQ, x.running.count() > 0, x.Logger)
}
