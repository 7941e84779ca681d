package moves

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

const (
	site  = "a.example.com"
	fence = "2026-03-01 11:00:00.000001" // of a site whose zone is an hour ahead of UTC
)

var (
	started = time.Date(2026, 3, 1, 10, 0, 0, 1000, time.UTC)
	now     = started.Add(time.Minute)
	said    = Said{Percent: 42, Message: "half", Output: "/files/out.txt"}
	errBoom = errors.New("boom\nsecond line")

	all = []rows.Status{
		rows.StatusPending, rows.StatusQueued, rows.StatusRunning, rows.StatusCompleted,
		rows.StatusFailed, rows.StatusTimedOut, rows.StatusDeadLetter, rows.StatusCanceled,
	}
)

func rowIn(s rows.Status) *rows.BackgroundJob {
	return &rows.BackgroundJob{Name: "JOB-1", Status: s, StartedAt: started, StartedRaw: fence, RetryCount: 2, MaxRetries: 5}
}

// set gives the columns that a move writes, by name.
func set(m Move) (names []string) {
	for _, v := range m.Set {
		names = append(names, v.Column())
	}
	slices.Sort(names)
	return names
}

// catalogue has every move, as it is made of a row.
func catalogue(row *rows.BackgroundJob) map[string]Move {
	failure := Failure{Err: errBoom, Kind: job.Transient, Attempt: 3}
	return map[string]Move{
		"Start":       Start(site, row, now, ""),
		"Complete":    Complete(site, row, said, now),
		"Fail":        Fail(site, row, said, failure, now, 90*time.Second),
		"DeadLetter":  DeadLetter(site, row, said, failure, now),
		"Exhausted":   Exhausted(site, row, said, failure, now),
		"Poison":      Poison(site, row, "it did", now),
		"GiveBack":    GiveBack(site, row, "Worker died"),
		"GiveUp":      GiveUp(site, row, now),
		"Cancel":      Cancel(site, row, "jane@example.com", "Job canceled", now),
		"Requeue":     Requeue(site, row, "jane@example.com"),
		"RequeueWith": RequeueWith(site, row, "jane@example.com", []byte(`{"n": 2}`)),
		"RetryDue":    RetryDue(site, row),
		"Create":      Create(site, row),
		"Submit":      Submit(site, row),
		"Refuse":      Refuse(site, row, errBoom, now),
	}
}

// TestWhatEachMoveMayStartFrom holds the path of each move from each status; a status that isn't named refuses it.
func TestWhatEachMoveMayStartFrom(t *testing.T) {
	const (
		pending, queued, running, failed, timedOut, dead = rows.StatusPending, rows.StatusQueued, rows.StatusRunning,
			rows.StatusFailed, rows.StatusTimedOut, rows.StatusDeadLetter
	)
	legal := map[string]map[rows.Status]string{
		"Start": {
			pending: "Queued Running", queued: "Running", failed: "Queued Running", timedOut: "Queued Running",
			dead: "Queued Running",
		},
		"Complete": {running: "Completed"},
		"Fail":     {running: "Failed"},
		"DeadLetter": {
			pending: "Queued Dead Letter", queued: "Dead Letter", running: "Dead Letter", failed: "Dead Letter",
			timedOut: "Dead Letter",
		},
		"Exhausted": {
			pending: "Queued Dead Letter", queued: "Dead Letter", running: "Failed Dead Letter", failed: "Dead Letter",
			timedOut: "Dead Letter",
		},
		"Poison": {
			pending: "Queued Dead Letter", queued: "Dead Letter", running: "Dead Letter", failed: "Dead Letter",
			timedOut: "Dead Letter",
		},
		"GiveBack": {running: "Failed Queued"},
		"GiveUp": {
			pending: "Queued Dead Letter", queued: "Dead Letter", running: "Dead Letter", failed: "Dead Letter",
			timedOut: "Dead Letter",
		},
		"Cancel":      {pending: "Canceled", queued: "Canceled", running: "Canceled"},
		"Requeue":     {pending: "Queued", failed: "Queued", timedOut: "Queued", dead: "Queued"},
		"RequeueWith": {pending: "Queued", failed: "Queued", timedOut: "Queued", dead: "Queued"},
		"RetryDue":    {pending: "Queued", failed: "Queued", timedOut: "Queued", dead: "Queued"},
		// Of these the policy of package byhand chooses; here it is only what the state machine has.
		"Create": {},
		"Submit": {pending: "Queued", failed: "Queued", timedOut: "Queued", dead: "Queued"},
		"Refuse": {
			pending: "Queued Dead Letter", queued: "Dead Letter", running: "Dead Letter", failed: "Dead Letter",
			timedOut: "Dead Letter",
		},
	}
	for _, from := range all {
		for name, m := range catalogue(rowIn(from)) {
			want, isLegal := legal[name][from]
			err := m.Check()
			if (err == nil) != isLegal {
				t.Errorf("%s of a row that is %s: Check says %v, want legal: %v", name, from, err, isLegal)
			}
			got := strings.TrimSpace(string(m.Via + " " + m.To))
			if isLegal && got != want {
				t.Errorf("%s of a row that is %s goes to %q, want %q", name, from, got, want)
			}
			if m.Site != site || m.Name != "JOB-1" || m.From != from {
				t.Errorf("%s is a move of %s %s from %s, want %s JOB-1 from %s", name, m.Site, m.Name, m.From, site, from)
			}
			var wrong *TransitionError
			if err != nil && (!errors.As(err, &wrong) || wrong.Job != "JOB-1") {
				t.Errorf("%s of a row that is %s: the error is %#v, want a TransitionError of JOB-1", name, from, err)
			}
		}
	}
}

