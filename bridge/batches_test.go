package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

func (b *bed) batch(name string) *rows.Batch {
	b.t.Helper()
	got, err := b.client().Batch(b.t.Context(), testSite, name)
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

// waitBatch waits until a batch has ended.
func (b *bed) waitBatch(name, status string) *rows.Batch {
	b.t.Helper()
	var got *rows.Batch
	b.eventually("batch "+name+" becomes "+status, func() bool {
		got = b.batch(name)
		return !got.Open() && got.Status == status
	}, func() string { return fmt.Sprintf("%+v", got) })
	return got
}

func requests(jobType string, n int) []SubmitRequest {
	all := make([]SubmitRequest, n)
	for i := range all {
		all[i].JobType = jobType
	}
	return all
}

// TestABatch counts what ends, and has one callback, of two engines.
func TestABatch(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	b.exec("INSERT INTO `tabJob Type` (name, creation, modified, owner, modified_by, type_name, is_enabled, default_timeout, max_retries) VALUES ('after', NOW(6), NOW(6), 'Administrator', 'Administrator', 'after', 1, 60, 5)")
	g := new(gates)
	told := make(chan map[string]any, 10)
	register := func(e *Engine) {
		g.register(e)
		Register(e, "after", func(_ context.Context, job *Job[map[string]any]) (any, error) {
			told <- job.Params
			return nil, nil
		})
	}
	b.start(register)
	b.start(register)
	r := BatchRequest{Site: testSite, Organization: "ORG-A", User: "jane@example.com", Title: "Invoices", Jobs: append(requests("count", 3), requests("no_such_type", 1)...),
		Callback: &SubmitRequest{JobType: "after", Parameters: map[string]any{"year": 2026}}}
	batch, errs, err := b.client().SubmitBatch(t.Context(), r)
	if err != nil || errs[0] != nil || !errors.Is(errs[3], ErrNoSuchJobType) || batch.Total != 3 || !batch.Closed {
		t.Fatalf("%+v, %v, %v", batch, errs, err)
	}
	var jobs []string
	if err := b.sql.Select(&jobs, "SELECT name FROM `tabBackground Job` WHERE batch=? ORDER BY name", batch.Name); err != nil || len(jobs) != 3 {
		t.Fatal(jobs, err)
	}
	g.of(jobs[0]) <- nil
	b.eventually("one is counted", func() bool { return b.batch(batch.Name).Done == 1 }, func() string { return fmt.Sprintf("%+v", b.batch(batch.Name)) })
	if got := b.batch(batch.Name); got.Total != 3 || got.Failed != 0 || int(got.Progress) != 33 || !got.Open() {
		t.Errorf("after one of three: %+v", got)
	}
	g.of(jobs[1]) <- Permanent(errors.New("no more"))
	g.of(jobs[2]) <- nil
	ended := b.waitBatch(batch.Name, rows.BatchFailed)
	if ended.Done != 2 || ended.Failed != 1 || ended.Progress != 100 || ended.CallbackJob == "" || ended.ErrorMessage != "" {
		t.Errorf("ended: %+v", ended)
	}
	b.waitRow(ended.CallbackJob, rows.StatusCompleted)
	got, _ := json.Marshal(<-told)
	if want := `{"batch":{"done":2,"failed":1,"name":"` + batch.Name + `","status":"Failed","total":3},"year":2026}`; string(got) != want {
		t.Errorf("the callback is told %s, want %s", got, want)
	}
	time.Sleep(5 * time.Second) // the sweep comes by
	if len(told) > 0 {
		t.Error("there are two callbacks")
	}
	if _, err := b.client().Submit(t.Context(), SubmitRequest{Site: testSite, JobType: "count", Organization: "ORG-A", Batch: batch.Name}); !errors.Is(err, rows.ErrBatch) {
		t.Errorf("a job for a closed batch: %v", err)
	}
}

// TestABatchByDocument: people insert it and its jobs, close it, or cancel it; a foreign batch is one that doesn't exist.
func TestABatchByDocument(t *testing.T) {
	t.Parallel()
	b, g := newGatedBed(t)
	open, _, err := b.client().SubmitBatch(t.Context(), BatchRequest{Site: testSite, Organization: "ORG-A", User: "jane@example.com", Open: true,
		Callback: &SubmitRequest{JobType: "count"}})
	if err != nil {
		t.Fatal(err)
	}
	foreign, _, err := b.client().SubmitBatch(t.Context(), BatchRequest{Site: testSite, Organization: "ORG-B", Open: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		name := fmt.Sprint("JOB-HAND-", i)
		b.insert(name, "jane@example.com", "count", "{}", map[string]any{"batch": open.Name})
		b.tell(name)
		b.waitRow(name, rows.StatusRunning)
	}
	for name, in := range map[string]string{"JOB-HAND-8": foreign.Name, "JOB-HAND-9": "BATCH-1"} {
		b.insert(name, "jane@example.com", "count", "{}", map[string]any{"batch": in})
		b.tell(name)
		if row := b.waitRow(name, rows.StatusDeadLetter); !strings.Contains(row.ErrorMessage, "batch "+in+" doesn't exist") {
			t.Errorf("in a foreign batch, or none: %q", row.ErrorMessage)
		}
		_, err := b.client().Submit(t.Context(), SubmitRequest{Site: testSite, JobType: "count", Organization: "ORG-A", Batch: in})
		if !errors.Is(err, rows.ErrBatch) || !strings.Contains(err.Error(), "batch "+in+" doesn't exist") {
			t.Errorf("submitted into a foreign batch, or none: %v", err)
		}
	}
	g.of("JOB-HAND-0") <- nil
	b.waitRow("JOB-HAND-0", rows.StatusCompleted)
	b.exec("UPDATE `tabBackground Job Batch` SET status='Completed' WHERE name=?", open.Name)
	b.eventually("it isn't believed", func() bool {
		got := b.batch(open.Name)
		return got.Status == rows.BatchRunning && got.Done == 1 && got.Total == 3
	},
		func() string { return fmt.Sprintf("%+v", b.batch(open.Name)) })
	b.exec("UPDATE `tabBackground Job Batch` SET status='Canceled', modified_by='jane@example.com' WHERE name=?", open.Name)
	for _, name := range []string{"JOB-HAND-1", "JOB-HAND-2"} {
		b.waitRow(name, rows.StatusCanceled)
		if h := b.history(name); !strings.HasSuffix(h[len(h)-1], "Job canceled by jane@example.com: its batch "+open.Name+" was canceled") {
			t.Errorf("%s: %q", name, h)
		}
	}
	if got := b.waitBatch(open.Name, rows.BatchCanceled); got.Done != 1 || got.Failed != 2 || got.CallbackJob != "" {
		t.Errorf("canceled: %+v", got)
	}
	if got := b.batch(foreign.Name); got.Total != 0 || !got.Open() {
		t.Errorf("the foreign batch: %+v", got)
	}
	if closed, err := b.client().CloseBatch(t.Context(), testSite, foreign.Name, ""); !closed || err != nil {
		t.Errorf("%v, %v", closed, err)
	}
	b.waitBatch(foreign.Name, rows.BatchCompleted) // without any job
}

// TestABatchWhoseEndNobodySaw: its jobs ended while no engine looked, and another engine had submitted the callback and died.
func TestABatchWhoseEndNobodySaw(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	batch, _, err := b.client().SubmitBatch(t.Context(), BatchRequest{Site: testSite, Organization: "ORG-A", User: "jane@example.com", Jobs: requests("count", 250),
		Callback: &SubmitRequest{JobType: "count"}})
	if err != nil || batch.Total != 250 {
		t.Fatalf("%+v, %v", batch, err)
	}
	b.exec("UPDATE `tabBackground Job` SET status='Completed', modified=? WHERE batch=?", b.now(), batch.Name)
	b.exec("UPDATE `tabJob Execution Log` SET to_status='Completed' WHERE to_status='Queued'")
	first, err := b.client().Submit(t.Context(), SubmitRequest{Site: testSite, JobType: "count", Organization: "ORG-A", User: "jane@example.com", Key: "batch " + batch.Name})
	if err != nil {
		t.Fatal(err)
	}
	c := newCounter()
	b.start(c.register)
	ended := b.waitBatch(batch.Name, rows.BatchCompleted)
	if ended.CallbackJob != first.Name || ended.Done != 250 {
		t.Errorf("ended %+v, want the callback %s", ended, first.Name)
	}
	b.waitRow(first.Name, rows.StatusCompleted)
	if got := c.of(b.bench.JobID(testSite, first.Name)); got != 1 {
		t.Errorf("the callback ran %d times", got)
	}
}

// TestACallbackThatIsRefused is said by the batch, which ends all the same.
func TestACallbackThatIsRefused(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	batch, _, err := b.client().SubmitBatch(t.Context(), BatchRequest{Site: testSite, Organization: "ORG-A", User: "jane@example.com", Jobs: requests("count", 2),
		Callback: &SubmitRequest{JobType: "holds"}})
	if err != nil {
		t.Fatal(err)
	}
	b.exec("UPDATE `tabJob Type` SET is_enabled=0 WHERE name='holds'")
	c := newCounter()
	b.start(c.register)
	if got := b.waitBatch(batch.Name, rows.BatchCompleted); got.CallbackJob != "" || !strings.Contains(got.ErrorMessage, "the Job Type is disabled") {
		t.Errorf("%+v", got)
	}
}
