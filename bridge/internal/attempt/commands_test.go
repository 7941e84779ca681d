package attempt

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestCommands to a worker, and to all bridges, while it runs JOB-1 and another worker a plain job.
func TestCommands(t *testing.T) {
	const mine, other, all = "mine", "other", "all"
	for name, tc := range map[string]struct {
		to       string
		command  rqcompat.Command
		cause    error // of JOB-1
		shutdown bool
		log      string
	}{
		"stop-job":                    {mine, rqcompat.Command{Name: "stop-job", JobID: site + "::JOB-1"}, job.ErrStopped, false, ""},
		"stop-job of its last job":    {mine, rqcompat.Command{Name: "stop-job", JobID: "plain-1"}, nil, false, ""},
		"stop-job to the wrong one":   {other, rqcompat.Command{Name: "stop-job", JobID: site + "::JOB-1"}, nil, false, ""},
		"stop-job to an idle worker":  {"bridge-idle", rqcompat.Command{Name: "stop-job", JobID: site + "::JOB-1"}, nil, false, ""},
		"kill-horse":                  {mine, rqcompat.Command{Name: "kill-horse"}, job.ErrKilled, false, ""},
		"kill-horse of an idle one":   {"bridge-idle", rqcompat.Command{Name: "kill-horse"}, nil, false, ""},
		"shutdown":                    {mine, rqcompat.Command{Name: "shutdown"}, nil, true, "shutdown command"},
		"shutdown of an idle worker":  {"bridge-idle", rqcompat.Command{Name: "shutdown"}, nil, true, "shutdown command"},
		"an unknown command":          {mine, rqcompat.Command{Name: "dance"}, nil, false, "unknown command ignored"},
		"not a command":               {mine, rqcompat.Command{Err: errBoom}, nil, false, "no command; RQ's commands and cancels may come late"},
		"cancel to a worker":          {mine, rqcompat.Command{Name: CommandCancel, JobID: site + "::JOB-1"}, nil, false, "unknown command ignored"},
		"cancel":                      {all, rqcompat.Command{Name: CommandCancel, JobID: site + "::JOB-1"}, job.ErrCanceled, false, ""},
		"cancel of another row":       {all, rqcompat.Command{Name: CommandCancel, JobID: site + "::JOB-2"}, nil, false, ""},
		"cancel of another site's":    {all, rqcompat.Command{Name: CommandCancel, JobID: "b.example.com::JOB-1"}, nil, false, ""},
		"cancel of a plain job":       {all, rqcompat.Command{Name: CommandCancel, JobID: "plain-1"}, nil, false, ""},
		"stop-job to all":             {all, rqcompat.Command{Name: "stop-job", JobID: site + "::JOB-1"}, nil, false, ""},
		"shutdown to all":             {all, rqcompat.Command{Name: "shutdown"}, nil, false, ""},
		"not a command to all":        {all, rqcompat.Command{Err: errBoom}, nil, false, ""},
		"not a command to many":       {"", rqcompat.Command{Err: errBoom}, nil, false, "no command"},
		"a lost subscription, of all": {all, rqcompat.Command{Err: errNoRedis}, nil, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				shutdown := false
				stop := background(t, func(ctx context.Context) { h.Listen(ctx, func() { shutdown = true }) })
				lease := h.start(t.Context(), h.delivery(rows.StatusQueued, obeys))
				plainLease := h.start(t.Context(), plain(obeys))
				synctest.Wait()
				row, another := h.running.worker(lease.Worker), h.running.worker(plainLease.Worker)
				if len(h.rq.listen) != 2 || h.rq.listen[h.slots.NamePattern()] == nil || h.rq.listen[EveryBridge] == nil {
					t.Fatalf("listens to %v, want this process's workers and all bridges", h.rq.listen)
				}
				switch tc.to {
				case all:
					h.rq.listen[EveryBridge](EveryBridge, tc.command)
				case mine:
					h.rq.listen[h.slots.NamePattern()](lease.Worker, tc.command)
				case other:
					h.rq.listen[h.slots.NamePattern()](plainLease.Worker, tc.command)
				default:
					h.rq.listen[h.slots.NamePattern()](tc.to, tc.command)
				}
				if got := job.CauseOf(row.ctx); got != tc.cause || shutdown != tc.shutdown {
					t.Errorf("JOB-1 ends with %v, shutdown: %v, want %v, %v", got, shutdown, tc.cause, tc.shutdown)
				}
				if got := job.CauseOf(another.ctx); got != nil {
					t.Errorf("the other job ends with %v, want that it goes on", got)
				}
				if tc.log != "" {
					h.wantLog(t, tc.log)
				}
				stop()
				row.cancel(job.ErrStopped)
				another.cancel(job.ErrStopped)
				h.jobs.Wait()
			})
		})
	}
}

// TestARightThatIsMissingIsToldOnce: nothing changes until somebody grants it.
func TestARightThatIsMissingIsToldOnce(t *testing.T) {
	h := newHouse()
	denied := rqcompat.Command{Err: fmt.Errorf("listen for commands: %w", redisReply("NOPERM this user has no permissions to access one of the channels"))}
	for range 3 {
		h.obey("", denied, func() {})
	}
	if n := strings.Count(h.log.String(), "may not listen to rq:pubsub:*"); n != 1 {
		t.Errorf("told %d times, want once:\n%s", n, h.log.String())
	}
}

// redisReply is an error that a server answered.
type redisReply string

func (e redisReply) Error() string { return string(e) }
func (redisReply) RedisError()     {}

// TestAStopMayComeBeforeTheClaimsAnswer: Redis says that a job is started before its process knows.
func TestAStopMayComeBeforeTheClaimsAnswer(t *testing.T) {
	for late, want := range map[time.Duration]error{claimAnswer / 2: job.ErrStopped, 2 * claimAnswer: nil} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			free := h.slots.Take(1)
			worker := free[0].Worker.Name
			h.slots.PutBack(free)
			h.obey(worker, rqcompat.Command{Name: rqcompat.CommandStopJob, JobID: "plain-1"}, func() {})
			time.Sleep(late)
			lease := h.start(t.Context(), plain(obeys))
			if lease.Worker != worker {
				t.Fatalf("the job runs on %s, not on %s", lease.Worker, worker)
			}
			r := h.running.worker(worker)
			time.Sleep(2 * stopAgain)
			if got := job.CauseOf(r.ctx); got != want {
				t.Errorf("a stop %s before the claim's answer ends the handler with %v, want %v", late, got, want)
			}
			r.cancel(job.ErrStopped)
			h.jobs.Wait()
		})
	}
}
