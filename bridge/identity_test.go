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
	b.addGoTypes(77, "echoes")
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

// TestAnotherOrganizationsNameIsRefused: whoever can enqueue writes any organization into the arguments of a call.
func TestAnotherOrganizationsNameIsRefused(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"row_grace": 0.3, "shared_queues": []string{"short"}})
	b.addMember("anna@example.com", "ORG-A")
	b.addMember("omar@example.com", "ORG-B")
	ran, register := b.echoes()
	refused := b.frappeEnqueues("anna@example.com", "refused", "go.echoes", map[string]any{"organization": "ORG-B"})
	plural := envelope(testSite, "go.echoes", map[string]any{"organization": "ORG-B"})
	plural["user"] = "anna@example.com"
	shared := b.raw("short", b.bench.JobID(testSite, "shared"), call(t, frappe.ExecuteJob, plural), nil)
	b.start(register)
	for _, id := range []string{refused, shared} {
		b.waitJob(id, rqcompat.StatusFailed)
		if exc := b.lastExc(id); !strings.Contains(exc, "bridge.PermissionError: anna@example.com doesn't belong to organization ORG-B") {
			t.Errorf("%s is refused with %q", id, exc)
		}
	}
	if n := b.count("SELECT COUNT(*) FROM `tabBackground Job`"); n != 0 || len(ran) > 0 {
		t.Errorf("%d rows were made, %d jobs ran", n, len(ran))
	}
	own := b.frappeEnqueues("anna@example.com", "own", "go.echoes", map[string]any{"organization": "ORG-A"})
	b.waitJob(own, rqcompat.StatusFinished)
	anybody := b.frappeEnqueues("jane@example.com", "anybody", "go.echoes", map[string]any{"organization": "ORG-B"})
	b.waitJob(anybody, rqcompat.StatusFinished)
}

// TestWhoeverEnqueuesIsTrusted where the configuration says so.
func TestWhoeverEnqueuesIsTrusted(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"row_grace": 0.3, "trust_enqueuer": true})
	b.addMember("anna@example.com", "ORG-A")
	ran, register := b.echoes()
	b.start(register)
	b.waitJob(b.frappeEnqueues("anna@example.com", "x", "go.echoes", map[string]any{"organization": "org-b "}), rqcompat.StatusFinished)
	if got := <-ran; !strings.HasPrefix(got, "ORG-B ") {
		t.Errorf("ran %q, want it for ORG-B", got)
	}
	unknown := b.frappeEnqueues("anna@example.com", "y", "go.echoes", map[string]any{"organization": "ORG-X"})
	b.waitJob(unknown, rqcompat.StatusFailed)
}

// TestNamesAreTheDatabases: its collation takes case and spaces at the end for the same, so a spelling is no other tenant.
// What doesn't exist gets no row.
func TestNamesAreTheDatabases(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"row_grace": 0.3})
	b.addMember("anna@example.com", "ORG-A")
	ran, register := b.echoes()
	var spelled, unknown []string
	for i, organization := range []string{"org-a", "ORG-A ", "Org-A   ", "ORG-A"} {
		spelled = append(spelled, b.frappeEnqueues("Anna@Example.com ", fmt.Sprint("spelled-", i), "go.echoes", map[string]any{"organization": organization}))
	}
	for i, organization := range []any{"ORG-X", " ORG-A", strings.Repeat("x", 141), "ORG-A" + strings.Repeat(" ", 1<<20), "\x00", "", 7, map[string]any{"a": 1}} {
		unknown = append(unknown, b.frappeEnqueues("anna@example.com", fmt.Sprint("unknown-", i), "go.echoes", map[string]any{"organization": organization}))
	}
	b.start(register)
	for _, id := range spelled {
		b.waitJob(id, rqcompat.StatusFinished)
		if got := <-ran; !strings.HasPrefix(got, "ORG-A ") {
			t.Errorf("%s ran for %q", id, got)
		}
	}
	for _, id := range unknown {
		b.waitJob(id, rqcompat.StatusFailed)
		if exc := b.lastExc(id); !strings.Contains(exc, "bridge.OrganizationError: ") || len(exc) > 2000 {
			t.Errorf("%s fails with %.2000q", id, exc)
		}
	}
	if n, all := b.count("SELECT COUNT(*) FROM `tabBackground Job` WHERE BINARY organization = 'ORG-A' AND BINARY owner_user = 'anna@example.com'"),
		b.count("SELECT COUNT(*) FROM `tabBackground Job`"); n != len(spelled) || all != n {
		t.Errorf("%d rows, %d of them with the names as the database has them, want %d", all, n, len(spelled))
	}
}

