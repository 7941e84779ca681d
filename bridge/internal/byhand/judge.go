package byhand

import (
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// wish is what somebody wants who wrote a row.
type wish int

const (
	// nothing: the row is as the engine left it, but for what anybody may write.
	nothing wish = iota
	// submit: it is new, and shall run.
	submit
	// create: it is new, and shall run when policy says that its time has come.
	create
	// refuse: it is new, in a state in which no job begins.
	refuse
	cancel
	retry
	// undo: the state isn't one that a person gives.
	undo
	// look: it runs, and whether its start is that of its attempt RQ knows.
	look
)

// cancelable are the states in which a job can be canceled, retryable those in which it may be tried again.
var (
	cancelable = []rows.Status{"", rows.StatusPending, rows.StatusQueued, rows.StatusRunning}
	retryable  = []rows.Status{rows.StatusFailed, rows.StatusTimedOut, rows.StatusDeadLetter}
)

// logsKept is how old a row may be whose state is told by the lack of a log: that of an older one may have been deleted.
const logsKept = 24 * time.Hour

// judge says what is wanted of a row, and in which state it was before that: what its log says, "" if it has none. An app's
// code writes the log itself, and then the line before tells.
func judge(w sites.Written, now time.Time) (wish, rows.Status) {
	row, is, was, before := w.Row, w.Row.Status, w.Last.ToStatus, w.Last.FromStatus
	fresh := was == "" || was == rows.StatusPending
	switch {
	case is == was && is == rows.StatusRunning:
		return look, was
	case is == was && is == rows.StatusCanceled && row.CanceledAt.IsZero() && slices.Contains(cancelable, before):
		return cancel, before
	case is == was && is == rows.StatusQueued && row.ErrorMessage != "" && w.Last.Actor != "" && slices.Contains(retryable, before):
		return retry, before
	case fresh && (is == rows.StatusPending || is == rows.StatusQueued):
		return submit, was
	case is == was, was == "" && now.Sub(row.Creation) > logsKept:
		return nothing, was
	case is == rows.StatusCanceled && slices.Contains(cancelable, was):
		return cancel, was
	case is == rows.StatusQueued && slices.Contains(retryable, was):
		return retry, was
	case was == "":
		return refuse, was
	}
	return undo, was
}
