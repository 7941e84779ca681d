package bridge

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// restartBench gives engines started from now on a bench of their own, which
// has nothing of the site in its caches.
func (b *bed) restartBench() { b.cfg.Bench = b.openBench() }

const insertRow = "INSERT INTO `tabBackground Job` (name, creation, modified, owner, modified_by, job_type, organization, owner_user, status, priority, input_parameters, timeout_seconds, max_retries, retry_count)" +
	" VALUES (?, NOW(6), NOW(6), 'jane@example.com', 'jane@example.com', 'sample_job', 'ORG-A', 'jane@example.com', 'Queued', 'Normal', '{\"duration\": 0}', 60, 5, 0)"

func TestRowThatIsCommittedLater(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.start(registerFine)
	tx, err := b.sql.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), insertRow, "JOB-LATE"); err != nil {
		t.Fatal(err)
	}
	id := b.enqueue(frappe.Executor, map[string]any{"background_job_id": "JOB-LATE"})
	b.waitJob(b.enqueue("go.fine", nil), rqcompat.StatusFinished) // others go on
	time.Sleep(time.Second)
	if job, err := b.client().RQ().Fetch(t.Context(), id); err != nil || job.Status != rqcompat.StatusQueued {
		t.Errorf("before the commit: %+v, %v", job, err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	b.waitJob(id, rqcompat.StatusFinished)
	b.waitRow("JOB-LATE", rows.StatusCompleted)
}

func TestRowThatNeverComes(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"row_grace": 1})
	b.start(registerFine)
	own := b.enqueue(frappe.Executor, map[string]any{"background_job_id": "JOB-NEVER"})
	shared, err := b.client().Enqueue(t.Context(), EnqueueRequest{Site: testSite, Method: frappe.Executor, Kwargs: map[string]any{"job_id": "JOB-NEVER"}})
	if err != nil {
		t.Fatal(err)
	}
	b.waitJob(b.enqueue("go.fine", nil), rqcompat.StatusFinished)
	if job, err := b.client().RQ().Fetch(t.Context(), own); err != nil || job.Status != rqcompat.StatusQueued {
		t.Errorf("within the grace period: %+v, %v", job, err)
	}
	b.waitJob(own, rqcompat.StatusFailed)
	if exc := b.lastExc(own); !strings.Contains(exc, `no Background Job "JOB-NEVER"`) || !strings.Contains(exc, "rolled back?") {
		t.Errorf("exc %q", exc)
	}
	if job, err := b.client().RQ().Fetch(t.Context(), shared.ID); err != nil || job.Status != rqcompat.StatusQueued {
		t.Errorf("on the shared queue: %+v, %v", job, err)
	}
	// Made good and requeued, it runs.
	b.exec(insertRow, "JOB-NEVER")
	if err := b.client().RQ().Requeue(t.Context(), own, false); err != nil {
		t.Fatal(err)
	}
	b.waitRow("JOB-NEVER", rows.StatusCompleted)
}

func TestRowsThatMustNotStart(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, organization, jobType, spoil, want string }{
		{"job type disabled", "ORG-A", "sample_job", "UPDATE `tabJob Type` SET is_enabled = 0 WHERE name = 'sample_job'", `Job Type "sample_job" is disabled`},
		{"job type gone", "ORG-A", "echo_job", "DELETE FROM `tabJob Type` WHERE name = 'echo_job'", `Job Type "echo_job" no longer exists`},
		{"organization gone", "ORG-B", "long_running_job", "DELETE FROM `tabOrganization` WHERE name = 'ORG-B'", "Organization not found: ORG-B"},
		{"organization dissolved", "ORG-A", "long_running_job", "UPDATE `tabOrganization` SET status = 'Dissolved' WHERE name = 'ORG-A'", "Organization not found: ORG-A"},
	}
	b := newBed(t, nil)
	names := make([]string, len(tests))
	for i, tc := range tests {
		row, err := b.client().Submit(t.Context(), SubmitRequest{Site: testSite, JobType: tc.jobType, Organization: tc.organization, Parameters: map[string]any{"duration": 0}})
		if err != nil {
			t.Fatal(err)
		}
		names[i] = row.Name
	}
	for _, tc := range tests {
		b.exec(tc.spoil)
	}
	b.restartBench()
	b.start(nil)
	for i, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			row := b.waitRow(names[i], rows.StatusDeadLetter)
			if row.ErrorMessage != tc.want || row.ErrorType != string(ErrorPermanent) || row.CompletedAt.IsZero() {
				t.Errorf("row %+v, want the error %q", row, tc.want)
			}
			if got := b.path(names[i]); got != "Pending Queued Dead Letter" {
				t.Errorf("path %s", got)
			}
			id := b.bench.JobID(testSite, names[i])
			b.waitJob(id, rqcompat.StatusFailed)
			if exc := b.lastExc(id); !strings.Contains(exc, tc.want) {
				t.Errorf("exc %q", exc)
			}
		})
	}
}

