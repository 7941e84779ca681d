package bridge

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// frappeEnqueues does what frappe.enqueue(method, queue="go", job_id=id, **kwargs) does in a session of user's: it asks
// nobody, and writes over whatever job has the id.
func (b *bed) frappeEnqueues(user, id, method string, kwargs map[string]any) string {
	b.t.Helper()
	arguments := envelope(testSite, method, kwargs)
	arguments["user"] = user
	return b.raw("go", b.bench.JobID(testSite, id), call(b.t, frappe.ExecuteJob, arguments), nil)
}

// rowsOf lists the rows of an organization.
func (b *bed) rowsOf(organization string) []*rows.BackgroundJob {
	b.t.Helper()
	found, _, err := b.db.ListJobs(b.t.Context(), rows.ListFilter{Organization: organization, Limit: 100})
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

// count counts what a query finds.
func (b *bed) count(query string, args ...any) (n int) {
	b.t.Helper()
	if err := b.sql.GetContext(b.t.Context(), &n, query, args...); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// echoes register a handler that tells what it ran, for the Job Type "echoes".
func (b *bed) echoes() (ran chan string, register func(*Engine)) {
	b.exec("INSERT INTO `tabJob Type` (name, creation, modified, owner, modified_by, type_name, is_enabled, default_timeout, max_retries, handler_method) VALUES ('echoes', NOW(6), NOW(6), 'Administrator', 'Administrator', 'echoes', 1, 77, 5, 'go.echoes')")
	ran = make(chan string, 100)
	return ran, func(e *Engine) {
		Register(e, "go.echoes", func(_ context.Context, job *Job[struct {
			Text string `json:"text"`
			Fail bool   `json:"fail"`
		}]) (any, error) {
			ran <- fmt.Sprintf("%s %s %s", job.Organization, job.Name, job.Params.Text)
			if job.Params.Fail {
				return nil, fmt.Errorf("not yet")
			}
			return nil, nil
		})
	}
}

// TestOneIDOfTwoEnqueueings: a fixed job_id is Frappe's usual way against duplicates, and each site's own to choose. What
// bears it anew is another job, of whoever enqueued it.
func TestOneIDOfTwoEnqueueings(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"retry": map[string]any{"base": 3600}})
	ran, register := b.echoes()
	b.start(register)
	id := b.frappeEnqueues("jane@example.com", "nightly", "go.echoes", map[string]any{"organization": "ORG-A", "text": "first", "fail": true})
	first := <-ran
	b.waitJob(id, rqcompat.StatusScheduled)
	older := b.rowsOf("ORG-A")[0]

	b.frappeEnqueues("jane@example.com", "nightly", "go.echoes", map[string]any{"organization": "ORG-B", "text": "second"})
	b.waitJob(id, rqcompat.StatusFinished)
	second := <-ran
	if !strings.HasPrefix(first, "ORG-A "+older.Name) || !strings.HasPrefix(second, "ORG-B ") || strings.Contains(second, older.Name) {
		t.Errorf("ran %q, then %q, want the second for ORG-B, in a row of its own", first, second)
	}
	if of := b.rowsOf("ORG-B"); len(of) != 1 || of[0].Status != rows.StatusCompleted || !strings.Contains(string(of[0].InputParameters), "second") {
		t.Errorf("rows of ORG-B: %+v, want the second job's, completed", of)
	}
	if row := b.row(older.Name); row.Status != rows.StatusFailed || row.RetryCount != 0 {
		t.Errorf("the first job's row is %s after %d retries, want it to wait for its first", row.Status, row.RetryCount)
	}

	// The first one's retry doesn't need the hash that it has lost.
	b.mendEchoes(older.Name)
	if got := <-ran; got != "ORG-A "+older.Name+" mended" {
		t.Errorf("the retry ran %q, want the first job in its row", got)
	}
	b.waitRow(older.Name, rows.StatusCompleted)

	// The same tenant's second run, after the first is complete.
	b.frappeEnqueues("jane@example.com", "nightly", "go.echoes", map[string]any{"organization": "ORG-B", "text": "third"})
	if third := <-ran; !strings.HasSuffix(third, " third") {
		t.Errorf("ran %q, want the third", third)
	}
	b.eventually("the third job has a row", func() bool {
		return b.count("SELECT COUNT(*) FROM `tabBackground Job` WHERE organization = 'ORG-B' AND status = 'Completed'") == 2
	}, func() string { return fmt.Sprint(len(b.rowsOf("ORG-B"))) })
}

