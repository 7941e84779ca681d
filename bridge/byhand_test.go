package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// insert is what Frappe writes for an insert of user's: columns that nobody gave a value have the DocType's default.
func (b *bed) insert(name, user, jobType, parameters string, set map[string]any) {
	b.t.Helper()
	values := map[string]any{
		"name": name, "owner": user, "modified_by": user, "owner_user": user, "job_type": jobType, "organization": "ORG-A", "status": "Pending",
		"input_parameters": parameters, "priority": "Normal", "timeout_seconds": 300, "max_retries": 5,
	}
	for column, value := range set {
		values[column] = value
	}
	columns, marks, args := []string{"creation", "modified"}, []string{"?", "?"}, []any{b.now(), b.now()}
	for column, value := range values {
		columns, marks, args = append(columns, "`"+column+"`"), append(marks, "?"), append(args, value)
	}
	b.exec("INSERT INTO `tabBackground Job` ("+strings.Join(columns, ",")+") VALUES ("+strings.Join(marks, ",")+")", args...)
}

// now is how Frappe writes the present moment.
func (b *bed) now() string { return b.db.Now().Format("2006-01-02 15:04:05.000000") }

// save is what Frappe writes for a save of user's.
func (b *bed) save(name, user, set string, args ...any) {
	b.t.Helper()
	b.exec("UPDATE `tabBackground Job` SET modified=?, modified_by=?, "+set+" WHERE name=?", append(append([]any{b.now(), user}, args...), name)...)
}

// tell is what Frappe publishes after the commit of an insert or save.
func (b *bed) tell(name string) {
	b.t.Helper()
	for event, room := range map[string]string{"doc_update": "doc:Background Job/" + name, "list_update": "doctype:Background Job"} {
		text, err := json.MarshalIndent(map[string]any{
			"event": event, "message": map[string]any{"doctype": "Background Job", "name": name}, "namespace": testSite, "room": room,
		}, "", " ")
		if err != nil {
			b.t.Fatal(err)
		}
		if err := b.rdb.Publish(b.t.Context(), "events", text).Err(); err != nil {
			b.t.Fatal(err)
		}
	}
}

// hears waits until somebody listens to what is told.
func (b *bed) hears() {
	b.t.Helper()
	b.eventually("a bridge listens", func() bool { return b.rdb.PubSubNumSub(b.t.Context(), "events").Val()["events"] > 0 }, func() string { return "" })
}

// TestWhoeverInsertsARowSubmits a job, of whatever they leave out; each runs once, however many bridges hear of it.
func TestWhoeverInsertsARowSubmits(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	c := newCounter()
	b.start(c.register)
	b.start(c.register)
	b.hears()
	const n = 60
	names := make([]string, n)
	for i := range n {
		names[i] = fmt.Sprintf("JOB-HAND-%05d", i)
		b.insert(names[i], "jane@example.com", "count", fmt.Sprintf(`{"n": %d}`, i), nil)
		b.tell(names[i])
	}
	for _, name := range names {
		b.waitRow(name, rows.StatusCompleted)
		if got := c.of(b.bench.JobID(testSite, name)); got != 1 {
			t.Errorf("%s ran %d times, want once", name, got)
		}
	}
	row := b.row(names[0])
	if row.CreatedAt.IsZero() || row.OwnerUser != "jane@example.com" || row.RetryCount != 0 {
		t.Errorf("row %+v", row)
	}
	want := []string{">Pending Job created", "Pending>Queued Job enqueued", "Queued>Running Worker started execution", "Running>Completed Job completed successfully"}
	if got := b.history(names[0]); !slices.Equal(got, want) {
		t.Errorf("history %q, want %q", got, want)
	}
}

