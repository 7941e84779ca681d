package bridge

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"

	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestTwoEnginesRunEachJobOnce has 500 jobs with rows, some of which fail at
// first, on one bench with two engines.
func TestTwoEnginesRunEachJobOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 20, "retry": map[string]any{"base": 0.1}})
	b.countTypes()
	var mu sync.Mutex
	attempts := map[string]int{}
	byEngine := make([]int, 2)
	const jobs = 200
	names := make([]string, 0, jobs)
	for i := range jobs {
		names = append(names, b.submit("count", map[string]any{"n": i}))
	}
	for i := range 2 {
		other := *b
		other.restartBench()
		other.start(func(e *Engine) {
			Register(e, "go.count", func(_ context.Context, job *Job[struct{ N int }]) (any, error) {
				mu.Lock()
				attempts[job.Name]++
				byEngine[i]++
				mu.Unlock()
				if job.Params.N%10 == 0 && job.Attempt == 1 {
					return nil, Transient(fmt.Errorf("not yet"))
				}
				return job.Params.N, nil
			})
		})
	}
	for i, name := range names {
		row := b.waitRow(name, rows.StatusCompleted)
		want, path := 1, "Pending Queued Running Completed"
		if i%10 == 0 {
			want, path = 2, "Pending Queued Running Failed Queued Running Completed"
		}
		if got := b.path(name); got != path || row.RetryCount != want-1 {
			t.Errorf("job %d: path %s, want %s; retry_count %d; history %q", i, got, path, row.RetryCount, b.history(name))
		}
		mu.Lock()
		if n := attempts[name]; n != want {
			t.Errorf("job %d ran %d times, want %d", i, n, want)
		}
		mu.Unlock()
	}
	mu.Lock()
	defer mu.Unlock()
	if byEngine[0] == 0 || byEngine[1] == 0 {
		t.Errorf("one engine did everything: %v", byEngine)
	}
	b.checkLogIsLegal()
}

// checkLogIsLegal checks that each step in the log starts where the one before
// ended, and is in the state machine.
func (b *bed) checkLogIsLegal() {
	b.t.Helper()
	var steps []struct {
		Job  string `db:"background_job"`
		From string `db:"from_status"`
		To   string `db:"to_status"`
	}
	if err := b.sql.Select(&steps, "SELECT background_job, COALESCE(from_status, '') AS from_status, to_status FROM `tabJob Execution Log` ORDER BY background_job, timestamp, name"); err != nil {
		b.t.Fatal(err)
	}
	at := map[string]string{}
	for _, s := range steps {
		if at[s.Job] != s.From {
			b.t.Errorf("job %s: a step from %q, but it was %q", s.Job, s.From, at[s.Job])
		}
		if s.From != "" && (moves.Move{Transition: rows.Transition{From: rows.Status(s.From), To: rows.Status(s.To)}}).Check() != nil {
			b.t.Errorf("job %s: %q to %q is not in the state machine", s.Job, s.From, s.To)
		}
		at[s.Job] = s.To
	}
}

// TestOneJobBehindTwoThousandOfAnotherTenant: it is among the first to start.
func TestOneJobBehindTwoThousandOfAnotherTenant(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 4})
	b.countTypes()
	queue := b.bench.QueueName("go")
	requests := make([]rqcompat.Request, 0, 2001)
	for i := range 2001 {
		organization := "ORG-A"
		if i == 2000 {
			organization = "ORG-B"
		}
		requests = append(requests, rqcompat.Request{
			Queue: queue, ID: fmt.Sprintf("fair-%d", i),
			Data: call(t, frappe.ExecuteJob, envelope(testSite, "go.count", map[string]any{"organization": organization})),
		})
	}
	if _, err := b.client().RQ().EnqueueMany(t.Context(), requests); err != nil {
		t.Fatal(err)
	}
	var started atomic.Int64
	place := make(chan int64, 1)
	b.start(func(e *Engine) {
		Register(e, "go.count", func(ctx context.Context, job *Job[any]) (any, error) {
			n := started.Add(1)
			if job.Organization == "ORG-B" {
				place <- n
			}
			wait.Sleep(ctx, 10*time.Millisecond)
			return nil, nil
		})
	})
	select {
	case n := <-place:
		// A poller routes 200 jobs at a time; what it hands over first may start.
		if n > 200 {
			t.Errorf("the other tenant's job started as number %d of 2001", n)
		}
		t.Logf("started as number %d", n)
	case <-time.After(30 * time.Second):
		t.Fatalf("it has not started after %d others", started.Load())
	}
}

