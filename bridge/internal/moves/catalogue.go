package moves

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Move is one change of a row's status, ready to be applied.
type Move struct {
	Site string
	// Row is the row as it was read; applying the move brings it up to date.
	Row *rows.BackgroundJob
	rows.Transition
	// Withheld says that the move leaves out what the job has come to: its organization is suspended.
	Withheld bool
}

// Messages of the log rows of steps on the way.
const (
	created  = "Job created"
	enqueued = "Job enqueued"
)

// ByHand makes a move of a row that somebody else than the engine wrote, in the desk or by a program: was is the state that
// the engine left it in, "" for a new one, and the move is legal if it is from there. It is lost if the row isn't any more as
// it was read.
func ByHand(row *rows.BackgroundJob, was rows.Status, next func(*rows.BackgroundJob) Move) Move {
	left := *row
	left.Status = was
	m := next(&left)
	m.Row, m.From, m.Fence = row, row.Status, ""
	m.ByHand, m.Was, m.AsOf = true, was, row.ModifiedRaw
	return m
}

// Over is an attempt's move where somebody wrote another state into its row meanwhile: row is as it is now. What the attempt
// came to counts, if the row is still its own.
func (m Move) Over(row *rows.BackgroundJob) Move {
	m.ByHand, m.Was, m.From, m.AsOf = true, m.From, row.Status, row.ModifiedRaw
	m.Message += fmt.Sprintf("; undone: %s had set the status to %s", byWhom(row.ModifiedBy), row.Status)
	return m
}

// move starts every entry of the catalogue. A row that runs is fenced: it must still belong to the attempt that it was
// read with. A Pending row was delivered before its producer moved it, so it becomes Queued on its way. What a row waits
// for is over with any move.
func move(site string, row *rows.BackgroundJob, to rows.Status, message string, set ...rows.Value) Move {
	m := Move{Site: site, Row: row, Transition: rows.Transition{Name: row.Name, From: row.Status, To: to, Message: message, Set: set}}
	switch row.Status {
	case rows.StatusRunning:
		m.Fence = row.StartedRaw
		return m
	case "":
		if to != rows.StatusPending {
			m.Via, m.ViaMessage = rows.StatusPending, created
		}
	case rows.StatusPending:
		if to != rows.StatusQueued && to != rows.StatusCanceled {
			m.Via, m.ViaMessage = rows.StatusQueued, enqueued
		}
	}
	m.Set = append(m.Set, rows.Job.WaitingFor.To(""))
	return m
}

// Start makes a row Running for the attempt that was claimed at startedAt. A row that waits for a retry, or a dead letter,
// was delivered ahead of its turn by a person who requeued it in RQ: that spends a retry, unless its handler had snoozed it. before is what happened to the
// delivery, if anything.
func Start(site string, row *rows.BackgroundJob, startedAt time.Time, before string) Move {
	message := "Worker started execution"
	if before != "" {
		message += "; " + before
	}
	m := move(site, row, rows.StatusRunning, message,
		rows.Job.Progress.To(0), rows.Job.ProgressMessage.To(""), rows.Job.LogTail.To(""),
		rows.Job.NextRetryAt.To(time.Time{}), rows.Job.CompletedAt.To(time.Time{}))
	m.StartedAt = startedAt
	if row.Status != rows.StatusQueued && row.Status != rows.StatusPending {
		m.Via, m.ViaMessage = rows.StatusQueued, enqueued
		m.Set = append(m.Set, rows.Job.RetryCount.To(row.RetryCount+spends(row)))
	}
	return m
}

// spends is how many retries the next attempt of a row costs that waits for one.
func spends(row *rows.BackgroundJob) int {
	if job.Snoozed(row) {
		return 0
	}
	return 1
}

// Said is what an attempt last reported, and the last lines of its log.
type Said struct {
	Percent                  float64
	Message, Output, LogTail string
}

func (s Said) values(more ...rows.Value) []rows.Value {
	if s.LogTail != "" {
		more = append(more, rows.Job.LogTail.To(s.LogTail))
	}
	return append(more, rows.Job.Progress.To(s.Percent), rows.Job.ProgressMessage.To(s.Message))
}

// Complete ends an attempt whose handler returned without an error.
func Complete(site string, row *rows.BackgroundJob, said Said, now time.Time) Move {
	said.Percent = 100
	m := move(site, row, rows.StatusCompleted, "Job completed successfully", said.values(rows.Job.CompletedAt.To(now))...)
	if said.Output != "" {
		m.Set = append(m.Set, rows.Job.OutputReference.To(said.Output))
	}
	return m
}

// Saying adds to what the log says, unless that is "".
func (m Move) Saying(more string) Move {
	if more != "" {
		m.Message += "; " + more
	}
	return m
}

// Withhold leaves out of a move what the job has come to, until Reveal.
func (m Move) Withhold() Move {
	if m.Withheld {
		return m
	}
	m.Withheld = true
	m.Message += "; its result is withheld until organization " + m.Row.Organization + " is active again"
	m.Set = slices.DeleteFunc(slices.Clone(m.Set), func(v rows.Value) bool { return v.Column() == "output_reference" })
	return m
}