// TestASubmissionIsStartedAtOnce, which it owes to being told: a look comes once in seconds.
func TestASubmissionIsStartedAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	started := make(chan time.Time, 1)
	b.countTypes()
	b.start(func(e *Engine) {
		Register(e, "count", func(context.Context, *Job[any]) (any, error) {
			started <- time.Now()
			return nil, nil
		})
	})
	b.hears()
	var took []time.Duration
	for i := range 30 {
		name := fmt.Sprint("JOB-", i)
		b.insert(name, "jane@example.com", "count", "{}", nil)
		begin := time.Now()
		b.tell(name)
		took = append(took, (<-started).Sub(begin))
		b.waitRow(name, rows.StatusCompleted)
	}
	slices.Sort(took)
	t.Logf("median %s, longest %s", took[len(took)/2], took[len(took)-1])
	if median := took[len(took)/2]; median > 2*time.Second { // what half of those that are found by a look have waited
		t.Errorf("half of the submissions start after more than %s; who is told starts them at once", median)
	}
}

// TestRowsThatNobodyTellsOf: of an import, of SQL, while Redis was away; also with events that are nonsense.
func TestRowsThatNobodyTellsOf(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.start(nil)
	b.hears()
	for _, nonsense := range []string{"", "{", "[]", `{"event":"doc_update","message":{"doctype":"Background Job","name":"JOB-1"},"namespace":"no.such.site"}`,
		`{"event":"doc_update","message":{"doctype":"Background Job","name":` + `"` + strings.Repeat("x", 1000) + `"},"namespace":"` + testSite + `"}`,
		`{"event":"doc_update","message":{"doctype":"Background Job","name":"\u0000\ud800"},"namespace":"` + testSite + `"}`} {
		b.rdb.Publish(t.Context(), "events", nonsense)
	}
	for i := range 50 {
		b.insert(fmt.Sprint("JOB-", i), "jane@example.com", "echo_job", "{}", nil)
	}
	name := b.submit("sample_job", map[string]any{"duration": 60})
	b.waitRow(name, rows.StatusRunning)
	b.save(name, "jane@example.com", "status='Canceled'")
	for i := range 50 {
		b.waitRow(fmt.Sprint("JOB-", i), rows.StatusCompleted)
	}
	b.eventually("the cancel is found", func() bool { return b.row(name).CanceledBy != "" }, func() string { return fmt.Sprint(b.history(name)) })
}

// TestCancelByHand ends the handler's context at once, and takes what waits off its queue.
func TestCancelByHand(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 1})
	b.countTypes()
	ended := make(chan error, 1)
	b.start(func(e *Engine) {
		Register(e, "count", func(ctx context.Context, _ *Job[any]) (any, error) {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil, ctx.Err()
		})
	})
	b.hears()
	running := b.submit("count", nil)
	b.waitRow(running, rows.StatusRunning)
	waiting := b.submit("count", nil)
	b.save(waiting, "jane@example.com", "status='Canceled'")
	b.tell(waiting)
	b.waitJob(b.bench.JobID(testSite, waiting), rqcompat.StatusCanceled)
	begin := time.Now()
	b.save(running, "jane@example.com", "status='Canceled'")
	b.tell(running)
	if cause := <-ended; cause != job.ErrCanceled {
		t.Errorf("the handler's context ended because of %v", cause)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it ended after %s", took)
	}
	for _, name := range []string{running, waiting} {
		b.eventually("it is canceled", func() bool { return !b.row(name).CanceledAt.IsZero() }, func() string { return fmt.Sprint(b.history(name)) })
		row, history := b.row(name), b.history(name)
		if row.CanceledBy != "jane@example.com" || !strings.HasSuffix(history[len(history)-1], ">Canceled Job canceled by jane@example.com") {
			t.Errorf("%s was canceled by %q; history %q", name, row.CanceledBy, history)
		}
	}
}

