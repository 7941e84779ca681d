package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

type greeting struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

func TestJobWithoutRow(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.start(func(e *Engine) {
		Register(e, "go.greet", func(_ context.Context, job *Job[greeting]) (any, error) {
			return map[string]any{"hello": job.Params.Name, "user": job.User, "n": job.Params.Count}, nil
		})
	})
	id := b.enqueue("go.greet", map[string]any{"name": "Ada", "count": 3})
	job := b.waitJob(id, rqcompat.StatusFinished)
	if job.WorkerName == "" || job.EndedAt.IsZero() || job.StartedAt.IsZero() {
		t.Errorf("finished job lacks worker or times: %+v", job)
	}
	results, err := b.client().RQ().Results(t.Context(), id)
	if err != nil || len(results) != 1 {
		t.Fatalf("results %v, %v", results, err)
	}
	value, err := results[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(plainOf(value))
	if want := `{"hello":"Ada","n":3,"user":"jane@example.com"}`; string(got) != want {
		t.Errorf("result %s, want %s", got, want)
	}
}

func TestSubmittedJobTellsItsWholeStory(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.start(nil)
	name := b.submit("sample_job", map[string]any{"duration": 0.5})
	row := b.waitRow(name, rows.StatusCompleted)
	if row.Progress != 100 || row.OutputReference != "/files/sample-output-"+name+".txt" || row.StartedAt.IsZero() || row.CompletedAt.IsZero() {
		t.Errorf("completed row %+v", row)
	}
	if row.RetryCount != 0 || row.ErrorMessage != "" {
		t.Errorf("completed row has retries or an error: %+v", row)
	}
	want := []string{">Pending Job created", "Pending>Queued Job enqueued", "Queued>Running Worker started execution", "Running>Completed Job completed successfully"}
	if got := b.history(name); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("history %q, want %q", got, want)
	}
	b.waitJob(b.bench.JobID(testSite, name), rqcompat.StatusFinished)
}

func TestEnqueueAloneGetsARow(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.start(nil)
	id := b.enqueue("dartwing.dartwing_core.background_jobs.samples.execute_echo_job", map[string]any{"organization": "ORG-B", "x": 1})
	b.waitJob(id, rqcompat.StatusFinished)
	row, err := b.db.NewestByHash(t.Context(), sites.ArrivalsHash(id))
	if err != nil {
		t.Fatal(err)
	}
	if row.Status != rows.StatusCompleted || row.Organization != "ORG-B" || row.JobType != "echo_job" || row.OwnerUser != "jane@example.com" {
		t.Errorf("row %+v", row)
	}
	if !strings.Contains(string(row.InputParameters), `"x":1`) && !strings.Contains(string(row.InputParameters), `"x": 1`) {
		t.Errorf("parameters %s", row.InputParameters)
	}

	orphan := b.enqueue("echo_job", map[string]any{"x": 1})
	b.waitJob(orphan, rqcompat.StatusFailed)
	if exc := b.lastExc(orphan); !strings.Contains(exc, "needs an organization") {
		t.Errorf("a job of no organization fails with %q", exc)
	}
}

func TestTransientFailureRecovers(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"retry": map[string]any{"base": 0.2}})
	b.start(nil)
	name := b.submit("sample_job", map[string]any{"duration": 0, "fail_type": "transient", "fail_attempts": 2})
	row := b.waitRow(name, rows.StatusCompleted)
	if row.RetryCount != 2 {
		t.Errorf("retry_count %d, want 2", row.RetryCount)
	}
	if got, want := b.path(name), "Pending Queued Running Failed Queued Running Failed Queued Running Completed"; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
}

