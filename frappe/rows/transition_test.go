package rows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newJob(status Status) NewJob {
	return NewJob{JobType: "echo_job", Organization: "ORG-2026-00001", OwnerUser: "jane@example.com", Status: status, MaxRetries: 5, TimeoutSeconds: 300}
}

func newJobs(t testing.TB, d *DB, n int, status Status) []*BackgroundJob {
	t.Helper()
	js := make([]NewJob, n)
	for i := range js {
		js[i] = newJob(status)
	}
	jobs, err := d.CreateJobs(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

func start(name string, at time.Time) Transition {
	return Transition{Name: name, From: StatusQueued, To: StatusRunning, StartedAt: at, Message: "Worker started execution"}
}

// fence is what the row of an attempt that began at t has.
func fence(d *DB, t time.Time) string { return formatTime(t, d.Location()) }

// move performs one transition that must be tried.
func transit(t testing.TB, d *DB, tr Transition) TransitionResult {
	t.Helper()
	results, err := d.Transition(t.Context(), []Transition{tr})
	if err != nil {
		t.Fatal(err)
	}
	return results[0]
}

func row(t testing.TB, d *DB, name string) *BackgroundJob {
	t.Helper()
	j, err := d.BackgroundJob(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func history(t testing.TB, d *DB, name string) []string {
	t.Helper()
	entries, err := d.History(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range entries {
		lines = append(lines, fmt.Sprintf("%s>%s %s %d %s", e.FromStatus, e.ToStatus, e.Actor, e.RetryAttempt, e.Message))
	}
	return lines
}

func TestTransitionsOfALife(t *testing.T) {
	for _, major := range []int{15, 16} {
		t.Run(fmt.Sprint("frappe", major), func(t *testing.T) {
			_, d := installed(t, major)
			j := newJobs(t, d, 1, StatusQueued)[0]
			if diff := cmp.Diff(j, row(t, d, j.Name)); diff != "" {
				t.Errorf("what CreateJobs returned and what is in the table differ:\n%s", diff)
			}
			started := d.Now()
			r := transit(t, d, start(j.Name, started))
			if !r.Applied || r.Current != StatusRunning {
				t.Fatalf("start: %+v", r)
			}
			got := row(t, d, j.Name)
			if !got.StartedAt.Equal(started) || got.Status != StatusRunning || got.ModifiedRaw != r.Modified || got.StartedRaw != r.StartedRaw || got.ModifiedRaw == j.ModifiedRaw {
				t.Errorf("started row: %+v", got)
			}
			done := d.Now()
			r = transit(t, d, Transition{Name: j.Name, From: StatusRunning, To: StatusCompleted, Fence: fence(d, started), Actor: "joe@example.com", Message: "Job completed successfully",
				Set: []Value{Job.Progress.To(100), Job.OutputReference.To("/files/x.pdf"), Job.CompletedAt.To(done), Job.ProgressMessage.To("")}})
			if !r.Applied {
				t.Fatalf("complete: %+v", r)
			}
			got = row(t, d, j.Name)
			if got.Progress != 100 || got.OutputReference != "/files/x.pdf" || !got.CompletedAt.Equal(done) || got.Status != StatusCompleted {
				t.Errorf("completed row: %+v", got)
			}
			want := []string{">Pending jane@example.com 0 Job created", "Pending>Queued jane@example.com 0 Job enqueued",
				"Queued>Running  0 Worker started execution", "Running>Completed joe@example.com 0 Job completed successfully"}
			if diff := cmp.Diff(want, history(t, d, j.Name)); diff != "" {
				t.Error(diff)
			}
			var by, organization string
			if err := d.x.Get(&by, "SELECT modified_by FROM `tabBackground Job`"); err != nil || by != "joe@example.com" {
				t.Errorf("modified_by = %q, %v, want who completed it", by, err)
			}
			if err := d.x.Get(&organization, "SELECT DISTINCT organization FROM `tabJob Execution Log`"); err != nil || organization != j.Organization {
				t.Errorf("organization of the log = %q, %v", organization, err)
			}
		})
	}
}

func TestTransitionLosers(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 3, StatusQueued)
	started := d.Now()
	transit(t, d, start(jobs[0].Name, started))
	results, err := d.Transition(t.Context(), []Transition{
		start(jobs[0].Name, started.Add(time.Second)),                                                                   // somebody else was first
		{Name: jobs[0].Name, From: StatusRunning, To: StatusCompleted, Fence: fence(d, started.Add(-time.Microsecond))}, // a frozen worker wakes up
		start("JOB-0000-00000", started),                                                                                // no such row
		start(jobs[1].Name, started),
		{Name: strings.ToLower(jobs[2].Name), From: StatusQueued, To: StatusCanceled, Actor: "x@example.com"}, // the table compares so
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []TransitionResult{{Current: StatusRunning}, {Current: StatusRunning, Fenced: true}, {Missing: true}, {Applied: true, Current: StatusRunning}, {Applied: true, Current: StatusCanceled}} {
		got := results[i]
		got.Modified, got.StartedRaw = "", ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("result %d: %s", i, diff)
		}
	}
	if got := row(t, d, jobs[0].Name); got.Status != StatusRunning || !got.StartedAt.Equal(started) {
		t.Errorf("the losers changed the row: %+v", got)
	}
	if got := history(t, d, jobs[0].Name); len(got) != 3 {
		t.Errorf("the losers left log rows: %q", got)
	}
	if r := transit(t, d, Transition{Name: jobs[0].Name, From: StatusRunning, To: StatusCanceled, Actor: "Administrator"}); !r.Applied {
		t.Errorf("an unfenced cancel: %+v", r)
	}
}

func TestTransitionGivenBack(t *testing.T) {
	_, d := installed(t, testMajor)
	name := newJobs(t, d, 1, StatusQueued)[0].Name
	started := d.Now()
	transit(t, d, start(name, started))
	r := transit(t, d, Transition{Name: name, From: StatusRunning, Via: StatusFailed, ViaMessage: "Worker stopped", To: StatusQueued, Message: "Given back", Fence: fence(d, started),
		Set: []Value{Job.StartedAt.To(time.Time{})}})
	if !r.Applied || r.Current != StatusQueued {
		t.Fatalf("%+v", r)
	}
	if got := row(t, d, name); !got.StartedAt.IsZero() {
		t.Errorf("started_at = %v", got.StartedAt)
	}
	want := []string{"Running>Failed  0 Worker stopped", "Failed>Queued  0 Given back"}
	if diff := cmp.Diff(want, history(t, d, name)[3:]); diff != "" {
		t.Error(diff)
	}
}

// Two moves of one row in one call are made in their order.
func TestTransitionSameRowTwice(t *testing.T) {
	_, d := installed(t, testMajor)
	name := newJobs(t, d, 1, StatusQueued)[0].Name
	at := d.Now()
	retry := at.Add(time.Minute)
	results, err := d.Transition(t.Context(), []Transition{
		start(name, at),
		{Name: name, From: StatusRunning, To: StatusFailed, Fence: fence(d, at), Set: []Value{Job.RetryCount.To(1), Job.NextRetryAt.To(retry)}},
		{Name: name, From: StatusFailed, To: StatusQueued, Set: []Value{Job.NextRetryAt.To(time.Time{})}},
		start(name, at.Add(time.Second)),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if !r.Applied {
			t.Errorf("move %d: %+v", i, r)
		}
	}
	got := row(t, d, name)
	if got.Status != StatusRunning || got.RetryCount != 1 || !got.NextRetryAt.IsZero() || !got.StartedAt.Equal(at.Add(time.Second)) {
		t.Errorf("%+v", got)
	}
	if lines := history(t, d, name); len(lines) != 6 || !strings.HasSuffix(lines[5], "1 Worker started execution") {
		t.Errorf("%q", lines)
	}
}

// Moves of one call that write equally many columns, but others, are written apart.
func TestTransitionOfDifferentColumns(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 3, StatusQueued)
	results, err := d.Transition(t.Context(), []Transition{
		{Name: jobs[0].Name, From: StatusQueued, To: StatusFailed, Set: []Value{Job.ErrorMessage.To("error")}},
		{Name: jobs[1].Name, From: StatusQueued, To: StatusFailed, Set: []Value{Job.OutputReference.To("output")}},
		{Name: jobs[2].Name, From: StatusQueued, To: StatusFailed, Set: []Value{Job.ProgressMessage.To("progress")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][3]string{{"error", "", ""}, {"", "output", ""}, {"", "", "progress"}} {
		j := row(t, d, jobs[i].Name)
		if got := [3]string{j.ErrorMessage, j.OutputReference, j.ProgressMessage}; !results[i].Applied || got != want {
			t.Errorf("move %d, applied %v: error, output and progress are %q, want %q", i, results[i].Applied, got, want)
		}
	}
}

func TestTransitionCutsLongText(t *testing.T) {
	_, d := installed(t, testMajor)
	var log strings.Builder
	d.log = slog.New(slog.NewTextHandler(&log, nil))
	name := newJobs(t, d, 1, StatusQueued)[0].Name
	at := d.Now()
	transit(t, d, start(name, at))
	r := transit(t, d, Transition{Name: name, From: StatusRunning, To: StatusFailed, Fence: fence(d, at), Message: strings.Repeat("ß", 40000), Set: []Value{
		Job.ProgressMessage.To(strings.Repeat("ü", 300)), Job.OutputReference.To(strings.Repeat("x", 140)), Job.ErrorMessage.To(strings.Repeat("日", 30000)),
		Job.ErrorType.To("Tran\xffsient")}})
	if !r.Applied || r.Err != nil {
		t.Fatalf("%+v", r)
	}
	if diff := cmp.Diff([]string{"error_message", "progress_message"}, r.Cut); diff != "" {
		t.Error(diff)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "job_id="+name) || !strings.Contains(text, "error_message progress_message") {
		t.Errorf("the cut is told so:\n%s", text)
	}
	got := row(t, d, name)
	if want := strings.Repeat("ü", 139) + "…"; got.ProgressMessage != want {
		t.Errorf("progress_message = %q", got.ProgressMessage)
	}
	if len(got.OutputReference) != 140 || got.ErrorType != "Tran\uFFFDsient" {
		t.Errorf("output_reference %d bytes, error_type %q", len(got.OutputReference), got.ErrorType)
	}
	if n := len(got.ErrorMessage); n > 65535 || n < 65530 || !strings.HasSuffix(got.ErrorMessage, "日…") {
		t.Errorf("error_message has %d bytes", n)
	}
}

// One move that can't be made must not take the others with it.
func TestTransitionBadOneHarmsNoOther(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 3, StatusQueued)
	mustExec(t, d, "ALTER TABLE `tabBackground Job` ADD CONSTRAINT refuse CHECK (canceled_by <> 'nobody')")
	at := d.Now()
	var ts []Transition
	for _, j := range jobs {
		ts = append(ts, start(j.Name, at))
	}
	ts[1] = Transition{Name: jobs[1].Name, From: StatusQueued, To: StatusCanceled, Set: []Value{Job.CanceledBy.To("nobody")}}
	ts = append(ts, Transition{Name: "x", From: StatusQueued, To: StatusCanceled, Set: []Value{{}}},
		Transition{Name: "x", From: StatusQueued, To: StatusRunning}, Transition{Name: "", From: "a", To: "b"}, Transition{Name: "x", To: StatusQueued},
		Transition{Name: "x", From: StatusQueued, To: StatusRunning, StartedAt: at, Set: []Value{Job.StartedAt.To(at)}})
	results, err := d.Transition(t.Context(), ts)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if good := i == 0 || i == 2; good != r.Applied || good != (r.Err == nil) {
			t.Errorf("result %d: %+v", i, r)
		}
	}
	if got := row(t, d, jobs[1].Name).Status; got != StatusQueued {
		t.Errorf("the bad one is %s", got)
	}
}

// A row that a desk save holds delays itself, not the batch.
func TestTransitionLockedRow(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 20, StatusQueued)
	release := lockRow(t, d, jobs[7].Name)
	at := d.Now()
	var ts []Transition
	for _, j := range jobs {
		ts = append(ts, start(j.Name, at))
	}
	ts = append(ts, start("JOB-0000-00000", at))
	var results []TransitionResult
	done := make(chan error, 1)
	go func() {
		var err error
		results, err = d.Transition(t.Context(), ts)
		done <- err
	}()
	until(t, "the others are Running while one row is locked", func() bool { return row(t, d, jobs[0].Name).Status == StatusRunning })
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, r := range results[:20] {
		if !r.Applied {
			t.Errorf("result %d: %+v", i, r)
		}
	}
	if !results[20].Missing {
		t.Errorf("the missing one: %+v", results[20])
	}
}

// Many writers want the same jobs: each job gets exactly one, and one log row.
func TestTransitionManyWriters(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 60, StatusQueued)
	var won [60]atomic.Int32
	var wg sync.WaitGroup
	for w := range 12 {
		wg.Go(func() {
			at := d.Now()
			for lo := 0; lo < len(jobs); lo += 20 {
				var ts []Transition
				for i := range 20 {
					ts = append(ts, start(jobs[(lo+i*7+w)%60].Name, at))
				}
				results, err := d.Transition(context.Background(), ts)
				if err != nil {
					t.Error(err)
					return
				}
				for i, r := range results {
					if r.Err != nil {
						t.Errorf("%s: %v", ts[i].Name, r.Err)
					}
					if r.Applied {
						won[(lo+i*7+w)%60].Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	for i, j := range jobs {
		n, lines := won[i].Load(), history(t, d, j.Name)
		if n > 1 || len(lines) != 2+int(n) {
			t.Errorf("%s: started %d times, log %q", j.Name, n, lines)
		}
		if n == 1 && row(t, d, j.Name).Status != StatusRunning {
			t.Errorf("%s: not Running", j.Name)
		}
	}
}

// A transaction that MariaDB sacrifices in a deadlock is tried again.
func TestDeadlockIsRetried(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 2, StatusQueued)
	tx, err := d.x.DB.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	lock := func(i int) error {
		_, err := tx.Exec("UPDATE `tabBackground Job` SET job_hash='x' WHERE name=?", jobs[i].Name)
		return err
	}
	if err := lock(1); err != nil {
		t.Fatal(err)
	}
	// The heavier transaction survives a deadlock: make it the other one.
	if _, err := tx.Exec("INSERT INTO `tabJob Execution Log` (name,message) SELECT CONCAT('w',seq),REPEAT('x',100) FROM seq_1_to_500"); err != nil {
		t.Fatal(err)
	}
	attempts := 0
	done := make(chan error, 1)
	first := make(chan struct{}, 10)
	go func() {
		done <- d.retry(context.Background(), "test", func(ctx context.Context) error {
			attempts++
			own, err := d.x.DB.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer own.Rollback()
			if _, err := own.ExecContext(ctx, "UPDATE `tabBackground Job` SET job_hash='y' WHERE name=?", jobs[0].Name); err != nil {
				return err
			}
			first <- struct{}{}
			if _, err := own.ExecContext(ctx, "UPDATE `tabBackground Job` SET job_hash='y' WHERE name=?", jobs[1].Name); err != nil {
				return err
			}
			return own.Commit()
		})
	}()
	<-first
	until(t, "the other transaction waits for the second row", func() bool { return lockWaits(t) > 0 })
	if err := lock(0); err != nil {
		t.Fatalf("the wrong transaction was sacrificed: %v", err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || attempts < 2 {
		t.Errorf("%d attempts, %v", attempts, err)
	}
}

func TestLockWaitEnds(t *testing.T) {
	_, d := installed(t, testMajor)
	name := newJobs(t, d, 1, StatusQueued)[0].Name
	defer lockRow(t, d, name)()
	mustExec(t, d, "SELECT 1")
	begun := time.Now()
	r := transit(t, d, start(name, d.Now()))
	if errorNumber(r.Err) != errLockWaitTimeout || !errors.Is(r.Err, ErrBusy) {
		t.Errorf("%+v, want a lock wait timeout", r)
	}
	if took := time.Since(begun); took < lockWait || took > 4*lockWait {
		t.Errorf("took %v", took)
	}
}

// The Dartwing app's own log has no organization.
func TestLogWithoutOrganization(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, "ALTER TABLE `tabJob Execution Log` DROP COLUMN organization")
	d.tables.tables.Forget()
	name := newJobs(t, d, 1, StatusQueued)[0].Name
	if r := transit(t, d, start(name, d.Now())); !r.Applied {
		t.Errorf("%+v", r)
	}
	if lines := history(t, d, name); len(lines) != 3 {
		t.Errorf("%q", lines)
	}
}

func TestCreateJobs(t *testing.T) {
	_, d := installed(t, testMajor)
	parameters := json.RawMessage(`{"ä": [1, 2.50, "x"]}`)
	n := newJob("")
	n.InputParameters, n.Priority, n.DependsOn, n.JobHash = parameters, PriorityHigh, []string{"job-0"}, "abc"
	mustExec(t, d, "INSERT INTO `tabBackground Job` (name,status,organization) VALUES ('JOB-0','Completed',?)", n.Organization)
	jobs, err := d.CreateJobs(t.Context(), []NewJob{n, newJob(StatusQueued)})
	if err != nil {
		t.Fatal(err)
	}
	year := d.Now().Format("2006")
	for i, j := range jobs {
		if want := fmt.Sprintf("JOB-%s-%05d", year, i+1); j.Name != want {
			t.Errorf("name %q, want %q", j.Name, want)
		}
		if diff := cmp.Diff(j, row(t, d, j.Name)); diff != "" {
			t.Error(diff)
		}
	}
	if jobs[0].Status != StatusPending || string(jobs[0].InputParameters) != string(parameters) || jobs[0].Owner != "jane@example.com" {
		t.Errorf("%+v", jobs[0])
	}
	if diff := cmp.Diff([]string{">Pending jane@example.com 0 Job created"}, history(t, d, jobs[0].Name)); diff != "" {
		t.Error(diff)
	}
}

func TestCreateJobsRefuses(t *testing.T) {
	_, d := installed(t, testMajor)
	for says, change := range map[string]func(*NewJob){
		"not valid JSON":                  func(n *NewJob) { n.InputParameters = json.RawMessage(`{"a": 1,}`) },
		"job_type is empty":               func(n *NewJob) { n.JobType = "" },
		"organization is empty":           func(n *NewJob) { n.Organization = "" },
		"owner_user is empty":             func(n *NewJob) { n.OwnerUser = "" },
		"not as \"Running\"":              func(n *NewJob) { n.Status = StatusRunning },
		"organization has 200 characters": func(n *NewJob) { n.Organization = strings.Repeat("x", 200) },
	} {
		n := newJob(StatusQueued)
		change(&n)
		if _, err := d.CreateJobs(t.Context(), []NewJob{newJob(StatusQueued), n}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if _, total, err := d.ListJobs(t.Context(), ListFilter{}); err != nil || total != 0 {
		t.Errorf("%d rows were left behind, %v", total, err)
	}
	var number int
	if err := d.x.Get(&number, "SELECT current FROM tabSeries"); err != nil || number != 0 {
		t.Errorf("the series stands at %d, %v", number, err)
	}
}

func TestCreateJobsLarge(t *testing.T) {
	_, d := installed(t, testMajor)
	js := make([]NewJob, 5)
	for i := range js {
		js[i] = newJob(StatusQueued)
		js[i].InputParameters = json.RawMessage(`"` + strings.Repeat("x", 5<<20) + `"`)
	}
	if jobs, err := d.CreateJobs(t.Context(), js); err != nil || len(jobs) != 5 {
		t.Errorf("25 MiB of parameters: %v", err)
	}
	jobs := newJobs(t, d, 450, StatusQueued)
	if got, err := d.BackgroundJobs(t.Context(), names(jobs)); err != nil || len(got) != 450 {
		t.Errorf("%d of 450 rows, %v", len(got), err)
	}
}

func names(jobs []*BackgroundJob) []string {
	var list []string
	for _, j := range jobs {
		list = append(list, j.Name)
	}
	return list
}

func TestNoSuchJob(t *testing.T) {
	_, d := installed(t, testMajor)
	if _, err := d.BackgroundJob(t.Context(), "JOB-1"); !errors.Is(err, ErrNoSuchJob) || !strings.Contains(err.Error(), "JOB-1") {
		t.Error(err)
	}
	if _, err := d.FindByHash(t.Context(), "x"); !errors.Is(err, ErrNoSuchJob) {
		t.Error(err)
	}
}

// TestALogRowIsOfTheJobsOwner, whoever made the move: the log's if_owner permission goes by it.
func TestALogRowIsOfTheJobsOwner(t *testing.T) {
	_, d := installed(t, testMajor)
	j := newJobs(t, d, 1, StatusQueued)[0]
	transit(t, d, Transition{Name: j.Name, From: StatusQueued, To: StatusCanceled, Actor: "manager@example.com"})
	got, err := d.Strings(t.Context(), "read the log", "SELECT CONCAT_WS(' ', to_status, owner, modified_by) FROM `tabJob Execution Log` ORDER BY `timestamp`")
	want := []string{
		"Pending " + j.OwnerUser + " " + j.OwnerUser, "Queued " + j.OwnerUser + " " + j.OwnerUser, "Canceled " + j.OwnerUser + " manager@example.com",
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("to, owner, modified_by (-want +got), error %v:\n%s", err, diff)
	}
}
