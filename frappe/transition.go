package frappe

import (
	"context"
	"time"
)

// Transition is one guarded move of a Background Job row: it happens only while the row still has the status From (and,
// where that is Running, still belongs to the attempt StartedAt), and leaves a Job Execution Log row in the same
// transaction.
type Transition struct {
	Name     string
	From, To Status
	// StartedAt is the fence: with From Running the row's started_at must equal it to the microsecond; with To Running it
	// becomes the row's started_at. From Running with a zero StartedAt is not fenced, which only an administrator's
	// cancel should want.
	StartedAt time.Time
	Actor     string // User of the log row and of modified_by; "" is the system
	Message   string // of the log row
	// Via is an intermediate state that gets a log row of its own (Running -Failed-> Queued is "given back"); "" for none.
	Via        Status
	ViaMessage string
	// Set holds further columns to write. Known: progress, progress_message, output_reference, error_message, error_type,
	// retry_count, max_retries, next_retry_at, started_at, completed_at, canceled_at, canceled_by, priority,
	// timeout_seconds. Times may be time.Time, *time.Time or nil; a zero time and nil are NULL.
	Set map[string]any
}

// TransitionResult says what became of one Transition.
type TransitionResult struct {
	Applied  bool
	Current  Status   // the row's status afterwards: To when applied, what it had instead when not
	Modified string   // the row's `modified` as the desk compares it, for doc_update
	Missing  bool     // there is no such row
	Fenced   bool     // the status matched, but the row belongs to another attempt
	Cut      []string // columns whose text was too long for them and was cut
	Err      error    // why this one could not be tried; nil for a lost race
}

// Progress is one progress report of a running attempt.
type Progress struct {
	Name      string
	StartedAt time.Time // the attempt's fence
	Percent   float64   // clamped to 0–100
	Message   string    // cut at 140 characters
}

// Transition performs the moves in one transaction: each row is compared and swapped on its own, and a move that lost
// its race (Applied false, Current says to what) doesn't disturb the others. The results are in the order of ts and are
// only returned after COMMIT. An error of the whole batch makes every move be tried in a transaction of its own; the
// returned error is non-nil only when nothing could be tried at all (ErrUnavailable, ErrTableMissing, ctx).
func (d *DB) Transition(ctx context.Context, ts []Transition) ([]TransitionResult, error) {
	return nil, errNotBuilt
}

// SetProgress writes progress and progress_message of attempts that are still running, in one statement, and reports for
// each whether it was. `modified` stays as it is, so that an open form doesn't get a conflict at each step.
func (d *DB) SetProgress(ctx context.Context, ps []Progress) ([]bool, error) {
	return nil, errNotBuilt
}
