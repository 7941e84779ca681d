package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// local is an instant as somebody writes it into a document of the site.
func (b *bed) local(t time.Time) string {
	return t.In(b.db.Location()).Format("2006-01-02 15:04:05.000000")
}

// startTimes is a handler that tells when each job started.
type startTimes struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (c *startTimes) register(e *Engine) {
	c.at = map[string]time.Time{}
	Register(e, "count", func(_ context.Context, job *Job[any]) (any, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.at[job.Name] = time.Now()
		return nil, nil
	})
}

func (c *startTimes) of(name string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at[name]
}

// TestADocumentRunsAfterItsTime: it waits without a delivery and says for what; what is written into it meanwhile counts.
func TestADocumentRunsAfterItsTime(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	c := &startTimes{}
	b.start(c.register)
	b.hears()
	at := time.Now().Add(8 * time.Second) // so long a busy machine may need to say what they wait for
	for name, after := range map[string]time.Time{"JOB-PAST": time.Now().Add(-time.Hour), "JOB-SOON": at, "JOB-SOONER": at.Add(time.Hour), "JOB-LATER": at, "JOB-CANCELED": at} {
		b.insert(name, "jane@example.com", "count", "{}", map[string]any{"run_after": b.local(after)})
		b.tell(name)
	}
	b.waitRow("JOB-PAST", rows.StatusCompleted)
	b.eventually("the rows wait", func() bool {
		return b.row("JOB-SOONER").WaitingFor != "" && b.row("JOB-LATER").WaitingFor != "" && b.row("JOB-CANCELED").WaitingFor != ""
	},
		func() string { return fmt.Sprintf("%+v", b.row("JOB-SOONER")) })
	if row := b.row("JOB-LATER"); row.Status != rows.StatusPending || !strings.HasPrefix(row.WaitingFor, "it is to run at "+at.In(b.db.Location()).Format("2006-01-02 15:04")) {
		t.Errorf("until then the row is %s and says %q", row.Status, row.WaitingFor)
	}
	b.save("JOB-SOONER", "jane@example.com", "run_after=?", b.local(at))
	b.tell("JOB-SOONER")
	b.save("JOB-LATER", "jane@example.com", "run_after=?", b.local(at.Add(time.Hour)))
	b.tell("JOB-LATER")
	b.save("JOB-CANCELED", "jane@example.com", "status='Canceled'")
	b.tell("JOB-CANCELED")
	for _, name := range []string{"JOB-SOON", "JOB-SOONER"} {
		b.waitRow(name, rows.StatusCompleted)
		if late := c.of(name).Sub(at); late < 0 || late > 3*time.Second {
			t.Errorf("%s started %s after its time", name, late)
		}
		want := []string{">Pending Job created", "Pending>Queued Job enqueued", "Queued>Running Worker started execution", "Running>Completed Job completed successfully"}
		if got := b.history(name); !slices.Equal(got, want) {
			t.Errorf("history of %s: %q, want %q", name, got, want)
		}
	}
	if row := b.row("JOB-LATER"); row.Status != rows.StatusPending || !c.of("JOB-LATER").IsZero() {
		t.Errorf("a row that was put off is %s", row.Status)
	}
	if row := b.row("JOB-CANCELED"); row.Status != rows.StatusCanceled || !c.of("JOB-CANCELED").IsZero() {
		t.Errorf("a row that was canceled is %s", row.Status)
	}
	// Redis loses its data: the text tells.
	if err := b.rdb.Del(t.Context(), "rq:bridge:due", "rq:bridge:due:"+testSite).Err(); err != nil {
		t.Fatal(err)
	}
	b.exec("UPDATE `tabBackground Job` SET run_after=? WHERE name='JOB-LATER'", b.local(time.Now().Add(6*time.Second))) // in SQL: nobody tells
	b.waitRow("JOB-LATER", rows.StatusCompleted)
}