// Reveal gives a completed row the result that was withheld. It goes from the state to itself, so that all who hear of an end hear
// of it.
func Reveal(site string, row *rows.BackgroundJob, output string) Move {
	return ByHand(row, rows.StatusCompleted, func(row *rows.BackgroundJob) Move {
		return move(site, row, rows.StatusCompleted, "Result shown: organization "+row.Organization+" is active again", rows.Job.OutputReference.To(output))
	})
}

// Failure is why an attempt failed.
type Failure struct {
	Err      error
	Kind     job.ErrorType
	TimedOut bool
	Attempt  int // of the present series, from 1
}

func (f Failure) status() rows.Status {
	if f.TimedOut {
		return rows.StatusTimedOut
	}
	return rows.StatusFailed
}

func (f Failure) message() string {
	if f.TimedOut {
		return f.Err.Error()
	}
	return "Job failed: " + job.FirstLine(f.Err)
}

func (f Failure) values(said Said, more ...rows.Value) []rows.Value {
	return said.values(append(more, rows.Job.ErrorMessage.To(f.Err.Error()), rows.Job.ErrorType.To(string(f.Kind)))...)
}

// Fail ends an attempt that will be retried after pause.
func Fail(site string, row *rows.BackgroundJob, said Said, f Failure, now time.Time, pause time.Duration) Move {
	message := fmt.Sprintf("%s (retry %d of %d in %s)", f.message(), f.Attempt, row.MaxRetries, pause.Round(time.Second))
	due := now.Add(pause)
	return move(site, row, f.status(), message, f.values(said, rows.Job.NextRetryAt.To(due),
		rows.Job.WaitingFor.To(job.WaitsForRetry(f.Attempt, row.MaxRetries, job.At(due.In(row.Creation.Location())))))...)
}

// Snooze ends an attempt whose handler wants to be called again after a pause. Nothing has failed: the row says no error, which
// is how its next attempt is known to cost no retry.
func Snooze(site string, row *rows.BackgroundJob, said Said, now time.Time, pause time.Duration) Move {
	due := now.Add(pause)
	when := job.At(due.In(row.Creation.Location()))
	return move(site, row, rows.StatusFailed, "Snoozed by its handler for "+pause.String()+": to run again "+when, said.values(
		rows.Job.ErrorMessage.To(""), rows.Job.ErrorType.To(""), rows.Job.NextRetryAt.To(due), rows.Job.WaitingFor.To(job.WaitsForSnooze(when)))...)
}

// DeadLetter ends a job that no retry mends.
func DeadLetter(site string, row *rows.BackgroundJob, said Said, f Failure, now time.Time) Move {
	m := move(site, row, rows.StatusDeadLetter, f.message(), f.values(said, rows.Job.CompletedAt.To(now))...)
	if !row.NextRetryAt.IsZero() { // it was delivered ahead of its retry, and may not start
		m.Set = append(m.Set, rows.Job.NextRetryAt.To(time.Time{}))
	}
	return m
}

// Exhausted ends a job whose retries are spent.
func Exhausted(site string, row *rows.BackgroundJob, said Said, f Failure, now time.Time) Move {
	m := DeadLetter(site, row, said, f, now)
	if row.Status == rows.StatusRunning {
		m.Via, m.ViaMessage = f.status(), m.Message
	}
	m.Message = fmt.Sprintf("Retries exhausted after %d attempts", f.Attempt)
	return m
}

// Poison ends a job that took its worker down again and again; why says how often, and who was there.
func Poison(site string, row *rows.BackgroundJob, why string, now time.Time) Move {
	return move(site, row, rows.StatusDeadLetter, "Job took its worker down again and again",
		rows.Job.ErrorType.To(string(job.Permanent)), rows.Job.ErrorMessage.To(why), rows.Job.CompletedAt.To(now))
}

// GiveUp ends a job that failed and that nobody has retried for long.
func GiveUp(site string, row *rows.BackgroundJob, now time.Time) Move {
	return move(site, row, rows.StatusDeadLetter, "Job given up: nobody has retried it since "+row.Modified.Format(time.DateOnly),
		rows.Job.ErrorMessage.To(cmp.Or(row.ErrorMessage, "nobody retried it")), rows.Job.NextRetryAt.To(time.Time{}), rows.Job.CompletedAt.To(now))
}

// GiveBack returns a running row to its queue without spending a retry; why is the worker's end.
func GiveBack(site string, row *rows.BackgroundJob, why string) Move {
	m := move(site, row, rows.StatusQueued, "Job given back to the queue", rows.Job.StartedAt.To(time.Time{}))
	m.Via, m.ViaMessage = rows.StatusFailed, why
	return m
}

// WithReport also writes what the attempt last said.
func (m Move) WithReport(said Said) Move {
	m.Set = said.values(m.Set...)
	return m
}

// Bare is the move without any text: for a row that doesn't take one of them.
func (m Move) Bare() Move {
	m.Message = string(m.To) + "; the row doesn't take the text that belongs here, see the bridge's log"
	m.ViaMessage = ""
	m.Set = slices.DeleteFunc(slices.Clone(m.Set), rows.Value.IsText)
	return m
}

