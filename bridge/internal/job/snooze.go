package job

import (
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// MostSnooze is how long a job can be put off at a time.
const MostSnooze = 30 * 24 * time.Hour

// snooze is what a handler returns that wants to be called again, without having failed.
type snooze struct{ pause time.Duration }

func (e *snooze) Error() string { return "snoozed by its handler for " + e.pause.String() }

// Snooze is the wish to be called again after a pause: above zero, at most MostSnooze. Any other is an error that no retry mends.
func Snooze(pause time.Duration) error {
	if pause <= 0 || pause > MostSnooze {
		return Mark(fmt.Errorf("a job can't be snoozed for %s: the pause has to be above zero and at most %s", pause, MostSnooze), Permanent, 0)
	}
	return &snooze{pause}
}

// Snoozed reports whether a row waits for the time that its handler asked for: it failed, and nothing went wrong. It spends
// no retry.
func Snoozed(row *rows.BackgroundJob) bool {
	return row.Status == rows.StatusFailed && row.ErrorType == "" && row.ErrorMessage == ""
}

// WaitsForSnooze is why such a row waits; when tells the moment.
func WaitsForSnooze(when string) string { return "snoozed by its handler, to run again " + when }
