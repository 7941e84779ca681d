package attempt

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// run is one attempt at one job. Its goroutine owns it until ended is set. What its handler reports to is heard.
type run struct {
	info    job.Info
	handler *job.Handler
	slot    *workers.Slot
	lease   rqcompat.Lease
	// fence is the started_at that this attempt's row got; set before the handler may report.
	fence string
	// serializer is how the result is written.
	serializer rqcompat.Serializer
	callbacks  job.Callbacks
	// row is nil for a job without one; it doesn't hold the parameters.
	row *rows.BackgroundJob

	ctx    context.Context
	cancel context.CancelCauseFunc

	// began is when the claim was asked for, by this process's own clock; so is renewed when the last renewal was that was granted.
	began   time.Time
	renewed atomic.Pointer[time.Time]
	// copied is the job as Redis had it; nil until it was read.
	copied atomic.Pointer[copied]
	// bereft says that Redis has lost the job, and that nothing is known to put it back.
	bereft atomic.Bool
	// looked is the last loss of data after which it was asked whether the attempt is to be put back.
	looked atomic.Int64
	// settling is held by whoever writes the outcome, or puts the attempt back into Redis. told, which it guards, is set when the
	// outcome is written.
	settling sync.Mutex
	told     bool

	// name is the row's; unset for a job without one. The watchers read it while the job is being admitted.
	name     atomic.Pointer[string]
	progress progress

	// ended is set by whoever settles the attempt: its handler's return, else the end of the grace period.
	ended atomic.Bool
	// settled is set when the last write is done: no lease is needed any more.
	settled atomic.Bool
	// abandoned is set when the handler was left behind.
	abandoned atomic.Bool

	base   *slog.Logger
	loud   *slog.Logger // for what the handler logs
	output atomic.Pointer[string]
}

// take gives the attempt what its job asks for.
func (r *run) take(q *job.Queued) {
	r.info = job.Info{
		ID: q.ID, Method: q.Method, Site: q.Site, User: q.User, Organization: q.Organization,
		Attempt: max(q.Attempt, 1), Queue: q.Queue.Name,
	}
	if q.JobType != nil {
		r.info.JobType = q.JobType.TypeName
	}
	r.handler, r.serializer, r.callbacks = q.Handler, q.Serializer, q.Callbacks
}

// setRow gives the attempt its row.
func (r *run) setRow(row *rows.BackgroundJob) {
	kept := *row
	kept.InputParameters = nil // ten thousand jobs that run for hours need not hold them
	r.row = &kept
	r.info.Name, r.info.Organization, r.info.User = kept.Name, kept.Organization, kept.OwnerUser
	r.name.Store(&kept.Name)
}

// rowName gives the name of the run's row, "" if it has none (yet). Safe for concurrent use.
func (r *run) rowName() string { return orEmpty(r.name.Load()) }

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Progress implements job.Reporter.
func (r *run) Progress(percent float64, message string) {
	r.progress.report(percent, job.Clip(message))
}

// SetOutput implements job.Reporter.
func (r *run) SetOutput(reference string) {
	reference = job.Clip(reference)
	r.output.Store(&reference)
}

// Log is the engine's, with the job named on each line. It is made when wanted: most jobs write nothing.
func (r *run) Log() *slog.Logger { return slog.New(jobFields{r.base.Handler(), r}) }

// jobFields adds what identifies a job when a line is written; by then it may have got its row.
type jobFields struct {
	slog.Handler
	r *run
}

func (f jobFields) Handle(ctx context.Context, line slog.Record) error {
	line.AddAttrs(slog.String("job_id", f.r.lease.ID), slog.String("queue", f.r.lease.Queue), slog.String("method", f.r.info.Method))
	if f.r.info.Site != "" {
		line.AddAttrs(slog.String("site", f.r.info.Site))
	}
	if name := f.r.rowName(); name != "" {
		line.AddAttrs(slog.String("job", name), slog.String("organization", f.r.info.Organization))
	}
	return f.Handler.Handle(ctx, line)
}

func (f jobFields) WithAttrs(attrs []slog.Attr) slog.Handler {
	return jobFields{f.Handler.WithAttrs(attrs), f.r}
}
func (f jobFields) WithGroup(name string) slog.Handler {
	return jobFields{f.Handler.WithGroup(name), f.r}
}

// running are the attempts under way, found by worker name (RQ's commands) and by row (cancels).
type running struct {
	mu       sync.Mutex
	byWorker map[string]*run
}

func (s *running) add(r *run) {
	s.mu.Lock()
	s.byWorker[r.lease.Worker] = r
	s.mu.Unlock()
}

func (s *running) remove(r *run) {
	s.mu.Lock()
	if s.byWorker[r.lease.Worker] == r {
		delete(s.byWorker, r.lease.Worker)
	}
	s.mu.Unlock()
}

func (s *running) worker(name string) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byWorker[name]
}

func (s *running) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byWorker)
}

// abandoned lists the attempts whose handler was left behind and goes on.
func (s *running) abandoned() (out []rqcompat.Abandoned) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.byWorker {
		if r.abandoned.Load() {
			out = append(out, rqcompat.Abandoned{
				JobID: r.lease.ID, Queue: r.lease.Queue, Row: r.rowName(), Method: r.info.Method, Since: r.lease.StartedAt,
			})
		}
	}
	slices.SortFunc(out, func(a, b rqcompat.Abandoned) int { return a.Since.Compare(b.Since) })
	return out
}

// unsettled lists the attempts that are still to be settled.
func (s *running) unsettled() []*run {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*run, 0, len(s.byWorker))
	for _, r := range s.byWorker {
		if !r.settled.Load() {
			out = append(out, r)
		}
	}
	return out
}

func (s *running) ofRow(site, name string) *run {
	for _, r := range s.unsettled() {
		if r.rowName() == name && r.info.Site == site { // in this order: the rest is settled once it has its row
			return r
		}
	}
	return nil
}

// copied is a job as Redis had it; nil for one that is too large to be kept.
type copied struct{ job *rqcompat.Job }