// Cancel ends a job that a person doesn't want any more. An empty actor is the system.
func Cancel(site string, row *rows.BackgroundJob, actor, message string, now time.Time) Move {
	m := move(site, row, rows.StatusCanceled, message,
		rows.Job.CanceledAt.To(now), rows.Job.CanceledBy.To(actor), rows.Job.NextRetryAt.To(time.Time{}))
	m.Actor = actor
	return m
}

// RequeueWith is a Requeue with other parameters.
func RequeueWith(site string, row *rows.BackgroundJob, actor string, parameters json.RawMessage) Move {
	m := Requeue(site, row, actor)
	m.Message += " with changed parameters"
	m.Set = append(m.Set, rows.Job.InputParameters.To(parameters))
	return m
}

// Requeue is a person's retry: it starts a new series.
func Requeue(site string, row *rows.BackgroundJob, actor string) Move {
	m := move(site, row, rows.StatusQueued, "Job retried by "+byWhom(actor),
		rows.Job.RetryCount.To(0), rows.Job.NextRetryAt.To(time.Time{}), rows.Job.CompletedAt.To(time.Time{}),
		rows.Job.ErrorMessage.To(""), rows.Job.ErrorType.To(""), rows.Job.Progress.To(0), rows.Job.ProgressMessage.To(""))
	m.Actor = actor
	return m
}

// Create makes a row that somebody inserted Pending, whatever he wrote into it, and gives it what it lacks.
func Create(site string, row *rows.BackgroundJob, lacks ...rows.Value) Move {
	m := move(site, row, rows.StatusPending, created, fresh(lacks)...)
	m.Actor = row.Owner
	return m
}

// Submit queues a row that somebody inserted, as Create leaves it.
func Submit(site string, row *rows.BackgroundJob, lacks ...rows.Value) Move {
	m := move(site, row, rows.StatusQueued, enqueued, fresh(lacks)...)
	m.Actor = row.Owner
	return m
}

// fresh adds to what a row lacks that nothing has become of it yet.
func fresh(lacks []rows.Value) []rows.Value {
	never := time.Time{}
	return append(lacks, rows.Job.Progress.To(0), rows.Job.ProgressMessage.To(""), rows.Job.OutputReference.To(""),
		rows.Job.ErrorMessage.To(""), rows.Job.ErrorType.To(""), rows.Job.RetryCount.To(0), rows.Job.NextRetryAt.To(never),
		rows.Job.StartedAt.To(never), rows.Job.CompletedAt.To(never), rows.Job.CanceledAt.To(never), rows.Job.CanceledBy.To(""))
}

// Refuse ends a job that somebody inserted and that may not be submitted.
func Refuse(site string, row *rows.BackgroundJob, why error, now time.Time) Move {
	m := move(site, row, rows.StatusDeadLetter, "Job refused: "+job.FirstLine(why),
		rows.Job.ErrorMessage.To(why.Error()), rows.Job.ErrorType.To(string(job.Permanent)), rows.Job.CompletedAt.To(now))
	m.ViaMessage = "Submission looked at"
	return m
}

// Undo takes back what a person did to a row: what says what that was. A running row gets the start of its attempt back,
// which is its fence.
func Undo(site string, row *rows.BackgroundJob, was rows.Status, startedAt time.Time, actor, what string) Move {
	return ByHand(row, was, func(row *rows.BackgroundJob) Move {
		m := move(site, row, was, fmt.Sprintf("Undone: %s had %s", byWhom(actor), what))
		m.Via, m.ViaMessage, m.Set = "", "", nil
		m.Actor = actor
		if was == rows.StatusRunning {
			m.StartedAt = startedAt
		}
		return m
	})
}

// RetryDue queues a row whose time has come.
func RetryDue(site string, row *rows.BackgroundJob) Move {
	message := "Job enqueued for retry"
	if job.Snoozed(row) {
		message = "Job enqueued again"
	}
	return move(site, row, rows.StatusQueued, message,
		rows.Job.RetryCount.To(row.RetryCount+spends(row)), rows.Job.NextRetryAt.To(time.Time{}))
}

// CanceledBy is the message of a cancel by hand.
func CanceledBy(actor string) string { return "Job canceled by " + byWhom(actor) }

func byWhom(actor string) string { return cmp.Or(actor, "the system") }

// Written has the columns that this move writes, and nothing else.
func (m Move) Written() (written rows.BackgroundJob) {
	for _, v := range m.Set {
		v.Apply(&written)
	}
	return written
}

// Applied brings Row up to date once the move is committed.
func (m Move) Applied(result rows.TransitionResult) {
	m.Row.Status, m.Row.ModifiedRaw, m.Row.StartedRaw = m.To, result.Modified, result.StartedRaw
	if m.To == rows.StatusRunning {
		m.Row.StartedAt = m.StartedAt
	}
	for _, v := range m.Set {
		v.Apply(m.Row)
	}
}
