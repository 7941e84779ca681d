package breaker

import (
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestEndOf: what a handler puts off, what is given back and what is canceled is no attempt that counts.
func TestEndOf(t *testing.T) {
	failed := rows.BackgroundJob{ErrorMessage: "no route\nto host", ErrorType: rows.ErrorTransient}
	for _, tc := range []struct {
		to      rows.Status
		written rows.BackgroundJob
		want    end
	}{
		{rows.StatusCompleted, rows.BackgroundJob{}, end{ran: true}},
		{rows.StatusFailed, failed, end{ran: true, failed: true, why: "no route"}},
		{rows.StatusTimedOut, failed, end{ran: true, failed: true, why: "no route"}},
		{rows.StatusDeadLetter, failed, end{ran: true, failed: true, why: "no route"}},
		{rows.StatusFailed, rows.BackgroundJob{}, end{}},
		{rows.StatusQueued, rows.BackgroundJob{}, end{}},
		{rows.StatusCanceled, rows.BackgroundJob{}, end{}},
	} {
		if got := endOf(sites.Moved{From: rows.StatusRunning, To: tc.to, Written: tc.written}); got != tc.want {
			t.Errorf("%s, %q: %+v, want %+v", tc.to, tc.written.ErrorMessage, got, tc.want)
		}
	}
}