// TestStartTellsWhatWasBefore in the row's log.
func TestStartTellsWhatWasBefore(t *testing.T) {
	m := Start(site, rowIn(rows.StatusQueued), now, "a Python worker had failed it: ImportError")
	if want := "Worker started execution; a Python worker had failed it: ImportError"; m.Message != want {
		t.Errorf("message %q, want %q", m.Message, want)
	}
}

func TestTransitionError(t *testing.T) {
	err := Complete(site, rowIn(rows.StatusQueued), said, now).Check()
	if got, want := fmt.Sprint(err), "job JOB-1 is Queued and can't become Completed"; got != want {
		t.Errorf("Complete of a queued row: %q, want %q", got, want)
	}
	// The second step is judged from the first one's state, not from the row's.
	m := Start(site, rowIn(rows.StatusQueued), now, "")
	m.Via = rows.StatusRunning
	var wrong *TransitionError
	if err := m.Check(); !errors.As(err, &wrong) || wrong.From != rows.StatusRunning || wrong.To != rows.StatusRunning {
		t.Errorf("Queued by way of Running to Running: %v, want Running that can't become Running", err)
	}
}

// TestLegalMoves is the whole table of legal steps.
func TestLegalMoves(t *testing.T) {
	legal := []string{
		"Pending Queued", "Pending Canceled",
		"Queued Running", "Queued Canceled", "Queued Dead Letter",
		"Running Completed", "Running Failed", "Running Dead Letter", "Running Timed Out", "Running Canceled",
		"Failed Queued", "Failed Dead Letter",
		"Timed Out Queued", "Timed Out Dead Letter",
		"Dead Letter Queued",
	}
	var got []string
	for _, from := range all {
		for _, to := range all {
			m := Move{Transition: rows.Transition{From: from, To: to}}
			if m.Check() == nil {
				got = append(got, string(from+" "+to))
			}
		}
	}
	slices.Sort(legal)
	slices.Sort(got)
	if diff := cmp.Diff(legal, got); diff != "" {
		t.Errorf("legal steps (-want +got):\n%s", diff)
	}
}