func TestParametersThatDoNotFit(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.exec("UPDATE `tabJob Type` SET name = 'greet', type_name = 'greet', handler_method = 'go.greet' WHERE name = 'echo_job'")
	b.start(func(e *Engine) {
		for _, name := range []JobType[greeting]{"go.greet", "go.plainly"} {
			Register(e, name, func(_ context.Context, job *Job[greeting]) (any, error) { return job.Params.Name, nil })
		}
	})
	for name, params := range map[string]any{
		"text for a number": map[string]any{"count": "three"},
		"object for a text": map[string]any{"name": map[string]any{"first": "Ada"}},
		"fraction for int":  map[string]any{"count": 1.5},
		"too big for int":   map[string]any{"count": 1e30},
	} {
		id := b.enqueue("go.plainly", params.(map[string]any))
		b.waitJob(id, rqcompat.StatusFailed)
		if exc := b.lastExc(id); !strings.Contains(exc, `parameters of "go.plainly" don't fit its handler`) || strings.Contains(exc, "three") || strings.Contains(exc, "Ada") {
			t.Errorf("%s: exc %q", name, exc)
		}
	}
	// JSON texts that are no object, as a row may hold them.
	name := b.submit("greet", nil)
	b.waitRow(name, rows.StatusCompleted)
	for _, text := range []string{`[1, 2]`, `"text"`, `17`, ``, `null`} {
		b.exec("UPDATE `tabBackground Job` SET status = 'Dead Letter', input_parameters = NULLIF(?, '') WHERE name = ?", text, name)
		if _, err := b.client().Retry(t.Context(), testSite, name, ""); err != nil {
			t.Fatal(err)
		}
		want := rows.StatusDeadLetter
		if text == "" || text == "null" {
			want = rows.StatusCompleted // no parameters: the defaults
		}
		b.waitRow(name, want)
	}
}

func TestTextsThatAreTooLongOrBroken(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	var fail atomic.Bool
	long := strings.Repeat("ä", 300)
	b.start(func(e *Engine) {
		Register(e, "go.chatty", func(ctx context.Context, job *Job[any]) (any, error) {
			job.Progress(50, long)
			wait.Sleep(ctx, 1200*time.Millisecond) // one report on its way, one that is settled
			job.Progress(60, "\xff\x00 broken "+long)
			job.SetOutput("/files/" + long)
			if fail.Load() {
				return nil, Permanent(errors.New("\xff\x00 broken\n" + strings.Repeat("x", 100_000)))
			}
			return "\xff", nil
		})
	})
	b.exec("UPDATE `tabJob Type` SET handler_method = 'go.chatty', type_name = 'chatty', name = 'chatty' WHERE name = 'echo_job'")
	id := b.enqueue("go.chatty", map[string]any{"organization": "ORG-A"})
	b.waitJob(id, rqcompat.StatusFinished)
	row, err := b.db.NewestByHash(t.Context(), sites.ArrivalsHash(id))
	if err != nil || row.Status != rows.StatusCompleted {
		t.Fatalf("row %+v, %v", row, err)
	}
	for field, text := range map[string]string{"progress_message": row.ProgressMessage, "output_reference": row.OutputReference} {
		if utf8.RuneCountInString(text) != 140 || !utf8.ValidString(text) || !strings.HasSuffix(text, "…") {
			t.Errorf("%s is %q (%d characters), want 140 that end in …", field, text, utf8.RuneCountInString(text))
		}
	}
	fail.Store(true)
	id = b.enqueue("go.chatty", map[string]any{"organization": "ORG-A"})
	b.waitJob(id, rqcompat.StatusFailed)
	row, err = b.db.NewestByHash(t.Context(), sites.ArrivalsHash(id))
	if err != nil || row.Status != rows.StatusDeadLetter || !strings.Contains(row.ErrorMessage, "broken") {
		t.Errorf("row %+v, %v", row, err)
	}
	if exc := b.lastExc(id); !utf8.ValidString(exc) {
		t.Errorf("RQ's error text is no UTF-8, which no Python tool can read")
	}
}

func TestRowThatIsDeletedWhileItsJobRuns(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.start(nil)
	name := b.submit("sample_job", map[string]any{"duration": 1})
	b.waitRow(name, rows.StatusRunning)
	b.exec("DELETE FROM `tabBackground Job` WHERE name = ?", name)
	b.waitJob(b.bench.JobID(testSite, name), rqcompat.StatusFinished)
	b.wantNothingRunning()
}
