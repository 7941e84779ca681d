package byhand

import (
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// wish is what somebody wants who wrote a row.
type wish int

const (
	// nothing: the row is as the engine left it, but for what anybody may write.
	nothing wish = iota
	// submit: it is new, and shall run.
	submit
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

// judge says what is wanted of a row that the engine left in the state was, "" if it has never seen it.
func judge(row *rows.BackgroundJob, was rows.Status, now time.Time) wish {
	is := row.Status
	fresh := was == "" || was == rows.StatusPending
	switch {
	case is == was && is == rows.StatusRunning:
		return look
	case is == rows.StatusCanceled && is == was && row.CanceledAt.IsZero():
		return cancel // by code of an app's, which writes a log as well
	case fresh && (is == rows.StatusPending || is == rows.StatusQueued):
		return submit
	case is == was, was == "" && now.Sub(row.Creation) > logsKept:
		return nothing
	case is == rows.StatusCanceled && slices.Contains(cancelable, was):
		return cancel
	case is == rows.StatusQueued && slices.Contains(retryable, was):
		return retry
	case was == "":
		return refuse
	}
	return undo
}