func TestFailuresEndInTheDeadLetters(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"retry": map[string]any{"base": 0.05}})
	b.exec("UPDATE `tabJob Type` SET max_retries = 1")
	b.start(func(e *Engine) {
		Register(e, "go.panics", func(context.Context, *Job[any]) (any, error) { panic("at the disco") })
	})
	permanent := b.submit("sample_job", map[string]any{"duration": 0, "fail_type": "permanent"})
	exhausted := b.submit("sample_job", map[string]any{"duration": 0, "fail_type": "transient"})
	misfit := b.submit("sample_job", map[string]any{"duration": "soon"})
	for name, want := range map[string]string{
		permanent: "Pending Queued Running Dead Letter",
		exhausted: "Pending Queued Running Failed Queued Running Failed Dead Letter",
		misfit:    "Pending Queued Running Dead Letter",
	} {
		row := b.waitRow(name, rows.StatusDeadLetter)
		if got := b.path(name); got != want {
			t.Errorf("path %s, want %s", got, want)
		}
		if row.ErrorMessage == "" || row.CompletedAt.IsZero() {
			t.Errorf("dead letter %+v lacks error or end", row)
		}
		job := b.waitJob(b.bench.JobID(testSite, name), rqcompat.StatusFailed)
		if exc := b.lastExc(job.ID); !strings.HasPrefix(exc, "Traceback") {
			t.Errorf("exc %q", exc)
		}
	}
	if row := b.row(misfit); row.ErrorType != "Permanent" || !strings.Contains(row.ErrorMessage, "duration") {
		t.Errorf("misfitting parameters: %q %q", row.ErrorType, row.ErrorMessage)
	}
	id := b.enqueue("go.panics", nil)
	b.waitJob(id, rqcompat.StatusFailed)
	if exc := b.lastExc(id); !strings.Contains(exc, "at the disco") || !strings.Contains(exc, "engine_test.go") {
		t.Errorf("a panic's text lacks value or stack: %s", exc)
	}
}

func TestRetryByHandStartsANewSeries(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.start(nil)
	name := b.submit("sample_job", map[string]any{"duration": 0, "fail_type": "permanent"})
	b.waitRow(name, rows.StatusDeadLetter)
	b.exec("UPDATE `tabBackground Job` SET input_parameters = '{\"duration\": 0}', retry_count = 5 WHERE name = ?", name)
	if _, err := b.client().Retry(t.Context(), testSite, name, "admin@example.com"); err != nil {
		t.Fatal(err)
	}
	row := b.waitRow(name, rows.StatusCompleted)
	if row.RetryCount != 0 {
		t.Errorf("retry_count %d, want 0", row.RetryCount)
	}
	var refused *TransitionError
	if _, err := b.client().Retry(t.Context(), testSite, name, "admin@example.com"); !errors.As(err, &refused) {
		t.Errorf("retry of a completed job: %v, want a TransitionError", err)
	}
}

func TestCancelReachesTheHandler(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	causes := make(chan error, 4)
	b.start(func(e *Engine) {
		Register(e, "go.waits", func(ctx context.Context, _ *Job[any]) (any, error) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil, ctx.Err()
		})
	})
	b.exec("INSERT INTO `tabJob Type` (name, creation, modified, owner, modified_by, type_name, is_enabled, default_timeout, max_retries) VALUES ('waits', NOW(6), NOW(6), 'Administrator', 'Administrator', 'waits', 1, 60, 5)")
	b.exec("UPDATE `tabJob Type` SET handler_method = 'go.waits' WHERE name = 'waits'")

	t.Run("by row", func(t *testing.T) {
		name := b.submit("waits", nil)
		b.waitRow(name, rows.StatusRunning)
		start := time.Now()
		if _, err := b.client().Cancel(t.Context(), testSite, name, "jane@example.com"); err != nil {
			t.Fatal(err)
		}
		if cause := <-causes; !errors.Is(cause, ErrCanceled) {
			t.Errorf("cause %v, want ErrCanceled", cause)
		}
		// The rows of running jobs are looked at every second anyway: this is the command's doing.
		if d := time.Since(start); d > 900*time.Millisecond {
			t.Errorf("the handler heard of the cancel after %s, want at once", d)
		}
		b.waitJob(b.bench.JobID(testSite, name), rqcompat.StatusStopped)
		if row := b.row(name); row.Status != rows.StatusCanceled || row.CanceledBy != "jane@example.com" {
			t.Errorf("row %+v", row)
		}
	})
	t.Run("by stop-job", func(t *testing.T) {
		name := b.submit("waits", nil)
		b.waitRow(name, rows.StatusRunning)
		if _, err := b.client().RQ().SendStop(t.Context(), b.bench.JobID(testSite, name)); err != nil {
			t.Fatal(err)
		}
		if cause := <-causes; !errors.Is(cause, ErrStopped) {
			t.Errorf("cause %v, want ErrStopped", cause)
		}
		b.waitRow(name, rows.StatusCanceled)
		b.waitJob(b.bench.JobID(testSite, name), rqcompat.StatusStopped)
	})
	t.Run("by row behind the engine's back", func(t *testing.T) {
		name := b.submit("waits", nil)
		b.waitRow(name, rows.StatusRunning)
		b.exec("UPDATE `tabBackground Job` SET status = 'Canceled' WHERE name = ?", name)
		if cause := <-causes; !errors.Is(cause, ErrCanceled) {
			t.Errorf("cause %v, want ErrCanceled", cause)
		}
	})
	t.Run("while queued", func(t *testing.T) {
		if err := b.client().RQ().Suspend(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond)
		name := b.submit("waits", nil)
		if _, err := b.client().Cancel(t.Context(), testSite, name, ""); err != nil {
			t.Fatal(err)
		}
		if err := b.client().RQ().Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.waitJob(b.bench.JobID(testSite, name), rqcompat.StatusCanceled)
		if got := b.path(name); got != "Pending Queued Canceled" {
			t.Errorf("path %s", got)
		}
	})
}