// TestRunAfterInAnHourThatComesTwice: what was submitted for an instant runs then, whatever the row's text may mean.
func TestRunAfterInAnHourThatComesTwice(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	change := time.Now().Add(30 * time.Minute).Truncate(time.Second) // it is the first of the two hours; read as a text it is the second
	file := filepath.Join(os.Getenv("ZONEINFO"), "Test", "twice")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, servertest.ZoneFile(change, 2*time.Hour, time.Hour), 0o600)); err != nil {
		t.Fatal(err)
	}
	b.zone("Test/twice")
	c := &startTimes{}
	b.start(c.register)
	at := time.Now().Add(3 * time.Second)
	name := b.submitAfter(at)
	b.waitRow(name, rows.StatusCompleted)
	if late := c.of(name).Sub(at); late < 0 || late > 3*time.Second {
		t.Errorf("it started %s after its time", late)
	}
}

// submitAfter submits a job that is to run at an instant.
func (b *bed) submitAfter(at time.Time) string {
	b.t.Helper()
	row, err := b.client().Submit(b.t.Context(), SubmitRequest{Site: testSite, JobType: "count", Organization: "ORG-A", RunAfter: at})
	if err != nil {
		b.t.Fatal(err)
	}
	if now := time.Now(); now.Before(at) && (row.Status != rows.StatusPending || !strings.HasPrefix(row.WaitingFor, "it is to run at ")) {
		b.t.Errorf("a job that is to run in %s is %s and waits for %q", at.Sub(now), row.Status, row.WaitingFor)
	}
	return row.Name
}

// TestSnoozedJobs run again after their pause, as often as they like, without spending a retry; each attempt is the first.
func TestSnoozedJobs(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	b.cfg.RetryIntervals = []time.Duration{time.Hour}
	var mu sync.Mutex
	calls, ends := map[string][]time.Time{}, map[string][]string{}
	b.start(func(e *Engine) {
		snoozes := func(_ context.Context, job *Job[any]) (any, error) {
			mu.Lock()
			defer mu.Unlock()
			calls[job.ID] = append(calls[job.ID], time.Now())
			if job.Attempt != 1 {
				t.Errorf("attempt %d of a job that has only been snoozed", job.Attempt)
			}
			if len(calls[job.ID]) < 4 {
				return nil, fmt.Errorf("nothing to do yet: %w", Snooze(700*time.Millisecond))
			}
			return "done", nil
		}
		Register(e, "count", snoozes)
		Register(e, "go.plain", snoozes)
		e.OnEnd(func(end End) {
			mu.Lock()
			defer mu.Unlock()
			ends[end.ID] = append(ends[end.ID], fmt.Sprint(end.Outcome, end.Err))
		})
	})
	row, err := b.client().Submit(t.Context(), SubmitRequest{Site: testSite, JobType: "count", Organization: "ORG-A"})
	if err != nil {
		t.Fatal(err)
	}
	b.exec("UPDATE `tabBackground Job` SET max_retries=0 WHERE name=?", row.Name)
	plain := b.enqueue("go.plain", nil)
	b.waitRow(row.Name, rows.StatusFailed)
	waiting := b.row(row.Name)
	b.waitRow(row.Name, rows.StatusCompleted)
	b.waitJob(plain, rqcompat.StatusFinished)
	if waiting.ErrorMessage != "" || !strings.HasPrefix(waiting.WaitingFor, "snoozed by its handler, to run again at ") {
		t.Errorf("between its calls the row says %q and %q", waiting.WaitingFor, waiting.ErrorMessage)
	}
	if row := b.row(row.Name); row.RetryCount != 0 || row.ErrorMessage != "" || row.WaitingFor != "" {
		t.Errorf("afterwards %d retries are spent, the error is %q, it waits for %q", row.RetryCount, row.ErrorMessage, row.WaitingFor)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, id := range []string{b.bench.JobID(testSite, row.Name), plain} {
		if len(calls[id]) != 4 || !slices.Equal(ends[id], []string{"snoozed<nil>", "snoozed<nil>", "snoozed<nil>", "finished<nil>"}) {
			t.Errorf("%s was called %d times and ended %v", id, len(calls[id]), ends[id])
		}
		for i, at := range calls[id][1:] {
			if pause := at.Sub(calls[id][i]); pause < 700*time.Millisecond || pause > 5*time.Second {
				t.Errorf("%s: %s between two calls, want 700ms", id, pause)
			}
		}
	}
}