// TestTheDiagramNamesTheMoves: every status and every entry of the catalogue that legal.go draws exists, and every status
// is drawn.
func TestTheDiagramNamesTheMoves(t *testing.T) {
	file, err := os.ReadFile("legal.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, _, _ := strings.Cut(string(file), "\npackage moves")
	_, diagram, _ := strings.Cut(doc, "//\n")
	for _, s := range all {
		if !strings.Contains(diagram, string(s)) {
			t.Errorf("the diagram in legal.go doesn't show %q", s)
		}
	}
	moves := catalogue(rowIn(rows.StatusRunning))
	rest := diagram
	for _, s := range all {
		rest = strings.ReplaceAll(rest, string(s), "")
	}
	for _, word := range regexp.MustCompile(`[A-Z][A-Za-z]+`).FindAllString(rest, -1) {
		if _, ok := moves[word]; !ok && word != "DeadLetter" {
			t.Errorf("the diagram in legal.go names %q, which is not in the catalogue", word)
		}
	}
	// What ends in Dead Letter, and what leads back to Queued, is drawn.
	for _, name := range []string{"DeadLetter", "Exhausted", "Poison", "RetryDue", "Requeue", "Cancel", "Create", "Submit", "Refuse"} {
		if !strings.Contains(diagram, name) {
			t.Errorf("the diagram in legal.go lacks %s", name)
		}
	}
}

// TestWhatEachMoveWrites holds columns, messages, actor and fence of each move of the row that it is meant for.
func TestWhatEachMoveWrites(t *testing.T) {
	running, failed, queued, snoozed := rowIn(rows.StatusRunning), rowIn(rows.StatusFailed), rowIn(rows.StatusQueued), rowIn(rows.StatusFailed)
	failed.ErrorType = rows.ErrorTransient
	timedOut := Failure{Err: &job.TimeoutError{Limit: time.Minute}, Kind: job.Transient, TimedOut: true, Attempt: 3}
	failure := Failure{Err: errBoom, Kind: job.Transient, Attempt: 3}
	permanent := Failure{Err: errBoom, Kind: job.Permanent, Attempt: 3}
	tests := map[string]struct {
		move        Move
		message     string
		via         string
		fence       string
		started     time.Time
		actor       string
		columns     string
		written     rows.BackgroundJob
		status, way rows.Status
	}{
		"start": {
			move: Start(site, queued, now, ""), message: "Worker started execution", started: now,
			columns: "completed_at log_tail next_retry_at progress progress_message waiting_for", status: rows.StatusRunning,
		},
		"start of a failed row spends a retry": {
			move: Start(site, failed, now, ""), message: "Worker started execution", via: "Job enqueued", started: now,
			columns: "completed_at log_tail next_retry_at progress progress_message retry_count waiting_for",
			written: rows.BackgroundJob{RetryCount: 3}, status: rows.StatusRunning, way: rows.StatusQueued,
		},
		"start of a pending row spends none": {
			move: Start(site, rowIn(rows.StatusPending), now, ""), message: "Worker started execution", via: "Job enqueued", started: now,
			columns: "completed_at log_tail next_retry_at progress progress_message waiting_for", status: rows.StatusRunning, way: rows.StatusQueued,
		},
		"complete": {
			move: Complete(site, running, said, now), message: "Job completed successfully", fence: fence,
			columns: "completed_at output_reference progress progress_message",
			written: rows.BackgroundJob{CompletedAt: now, OutputReference: "/files/out.txt", Progress: 100, ProgressMessage: "half"},
			status:  rows.StatusCompleted,
		},
		"complete without output keeps the old one": {
			move: Complete(site, running, Said{}, now), message: "Job completed successfully", fence: fence,
			columns: "completed_at progress progress_message",
			written: rows.BackgroundJob{CompletedAt: now, Progress: 100}, status: rows.StatusCompleted,
		},
		"fail": {
			move: Fail(site, running, said, failure, now, 90*time.Second), fence: fence,
			message: "Job failed: boom (retry 3 of 5 in 1m30s)",
			columns: "error_message error_type next_retry_at progress progress_message waiting_for",
			written: rows.BackgroundJob{ErrorMessage: errBoom.Error(), ErrorType: "Transient", NextRetryAt: now.Add(90 * time.Second), WaitingFor: "retry 3 of 5 is due at 2026-03-01 10:02:30 UTC", Progress: 42, ProgressMessage: "half"},
			status:  rows.StatusFailed,
		},
		"time out": {
			move: Fail(site, running, said, timedOut, now, 1499*time.Millisecond), fence: fence,
			message: "Task exceeded maximum timeout value (60 seconds) (retry 3 of 5 in 1s)",
			columns: "error_message error_type next_retry_at progress progress_message waiting_for",
			written: rows.BackgroundJob{ErrorMessage: timedOut.Err.Error(), ErrorType: "Transient", NextRetryAt: now.Add(1499 * time.Millisecond), WaitingFor: "retry 3 of 5 is due at 2026-03-01 10:01:01 UTC", Progress: 42, ProgressMessage: "half"},
			status:  rows.StatusTimedOut,
		},
		"dead letter": {
			move: DeadLetter(site, running, said, permanent, now), message: "Job failed: boom", fence: fence,
			columns: "completed_at error_message error_type progress progress_message",
			written: rows.BackgroundJob{CompletedAt: now, ErrorMessage: errBoom.Error(), ErrorType: "Permanent", Progress: 42, ProgressMessage: "half"},
			status:  rows.StatusDeadLetter,
		},
		"dead letter of a row that never ran": {
			move: DeadLetter(site, queued, Said{}, permanent, now), message: "Job failed: boom",
			columns: "completed_at error_message error_type progress progress_message waiting_for",
			written: rows.BackgroundJob{CompletedAt: now, ErrorMessage: errBoom.Error(), ErrorType: "Permanent"},
			status:  rows.StatusDeadLetter,
		},
		"exhausted": {
			move: Exhausted(site, running, said, failure, now), message: "Retries exhausted after 3 attempts", via: "Job failed: boom", fence: fence,
			columns: "completed_at error_message error_type progress progress_message",
			written: rows.BackgroundJob{CompletedAt: now, ErrorMessage: errBoom.Error(), ErrorType: "Transient", Progress: 42, ProgressMessage: "half"},
			status:  rows.StatusDeadLetter, way: rows.StatusFailed,
		},
		"exhausted by a timeout": {
			move: Exhausted(site, running, said, timedOut, now), message: "Retries exhausted after 3 attempts",
			via: "Task exceeded maximum timeout value (60 seconds)", fence: fence,
			columns: "completed_at error_message error_type progress progress_message",
			written: rows.BackgroundJob{CompletedAt: now, ErrorMessage: timedOut.Err.Error(), ErrorType: "Transient", Progress: 42, ProgressMessage: "half"},
			status:  rows.StatusDeadLetter, way: rows.StatusTimedOut,
		},
		"poison": {
			move: Poison(site, running, "it did", now), message: "Job took its worker down again and again", fence: fence,
			columns: "completed_at error_message error_type",
			written: rows.BackgroundJob{CompletedAt: now, ErrorType: "Permanent", ErrorMessage: "it did"},
			status:  rows.StatusDeadLetter,
		},
		"give back": {
			move: GiveBack(site, running, "Worker died"), message: "Job given back to the queue", via: "Worker died", fence: fence,
			columns: "started_at", status: rows.StatusQueued, way: rows.StatusFailed,
		},
		"the last lines of the log": {
			move: Complete(site, running, Said{LogTail: "bye"}, now), message: "Job completed successfully", fence: fence,
			columns: "completed_at log_tail progress progress_message",
			written: rows.BackgroundJob{CompletedAt: now, Progress: 100, LogTail: "bye"}, status: rows.StatusCompleted,
		},
		"give back with the last report": {
			move: GiveBack(site, running, "Worker is shutting down").WithReport(said), message: "Job given back to the queue", via: "Worker is shutting down", fence: fence,
			columns: "progress progress_message started_at", written: rows.BackgroundJob{Progress: 42, ProgressMessage: "half"},
			status: rows.StatusQueued, way: rows.StatusFailed,
		},
		"cancel": {
			move: Cancel(site, running, "jane@example.com", CanceledBy("jane@example.com"), now), message: "Job canceled by jane@example.com", fence: fence, actor: "jane@example.com",
			columns: "canceled_at canceled_by next_retry_at", written: rows.BackgroundJob{CanceledAt: now, CanceledBy: "jane@example.com"},
			status: rows.StatusCanceled,
		},
		"cancel by the system": {
			move: Cancel(site, queued, "", CanceledBy(""), now), message: "Job canceled by the system",
			columns: "canceled_at canceled_by next_retry_at waiting_for", written: rows.BackgroundJob{CanceledAt: now},
			status: rows.StatusCanceled,
		},
		"requeue starts a new series": {
			move: Requeue(site, failed, "jane@example.com"), message: "Job retried by jane@example.com", actor: "jane@example.com",
			columns: "completed_at error_message error_type next_retry_at progress progress_message retry_count waiting_for", status: rows.StatusQueued,
		},
		"requeue by the system": {
			move: Requeue(site, failed, ""), message: "Job retried by the system",
			columns: "completed_at error_message error_type next_retry_at progress progress_message retry_count waiting_for", status: rows.StatusQueued,
		},
		"snooze": {
			move: Snooze(site, running, Said{Percent: 42, Message: "half"}, now, time.Hour), message: "Snoozed by its handler for 1h0m0s: to run again at 2026-03-01 11:01:00 UTC", fence: fence,
			columns: "error_message error_type next_retry_at progress progress_message waiting_for",
			written: rows.BackgroundJob{NextRetryAt: now.Add(time.Hour), WaitingFor: "snoozed by its handler, to run again at 2026-03-01 11:01:00 UTC", Progress: 42, ProgressMessage: "half"},
			status:  rows.StatusFailed,
		},
		"start of a snoozed row spends none": {
			move: Start(site, snoozed, now, ""), message: "Worker started execution", via: "Job enqueued", started: now,
			columns: "completed_at log_tail next_retry_at progress progress_message retry_count waiting_for",
			written: rows.BackgroundJob{RetryCount: 2}, status: rows.StatusRunning, way: rows.StatusQueued,
		},
		"a snoozed row that is due": {
			move: RetryDue(site, snoozed), message: "Job enqueued again", columns: "next_retry_at retry_count waiting_for",
			written: rows.BackgroundJob{RetryCount: 2}, status: rows.StatusQueued,
		},
		"retry that is due": {
			move: RetryDue(site, failed), message: "Job enqueued for retry", columns: "next_retry_at retry_count waiting_for",
			written: rows.BackgroundJob{RetryCount: 3}, status: rows.StatusQueued,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := tc.move
			if m.To != tc.status || m.Via != tc.way {
				t.Errorf("goes by way of %q to %q, want %q, %q", m.Via, m.To, tc.way, tc.status)
			}
			if m.Message != tc.message || m.ViaMessage != tc.via {
				t.Errorf("messages %q by way of %q, want %q, %q", m.Message, m.ViaMessage, tc.message, tc.via)
			}
			if m.Fence != tc.fence || !m.StartedAt.Equal(tc.started) || m.Actor != tc.actor {
				t.Errorf("fence %q, start %s, actor %q, want %q, %s, %q", m.Fence, m.StartedAt, m.Actor, tc.fence, tc.started, tc.actor)
			}
			if got := strings.Join(set(m), " "); got != tc.columns {
				t.Errorf("columns %q, want %q", got, tc.columns)
			}
			if diff := cmp.Diff(tc.written, m.Written()); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAppliedBringsTheRowUpToDate(t *testing.T) {
	row := rowIn(rows.StatusFailed)
	row.ErrorMessage, row.NextRetryAt = "boom", now
	m := Start(site, row, now, "")
	if row.Status != rows.StatusFailed || row.RetryCount != 2 {
		t.Fatalf("making a move changed the row: %+v", row)
	}
	if dead := DeadLetter(site, row, Said{}, Failure{Err: errBoom, Attempt: 3}, now); !slices.Contains(set(dead), "next_retry_at") {
		t.Errorf("the dead letter of a row that waited for its retry goes on to name that: it writes %v", set(dead))
	}
	m.Applied(rows.TransitionResult{Modified: "2026-03-01 10:01:00.000001", StartedRaw: "2026-03-01 11:01:00.000001"})
	want := rowIn(rows.StatusRunning)
	want.StartedAt, want.RetryCount, want.ErrorMessage, want.ModifiedRaw = now, 3, "boom", "2026-03-01 10:01:00.000001"
	want.StartedRaw = "2026-03-01 11:01:00.000001"
	if diff := cmp.Diff(want, row); diff != "" {
		t.Errorf("the row after its start (-want +got):\n%s", diff)
	}
	GiveBack(site, row, "Worker died").Applied(rows.TransitionResult{Modified: "later"})
	if row.Status != rows.StatusQueued || !row.StartedAt.IsZero() || row.StartedRaw != "" || row.ModifiedRaw != "later" {
		t.Errorf("the row after it was given back: %+v, want Queued without a start", row)
	}
}

// TestByHand: a move of a row that somebody wrote goes on from what the engine left, and only of the row as it was read.
func TestByHand(t *testing.T) {
	asRead := func(is rows.Status) *rows.BackgroundJob {
		row := rowIn(is)
		row.ModifiedRaw, row.Owner = "2026-03-01 11:01:00.000001", "jane@example.com"
		return row
	}
	lacks := rows.Job.OwnerUser.To("jane@example.com")
	tests := map[string]struct {
		is, was rows.Status
		next    func(*rows.BackgroundJob) Move
		path    string // "" is refused
		actor   string
	}{
		"a new row":           {rows.StatusPending, "", func(r *rows.BackgroundJob) Move { return Submit(site, r, lacks) }, "Pending Queued", "jane@example.com"},
		"a new row, Queued":   {rows.StatusQueued, "", func(r *rows.BackgroundJob) Move { return Submit(site, r) }, "Pending Queued", "jane@example.com"},
		"a new row, refused":  {rows.StatusCompleted, "", func(r *rows.BackgroundJob) Move { return Create(site, r, lacks) }, "Pending", "jane@example.com"},
		"a new row, canceled": {rows.StatusCanceled, "", func(r *rows.BackgroundJob) Move { return Cancel(site, r, "joe", "no", now) }, "Pending Canceled", "joe"},
		"an app's row":        {rows.StatusPending, rows.StatusPending, func(r *rows.BackgroundJob) Move { return Submit(site, r) }, "Queued", "jane@example.com"},
		"a running one":       {rows.StatusCanceled, rows.StatusRunning, func(r *rows.BackgroundJob) Move { return Cancel(site, r, "joe", "no", now) }, "Canceled", "joe"},
		"a dead letter":       {rows.StatusQueued, rows.StatusDeadLetter, func(r *rows.BackgroundJob) Move { return Requeue(site, r, "joe") }, "Queued", "joe"},
		"a completed one":     {rows.StatusQueued, rows.StatusCompleted, func(r *rows.BackgroundJob) Move { return Requeue(site, r, "joe") }, "", "joe"},
		"a completed job":     {rows.StatusCanceled, rows.StatusCompleted, func(r *rows.BackgroundJob) Move { return Cancel(site, r, "joe", "no", now) }, "", "joe"},
	}
	for name, tc := range tests {
		row := asRead(tc.is)
		m := ByHand(row, tc.was, tc.next)
		if path := strings.TrimSpace(string(m.Via + " " + m.To)); m.Check() == nil != (tc.path != "") || tc.path != "" && path != tc.path {
			t.Errorf("%s goes to %q (%v), want %q", name, path, m.Check(), tc.path)
		}
		if m.From != tc.is || m.Was != tc.was || !m.ByHand || m.AsOf != row.ModifiedRaw || m.Fence != "" || m.Row != row || m.Actor != tc.actor {
			t.Errorf("%s: %+v, want it from %s as it was read", name, m, tc.is)
		}
		if row.Status != tc.is {
			t.Errorf("%s: making the move changed the row to %s", name, row.Status)
		}
	}
}

// TestUndo gives a row back what it had, from every state to every other, and a running one its attempt.
func TestUndo(t *testing.T) {
	for _, was := range all {
		for _, is := range all {
			row := rowIn(is)
			row.ModifiedRaw = "2026-03-01 11:01:00.000001"
			m := Undo(site, row, was, started, "joe", "set the status from x to y")
			if err := m.Check(); err != nil || m.From != is || m.To != was || m.Was != was || m.Via != "" || m.Actor != "joe" || len(m.Set) > 0 ||
				m.Message != "Undone: joe had set the status from x to y" {
				t.Errorf("undo %s of a row that was %s: %+v, %v", is, was, m, err)
			}
			if (was == rows.StatusRunning) == m.StartedAt.IsZero() {
				t.Errorf("undo %s of a row that was %s: it starts at %s", is, was, m.StartedAt)
			}
		}
	}
}

// TestASubmissionBeginsAnew, whatever its inserter wrote into it.
func TestASubmissionBeginsAnew(t *testing.T) {
	row := rowIn(rows.StatusPending)
	row.ErrorMessage, row.Progress, row.CanceledBy, row.OutputReference = "boom", 50, "joe", "/files/x"
	m := ByHand(row, "", func(row *rows.BackgroundJob) Move { return Submit(site, row, rows.Job.Priority.To("High")) })
	m.Applied(rows.TransitionResult{Modified: "later"})
	want := &rows.BackgroundJob{Name: "JOB-1", Status: rows.StatusQueued, MaxRetries: 5, Priority: "High", ModifiedRaw: "later"}
	if diff := cmp.Diff(want, row); diff != "" {
		t.Errorf("the row of a submission (-want +got):\n%s", diff)
	}
}

// TestOver: what an attempt came to counts over what somebody wrote into its row, and nobody else's attempt is touched.
func TestOver(t *testing.T) {
	row := rowIn(rows.StatusCompleted)
	row.ModifiedRaw, row.ModifiedBy = "2026-03-01 11:01:00.000001", "joe"
	m := DeadLetter(site, rowIn(rows.StatusRunning), said, Failure{Err: errBoom, Kind: job.Permanent, Attempt: 1}, now).Over(row)
	if err := m.Check(); err != nil || m.From != rows.StatusCompleted || m.Was != rows.StatusRunning || m.AsOf != row.ModifiedRaw || m.Fence != fence ||
		m.Message != "Job failed: boom; undone: joe had set the status to Completed" {
		t.Errorf("%+v, %v", m, err)
	}
}