func TestTimeoutStopsTheHandler(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"retry": map[string]any{"base": 60}})
	b.start(nil)
	b.exec("UPDATE `tabJob Type` SET default_timeout = 1 WHERE name = 'long_running_job'")
	name := b.submit("long_running_job", nil)
	row := b.waitRow(name, rows.StatusTimedOut)
	if row.NextRetryAt.IsZero() || !strings.Contains(row.ErrorMessage, "maximum timeout value (1 seconds)") {
		t.Errorf("row %+v", row)
	}
	id := b.bench.JobID(testSite, name)
	b.waitJob(id, rqcompat.StatusScheduled)
	b.exec("UPDATE `tabBackground Job` SET max_retries = 0 WHERE name = ?", name)
	b.retry(name)
	b.waitJob(id, rqcompat.StatusFailed)
	if exc := b.lastExc(id); !strings.Contains(exc, "JobTimeoutException") {
		t.Errorf("exc %q", exc)
	}
}

func TestHandlerThatIgnoresItsContextIsAbandoned(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"cancel_grace": 0.3})
	release := make(chan struct{})
	r := b.start(func(e *Engine) {
		Register(e, "sample_handler", func(context.Context, *Job[any]) (any, error) {
			<-release
			return "late", nil
		})
	})
	b.exec("UPDATE `tabJob Type` SET handler_method = 'sample_handler', type_name = name WHERE name = 'echo_job'")
	b.exec("INSERT INTO `tabJob Type` (name, creation, modified, owner, modified_by, type_name, is_enabled, default_timeout, max_retries, handler_method) VALUES ('stubborn', NOW(6), NOW(6), 'Administrator', 'Administrator', 'stubborn', 1, 60, 5, 'sample_handler')")
	name := b.submit("stubborn", nil)
	b.waitRow(name, rows.StatusRunning)
	if _, err := b.client().RQ().SendStop(t.Context(), b.bench.JobID(testSite, name)); err != nil {
		t.Fatal(err)
	}
	b.waitRow(name, rows.StatusCanceled)
	if got := strings.Join(b.history(name), "\n"); !strings.Contains(got, "abandoned") {
		t.Errorf("history doesn't say that it was abandoned:\n%s", got)
	}
	if n := r.Stats().Abandoned; n != 1 {
		t.Errorf("%d abandoned handlers, want 1", n)
	}
	close(release)
	b.eventually("slot is free again", func() bool { return r.Stats() == (Stats{}) }, func() string { return "" })
	if row := b.row(name); row.Status != rows.StatusCanceled {
		t.Errorf("a late result changed the row: %+v", row)
	}
}

func TestStopGivesRunningJobsBack(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"stop_timeout": 0.2})
	first := b.start(nil)
	name := b.submit("long_running_job", map[string]any{"duration": 1.5})
	b.waitRow(name, rows.StatusRunning)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	row := b.row(name)
	if row.Status != rows.StatusQueued || row.RetryCount != 0 {
		t.Errorf("after the stop: %+v", row)
	}
	job, err := b.client().RQ().Fetch(t.Context(), b.bench.JobID(testSite, name))
	if err != nil || job.Status != rqcompat.StatusQueued {
		t.Errorf("after the stop: %+v, %v", job, err)
	}
	if ws, err := b.client().RQ().Workers(t.Context()); err != nil || len(ws) != 0 {
		t.Errorf("worker records after the stop: %v, %v", ws, err)
	}
	b.start(nil)
	b.waitRow(name, rows.StatusCompleted)
	if got, want := b.path(name), "Pending Queued Running Failed Queued Running Completed"; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
}

