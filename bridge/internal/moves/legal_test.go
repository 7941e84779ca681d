package moves

import (
	"errors"
	"testing"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestEveryPairOfStates: which state may follow which, of all nine times nine; "" is a row that isn't there yet.
func TestEveryPairOfStates(t *testing.T) {
	type pair struct{ from, to rows.Status }
	legal := map[pair]string{
		{"", rows.StatusPending}:                     "created",
		{rows.StatusPending, rows.StatusQueued}:      "enqueued",
		{rows.StatusPending, rows.StatusCanceled}:    "cancel",
		{rows.StatusQueued, rows.StatusRunning}:      "a worker takes it",
		{rows.StatusQueued, rows.StatusCanceled}:     "cancel",
		{rows.StatusQueued, rows.StatusDeadLetter}:   "a permanent reason before the run",
		{rows.StatusRunning, rows.StatusCompleted}:   "the handler returned",
		{rows.StatusRunning, rows.StatusFailed}:      "a transient error",
		{rows.StatusRunning, rows.StatusDeadLetter}:  "a permanent error",
		{rows.StatusRunning, rows.StatusTimedOut}:    "its time was over",
		{rows.StatusRunning, rows.StatusCanceled}:    "cancel",
		{rows.StatusFailed, rows.StatusQueued}:       "the retry is due",
		{rows.StatusTimedOut, rows.StatusQueued}:     "the retry is due",
		{rows.StatusFailed, rows.StatusDeadLetter}:   "retries exhausted",
		{rows.StatusTimedOut, rows.StatusDeadLetter}: "retries exhausted",
		{rows.StatusDeadLetter, rows.StatusQueued}:   "an administrator retries",
	}
	states, checked := append([]rows.Status{""}, all...), 0
	for _, from := range states {
		for _, to := range states {
			checked++
			why, want := legal[pair{from, to}]
			err := Move{Transition: rows.Transition{Name: "JOB-1", From: from, To: to}}.Check()
			if (err == nil) != want {
				t.Errorf("from %q to %q: %v, want legal: %v %s", from, to, err, want, why)
			}
			var wrong *TransitionError
			if err != nil && (!errors.As(err, &wrong) || wrong.Job != "JOB-1" || wrong.From != from || wrong.To != to) {
				t.Errorf("from %q to %q: the error is %#v", from, to, err)
			}
			// By way of another state both steps have to be legal.
			for _, via := range all {
				_, first := legal[pair{from, via}]
				_, second := legal[pair{via, to}]
				err := Move{Transition: rows.Transition{Name: "JOB-1", From: from, Via: via, To: to}}.Check()
				if (err == nil) != (first && second) {
					t.Errorf("from %q by way of %s to %q: %v, want legal: %v", from, via, to, err, first && second)
				}
			}
		}
	}
	if checked != 81 || len(states) != 9 {
		t.Errorf("%d pairs of %d states, want all 81 of 9", checked, len(states))
	}
}