// mendEchoes corrects the parameters of a row that fails, and retries it by hand.
func (b *bed) mendEchoes(name string) {
	b.t.Helper()
	b.exec("UPDATE `tabBackground Job` SET input_parameters = '{\"text\": \"mended\"}' WHERE name = ?", name)
	b.retry(name)
}

// TestCancelLeavesTheNextOfThatID: a row that is canceled takes its own deliveries off the queues, and no other job.
func TestCancelLeavesTheNextOfThatID(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"retry": map[string]any{"base": 3600}})
	ran, register := b.echoes()
	engine := b.start(register)
	id := b.frappeEnqueues("jane@example.com", "nightly", "go.echoes", map[string]any{"organization": "ORG-A", "fail": true})
	<-ran
	b.waitJob(id, rqcompat.StatusScheduled)
	if err := engine.stop(); err != nil {
		t.Fatal(err)
	}
	older := b.rowsOf("ORG-A")[0].Name
	b.frappeEnqueues("jane@example.com", "nightly", "go.echoes", map[string]any{"organization": "ORG-B", "text": "next"})
	b.retry(older)
	own := b.waitJob(b.bench.JobID(testSite, older), rqcompat.StatusQueued)
	if _, err := b.client().Cancel(t.Context(), testSite, older, ""); err != nil {
		t.Fatal(err)
	}
	b.waitJob(own.ID, rqcompat.StatusCanceled)
	if job, err := b.client().RQ().Fetch(t.Context(), id); err != nil || job.Status != rqcompat.StatusQueued {
		t.Errorf("the next job of that id is %+v, %v, want it to wait", job, err)
	}
	if in, err := b.client().Inspect(t.Context(), testSite, older); err != nil || in.Row.Name != older || in.Job == nil || in.Job.ID != own.ID {
		t.Errorf("of the row is told %+v, %v, want its own delivery", in, err)
	}
	if in, err := b.client().Inspect(t.Context(), testSite, "nightly"); err != nil || in.Row != nil || in.Job == nil {
		t.Errorf("of the id is told %+v, %v, want the job that has no row yet", in, err)
	}
	b.start(register)
	if got := <-ran; !strings.HasPrefix(got, "ORG-B ") || !strings.HasSuffix(got, " next") {
		t.Errorf("ran %q, want the next job", got)
	}
}

// TestATakenIDKeepsNoRow: anybody may give a job the name that a row will have, and put it off for years.
func TestATakenIDKeepsNoRow(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.start(nil)
	name := fmt.Sprintf("JOB-%s-00001", b.db.Now().Format("2006"))
	squatter, err := b.client().Enqueue(t.Context(), EnqueueRequest{
		Site: testSite, Method: "echo_job", Queue: "go", User: "jane@example.com", ID: name, At: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.submit("echo_job", nil); got != name {
		t.Fatalf("the row is %s, want %s", got, name)
	}
	b.waitRow(name, rows.StatusCompleted)
	b.waitJob(squatter.ID, rqcompat.StatusScheduled)
	if in, err := b.client().Inspect(t.Context(), testSite, name); err != nil || in.Job == nil || in.Job.ID == squatter.ID {
		t.Errorf("the row's delivery is told to be %+v, %v", in.Job, err)
	}
}