func TestUnknownMethodOnAnOwnQueueFailsAndStaysRequeueable(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.start(nil)
	id := b.enqueue("no.such.method", nil)
	b.waitJob(id, rqcompat.StatusFailed)
	if exc := b.lastExc(id); !strings.Contains(exc, `no handler for "no.such.method"`) {
		t.Errorf("exc %q", exc)
	}
	if err := b.client().RQ().Requeue(t.Context(), id, false); err != nil {
		t.Errorf("requeue: %v", err)
	}
}

func TestSharedQueueLeavesPythonsJobsInPlace(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	var ran atomic.Int64
	b.start(func(e *Engine) {
		Register(e, "go.count", func(context.Context, *Job[any]) (any, error) { ran.Add(1); return nil, nil })
	})
	var python []string
	for range 5 {
		for _, method := range []string{"erpnext.tasks.nightly", "go.count"} {
			job, err := b.client().Enqueue(t.Context(), EnqueueRequest{Site: testSite, Method: method, Queue: "default"})
			if err != nil {
				t.Fatal(err)
			}
			if method != "go.count" {
				python = append(python, job.ID)
			}
		}
	}
	b.eventually("all Go jobs ran", func() bool { return ran.Load() == 5 }, func() string { return "" })
	left, err := b.client().RQ().QueueIDs(t.Context(), b.bench.QueueName("default"), 0, -1)
	if err != nil || strings.Join(left, " ") != strings.Join(python, " ") {
		t.Errorf("left on the queue %v (%v), want %v", left, err, python)
	}
}

func TestInspectFindsRowAndDeliveryByEitherName(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.start(nil)
	id := b.enqueue("echo_job", map[string]any{"organization": "ORG-A"})
	b.waitJob(id, rqcompat.StatusFinished)
	byID, err := b.client().Inspect(t.Context(), testSite, id)
	if err != nil || byID.Row == nil || byID.Job == nil || len(byID.History) != 4 || len(byID.Results) != 1 {
		t.Fatalf("by RQ id: %+v, %v", byID, err)
	}
	byName, err := b.client().Inspect(t.Context(), testSite, byID.Row.Name)
	if err != nil || byName.Job == nil || byName.Job.ID != id {
		t.Errorf("by row: %+v, %v", byName, err)
	}
	if _, err := b.client().Inspect(t.Context(), testSite, "JOB-1999-1"); !errors.Is(err, rows.ErrNoSuchJob) {
		t.Errorf("error %v, want ErrNoSuchJob", err)
	}
}

func TestJobsOfASuspendedOrganizationAreHeld(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.exec("UPDATE tabOrganization SET status = 'Inactive' WHERE name = 'ORG-A'")
	b.start(nil)
	held := b.submit("echo_job", map[string]any{"x": 1})
	id := b.enqueue("echo_job", map[string]any{"organization": "ORG-B"})
	b.waitJob(id, rqcompat.StatusFinished)
	if row := b.row(held); row.Status != rows.StatusQueued {
		t.Errorf("job of a suspended organization: %+v", row)
	}
	b.exec("UPDATE tabOrganization SET status = 'Active' WHERE name = 'ORG-A'")
	b.waitRow(held, rows.StatusCompleted)
}

// TestSuspensionHoldsWhatWaitsAlready: jobs of a long queue are routed long
// before their turn comes.
func TestSuspensionHoldsWhatWaitsAlready(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 1})
	c := newCounter()
	b.countTypes()
	b.start(c.register)
	first := b.submit("holds", nil)
	b.waitRow(first, rows.StatusRunning)
	held := b.submit("echo_job", nil)
	time.Sleep(200 * time.Millisecond)
	b.exec("UPDATE tabOrganization SET status = 'Inactive' WHERE name = 'ORG-A'")
	time.Sleep(3200 * time.Millisecond) // what is known of an organization may be 3 s old
	close(c.open)
	b.waitRow(first, rows.StatusCompleted)
	id := b.enqueue("echo_job", map[string]any{"organization": "ORG-B"})
	b.waitJob(id, rqcompat.StatusFinished)
	if row := b.row(held); row.Status != rows.StatusQueued {
		t.Errorf("job of a suspended organization: %+v", row)
	}
	b.exec("UPDATE tabOrganization SET status = 'Active' WHERE name = 'ORG-A'")
	b.waitRow(held, rows.StatusCompleted)
	if got, want := b.path(held), "Pending Queued Running Completed"; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
}