// TestSpellingsTakeOneTurn: an organization that is spelled in many ways, and names that nobody has, must not make the turns
// of another one rare.
func TestSpellingsTakeOneTurn(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"row_grace": 0.001, "concurrency": 1})
	b.addMember("anna@example.com", "ORG-A")
	b.addMember("omar@example.com", "ORG-B")
	ran, register := b.echoes()
	for i := range 60 {
		organization := "ORG-A" + strings.Repeat(" ", i)
		if i%2 == 1 {
			organization = fmt.Sprint("ORG-X", i)
		}
		b.frappeEnqueues("anna@example.com", fmt.Sprint("attack-", i), "go.echoes", map[string]any{"organization": organization, "text": "attack"})
	}
	for i := range 5 {
		b.frappeEnqueues("omar@example.com", fmt.Sprint("fair-", i), "go.echoes", map[string]any{"organization": "ORG-B", "text": "fair"})
	}
	b.start(register)
	for before, fair := 0, 0; fair < 5; {
		switch got := <-ran; {
		case strings.HasSuffix(got, " fair"):
			fair++
		default:
			before++
		}
		if before > 7 {
			t.Fatalf("%d jobs of ORG-A ran, %d of 5 of ORG-B, want turns", before, fair)
		}
	}
}

// TestARowIsNotEverybodysToStart: whoever names the row of an organization that he doesn't belong to neither starts it nor
// spends its retries, and leaves it as it is.
func TestARowIsNotEverybodysToStart(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"row_grace": 0.3, "retry": map[string]any{"base": 3600}})
	b.addMember("anna@example.com", "ORG-A")
	b.addMember("omar@example.com", "ORG-B")
	ran, register := b.echoes()
	b.start(register)
	id := b.frappeEnqueues("anna@example.com", "first", "go.echoes", map[string]any{"organization": "ORG-A", "fail": true})
	<-ran
	b.waitJob(id, rqcompat.StatusScheduled)
	name := b.rowsOf("ORG-A")[0].Name
	for user, says := range map[string]string{"omar@example.com": "omar@example.com doesn't belong to organization ORG-A", "nobody@example.com": "User not found"} {
		// Under any id, and under that of the row's own delivery.
		for _, as := range []string{user, name} {
			foreign := b.frappeEnqueues(user, as, frappe.Executor, map[string]any{"background_job_id": strings.ToLower(name) + " "})
			b.waitJob(foreign, rqcompat.StatusFailed)
			if exc := b.lastExc(foreign); !strings.Contains(exc, "bridge.PermissionError: "+says) {
				t.Errorf("%s is refused with %q", foreign, exc)
			}
		}
	}
	// A member's is not refused; but the retry isn't due.
	early := b.frappeEnqueues("anna@example.com", "early", frappe.Executor, map[string]any{"background_job_id": name})
	b.waitJob(early, rqcompat.StatusFinished)
	if row := b.row(name); row.Status != rows.StatusFailed || row.RetryCount != 0 || len(ran) > 0 {
		t.Errorf("the row is %s after %d retries, and %d jobs ran; want it to wait for its first", row.Status, row.RetryCount, len(ran))
	}
	// The row's own delivery, which its retry by hand makes, is not kept by the jobs that bear its id.
	b.mendEchoes(name)
	b.waitRow(name, rows.StatusCompleted)
}

// TestWhoTakesTheIDOfAWaitingJob takes its place, as in RQ, and never runs as the other, whose result he would get.
func TestWhoTakesTheIDOfAWaitingJob(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"concurrency": 1})
	ran, register := b.echoes()
	goOn := make(chan struct{})
	engine := b.start(func(e *Engine) {
		register(e)
		Register(e, "go.holds", func(context.Context, *Job[any]) (any, error) {
			<-goOn
			return nil, nil
		})
	})
	b.waitJob(b.frappeEnqueues("jane@example.com", "holds", "go.holds", nil), rqcompat.StatusStarted)
	id := b.frappeEnqueues("jane@example.com", "nightly", "go.echoes", map[string]any{"organization": "ORG-A", "text": "first"})
	b.eventually("the job waits for a slot", func() bool { return engine.Stats().Waiting == 1 }, func() string { return fmt.Sprintf("%+v", engine.Stats()) })
	b.frappeEnqueues("jane@example.com", "nightly", "go.echoes", map[string]any{"organization": "ORG-B", "text": "second"})
	close(goOn)
	if got := <-ran; !strings.HasPrefix(got, "ORG-B ") || !strings.HasSuffix(got, " second") {
		t.Errorf("ran %q, want the job that has the id now", got)
	}
	b.waitJob(id, rqcompat.StatusFinished)
	if rows := b.rowsOf("ORG-A"); len(rows) > 0 {
		t.Errorf("the job that lost its id has the row %+v", rows[0])
	}
}