// TestEnginesOfDifferentQueuesLeaveEachOthersRowsAlone: the maintenance of one engine
// must not take the running rows of another, whose queue it doesn't work, for
// abandoned.
func TestEnginesOfDifferentQueuesLeaveEachOthersRowsAlone(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"queues": []string{"go"}, "shared_queues": []string{"long"}})
	b.countTypes()
	c := newCounter()
	b.cfg.pace = fastPace
	b.start(c.register)
	other := *b
	other.restartBench()
	other.cfg.Queues, other.cfg.SharedQueues = []string{}, []string{"short"}
	other.start(c.register)
	name := b.submit("holds", nil)
	c.waitHeld(b, 1)
	time.Sleep(2 * time.Second) // several rounds of both
	close(c.open)
	b.waitRow(name, rows.StatusCompleted)
	if got := b.path(name); got != "Pending Queued Running Completed" {
		t.Errorf("path %s", got)
	}
	c.wantOnce(t, b.ids(name)...)
}

// TestManyWaitingRowsDoNotHideAnOrphan: rows that wait for something else, more
// than one look at the stale rows takes, come before one that lost its delivery.
func TestManyWaitingRowsDoNotHideAnOrphan(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.cfg.pace = fastPace
	job := rows.NewJob{JobType: "sample_job", Organization: "ORG-A", OwnerUser: "jane@example.com", MaxRetries: 5, TimeoutSeconds: 60, InputParameters: []byte(`{"duration": 0}`), Status: rows.StatusPending}
	waiting := make([]rows.NewJob, 1100 /* a look takes 1,000 */)
	for i := range waiting {
		waiting[i] = job
	}
	if _, err := b.db.CreateJobs(t.Context(), waiting); err != nil {
		t.Fatal(err)
	}
	b.exec("UPDATE `tabBackground Job` SET modified = modified - INTERVAL 1 HOUR")
	job.Status = rows.StatusQueued
	orphans, err := b.db.CreateJobs(t.Context(), []rows.NewJob{job})
	if err != nil {
		t.Fatal(err)
	}
	b.start(nil)
	b.waitRow(orphans[0].Name, rows.StatusCompleted)
}

// TestRetryAtOnce: a retry that is due before the failed attempt is settled in
// RQ must not take that attempt for the retry's delivery.
func TestRetryAtOnce(t *testing.T) { // not in parallel: it has a limit of time
	b := newBed(t, nil)
	b.cfg.Breaker.Off = true // most attempts fail
	b.countTypes()
	var attempts atomic.Int64
	b.start(func(e *Engine) {
		Register(e, "go.count", func(_ context.Context, job *Job[any]) (any, error) {
			attempts.Add(1)
			if job.Attempt <= 3 {
				return nil, RetryAfter(0, fmt.Errorf("attempt %d", job.Attempt))
			}
			return nil, nil
		})
	})
	begin := time.Now()
	var names []string
	for range 40 {
		names = append(names, b.submit("count", nil))
	}
	for _, name := range names {
		b.waitRow(name, rows.StatusCompleted)
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("three retries without a pause took %s", d)
	}
	if n := attempts.Load(); n != 4*40 {
		t.Errorf("40 jobs that fail three times made %d attempts, want 160", n)
	}
}

// TestRetryWhileTheOldAttemptIsBeingSettled: the row is final already, RQ's job
// is not yet.
func TestRetryWhileTheOldAttemptIsBeingSettled(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	name := b.submit("sample_job", map[string]any{"duration": 0})
	id, queue := b.bench.JobID(testSite, name), rqcompat.QueueKey(b.bench.QueueName("go"))
	b.exec("UPDATE `tabBackground Job` SET status = 'Dead Letter' WHERE name = ?", name)
	b.rdb.LRem(t.Context(), queue, 1, id)
	b.rdb.HSet(t.Context(), rqcompat.JobKey(id), "status", "started")
	settled := time.AfterFunc(200*time.Millisecond, func() { b.rdb.HSet(context.Background(), rqcompat.JobKey(id), "status", "failed") })
	defer settled.Stop()
	begin := time.Now()
	if _, err := b.client().Retry(t.Context(), testSite, name, ""); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d < 150*time.Millisecond {
		t.Errorf("the retry was delivered after %s, want it to wait until the old attempt is settled", d)
	}
	if waiting := b.rdb.LRange(t.Context(), queue, 0, -1).Val(); len(waiting) != 1 || waiting[0] != id {
		t.Errorf("on the queue: %v, want %s", waiting, id)
	}
}