// TestRetryByHand is a new series, with the parameters that the row has by then.
func TestRetryByHand(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.start(nil)
	b.hears()
	fails := `{"duration": 0, "fail_type": "permanent"}`
	b.insert("JOB-1", "jane@example.com", "sample_job", fails, nil)
	b.tell("JOB-1")
	arrived := b.enqueue("sample_job", map[string]any{"organization": "ORG-A", "duration": 0, "fail_type": "permanent"})
	b.waitJob(arrived, rqcompat.StatusFailed)
	var second string
	if err := b.sql.Get(&second, "SELECT name FROM `tabBackground Job` WHERE name<>'JOB-1'"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"JOB-1", second} {
		b.waitRow(name, rows.StatusDeadLetter)
		b.save(name, "jane@example.com", "status='Queued', input_parameters=?", `{"duration": 0}`)
		b.tell(name)
		row := b.waitRow(name, rows.StatusCompleted)
		if row.ErrorMessage != "" || !slices.Contains(b.history(name), "Dead Letter>Queued Job retried by jane@example.com") {
			t.Errorf("%s: error %q, history %q", name, row.ErrorMessage, b.history(name))
		}
	}
	b.waitJob(arrived, rqcompat.StatusFinished)
}

// TestOtherChangesAreUndone, whoever made them; a job that runs meanwhile goes on and ends as it would have.
func TestOtherChangesAreUndone(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	release := make(chan struct{})
	b.start(func(e *Engine) {
		Register(e, "count", func(context.Context, *Job[any]) (any, error) {
			<-release
			return nil, nil
		})
	})
	b.hears()
	name := b.submit("count", nil)
	b.waitRow(name, rows.StatusRunning)
	started := b.row(name).StartedRaw
	undone := func(was rows.Status, set string, message string) {
		t.Helper()
		b.save(name, "jane@example.com", set)
		b.tell(name)
		b.eventually("it is undone", func() bool {
			h := b.history(name)
			return strings.HasSuffix(h[len(h)-1], message)
		}, func() string { return fmt.Sprint(b.history(name)) })
		if row := b.row(name); row.Status != was || row.StartedRaw != started {
			t.Errorf("after %s it is %s since %s, want %s since %s", set, row.Status, row.StartedRaw, was, started)
		}
	}
	for _, to := range []string{"Completed", "Queued", "Failed", "Pending", "Dead Letter"} {
		undone(rows.StatusRunning, "status='"+to+"', started_at=NULL", "Undone: jane@example.com had set the status from Running to "+to)
	}
	undone(rows.StatusRunning, "started_at='2026-01-01 00:00:00'", "Undone: jane@example.com had changed started_at")
	close(release)
	b.waitRow(name, rows.StatusCompleted)
	undone(rows.StatusCompleted, "status='Queued'", "Undone: jane@example.com had set the status from Completed to Queued")
	undone(rows.StatusCompleted, "status='Running'", "Undone: jane@example.com had set the status from Completed to Running")
	b.insert("JOB-1", "jane@example.com", "count", "{}", map[string]any{"status": "Completed"})
	b.tell("JOB-1")
	if row := b.waitRow("JOB-1", rows.StatusDeadLetter); !strings.Contains(row.ErrorMessage, "it was inserted as Completed by jane@example.com") {
		t.Errorf("a row inserted as Completed: %q", row.ErrorMessage)
	}
}

// TestSubmissionsThatAreRefused say why, in the row and its log, and what runs with bad parameters too.
func TestSubmissionsThatAreRefused(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.addUser("eve@example.com")
	b.exec("UPDATE `tabJob Type` SET requires_permission='Invoice' WHERE name='sample_job'") // and nobody has any right here
	b.start(nil)
	b.hears()
	for i, tc := range []struct {
		user, jobType, parameters string
		set                       map[string]any
		why                       string
	}{
		{"jane@example.com", "none", "{}", nil, `no such Job Type: "none"`},
		{"jane@example.com", "echo_job", "{}", map[string]any{"organization": "ORG-X"}, "no such organization"},
		{"eve@example.com", "echo_job", "{}", nil, "eve@example.com doesn't belong to organization ORG-A"},
		{"eve@example.com", "echo_job", "{}", map[string]any{"owner_user": "jane@example.com"}, "eve@example.com inserted it for jane@example.com"},
		{"jane@example.com", "sample_job", "{}", nil, "jane@example.com may not create Invoice, which sample_job requires"},
		{"jane@example.com", "echo_job", "[1]", nil, "input_parameters is not a JSON object"},
		{"jane@example.com", "echo_job", `["` + strings.Repeat("x", 100_000) + `"]`, nil, "input_parameters is not a JSON object"},
	} {
		name := fmt.Sprint("JOB-", i)
		b.insert(name, tc.user, tc.jobType, tc.parameters, tc.set)
		b.tell(name)
		if row := b.waitRow(name, rows.StatusDeadLetter); !strings.Contains(row.ErrorMessage, tc.why) {
			t.Errorf("%s is refused because %q, want %q", name, row.ErrorMessage, tc.why)
		}
	}
	large := `{"text": "` + strings.Repeat("x", 100_000) + `"}`
	b.insert("JOB-LARGE", "jane@example.com", "echo_job", large, nil)
	b.tell("JOB-LARGE")
	b.waitRow("JOB-LARGE", rows.StatusCompleted)
}

// TestWhatWasDoneWhileNoBridgeRan is found by the next one.
func TestWhatWasDoneWhileNoBridgeRan(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	name := b.submit("echo_job", nil)
	b.save(name, "jane@example.com", "status='Canceled'")
	b.insert("JOB-1", "jane@example.com", "echo_job", "{}", nil)
	b.start(nil)
	b.waitRow("JOB-1", rows.StatusCompleted)
	b.eventually("the cancel is found", func() bool { return b.row(name).CanceledBy == "jane@example.com" }, func() string { return fmt.Sprint(b.history(name)) })
}

// TestADeletedRowIsNobodys: one that is gone before it is read, or while it is moved.
func TestADeletedRowIsNobodys(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.start(nil)
	b.hears()
	for range 20 {
		b.insert("JOB-1", "jane@example.com", "echo_job", "{}", nil)
		b.tell("JOB-1")
		b.exec("DELETE FROM `tabBackground Job` WHERE name='JOB-1'")
	}
	b.insert("JOB-2", "jane@example.com", "echo_job", "{}", nil)
	b.tell("JOB-2")
	b.waitRow("JOB-2", rows.StatusCompleted)
}

// TestWhatAHandlerComesToCounts: also where somebody wrote another end into the row meanwhile, and nobody told of it.
func TestWhatAHandlerComesToCounts(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	release := make(chan struct{})
	b.start(func(e *Engine) {
		Register(e, "count", func(context.Context, *Job[any]) (any, error) {
			<-release
			return nil, Permanent(fmt.Errorf("boom"))
		})
	})
	name := b.submit("count", nil)
	b.waitRow(name, rows.StatusRunning)
	b.save(name, "jane@example.com", "status='Completed'")
	close(release)
	b.waitRow(name, rows.StatusDeadLetter)
	b.waitJob(b.bench.JobID(testSite, name), rqcompat.StatusFailed)
	if h := b.history(name); h[len(h)-1] != "Running>Dead Letter Job failed: boom; undone: jane@example.com had set the status to Completed" {
		t.Errorf("history %q", h)
	}
}

// TestCancelOfARowThatWasJustInserted: no bridge has seen it yet, and its log begins with its creation all the same.
func TestCancelOfARowThatWasJustInserted(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.insert("JOB-1", "jane@example.com", "echo_job", "{}", nil)
	if _, err := b.client().Cancel(t.Context(), testSite, "JOB-1", "jane@example.com"); err != nil {
		t.Fatal(err)
	}
	if path := b.path("JOB-1"); path != "Pending Canceled" {
		t.Errorf("its log says %s, want Pending Canceled", path)
	}
	b.checkLogIsLegal()
}
