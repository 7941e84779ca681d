package attempt

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

var errBoom = errors.New("boom")

// TestJudge has every cause, error and state of the row.
func TestJudge(t *testing.T) {
	permanent := job.Mark(errBoom, job.Permanent, 0)
	running, queued := rows.StatusRunning, rows.StatusQueued
	tests := map[string]struct {
		err, cause error
		row        rows.Status // "" for a job without one
		retries    int         // spent, of 3
		kind       rqcompat.OutcomeKind
		path       string // of the row
		message    string
		says       string // RQ's error
		permanent  bool
	}{
		"well":                              {row: running, kind: rqcompat.OutcomeFinished, path: " Completed", message: "Job completed successfully"},
		"well without row":                  {kind: rqcompat.OutcomeFinished},
		"well although canceled":            {cause: job.ErrCanceled, row: running, kind: rqcompat.OutcomeFinished, path: " Completed", message: "Job completed successfully"},
		"well although shut down":           {cause: job.ErrShutdown, row: running, kind: rqcompat.OutcomeFinished, path: " Completed", message: "Job completed successfully"},
		"shut down":                         {err: errBoom, cause: job.ErrShutdown, row: running, kind: rqcompat.OutcomeGivenBack, path: "Failed Queued", message: "Job given back to the queue"},
		"shut down with a permanent error":  {err: permanent, cause: job.ErrShutdown, row: running, kind: rqcompat.OutcomeGivenBack, path: "Failed Queued", message: "Job given back to the queue"},
		"shut down without row":             {err: errBoom, cause: job.ErrShutdown, kind: rqcompat.OutcomeGivenBack},
		"abandoned by a shutdown":           {err: job.ErrAbandoned, cause: job.ErrShutdown, row: running, kind: rqcompat.OutcomeGivenBack, path: "Failed Queued", message: "Job given back to the queue"},
		"refused during a shutdown":         {err: permanent, cause: job.ErrShutdown, row: queued, kind: rqcompat.OutcomeFailed, path: " Dead Letter", message: "Job failed: boom", says: "boom", permanent: true},
		"canceled":                          {err: errBoom, cause: job.ErrCanceled, row: running, kind: rqcompat.OutcomeStopped, path: " Canceled", message: "Job canceled", says: "boom"},
		"canceled without row":              {err: errBoom, cause: job.ErrCanceled, kind: rqcompat.OutcomeStopped, says: "boom"},
		"canceled before it ran":            {err: errBoom, cause: job.ErrCanceled, row: queued, kind: rqcompat.OutcomeStopped, path: " Canceled", message: "Job canceled", says: "boom"},
		"canceled and abandoned":            {err: job.ErrAbandoned, cause: job.ErrCanceled, row: running, kind: rqcompat.OutcomeStopped, path: " Canceled", message: "Job canceled; its handler ignored that and was abandoned", says: job.ErrAbandoned.Error()},
		"stopped":                           {err: errBoom, cause: job.ErrStopped, row: running, kind: rqcompat.OutcomeStopped, path: " Canceled", message: "Job stopped by user", says: "boom"},
		"stopped and abandoned":             {err: job.ErrAbandoned, cause: job.ErrStopped, row: running, kind: rqcompat.OutcomeStopped, path: " Canceled", message: "Job stopped by user; its handler ignored that and was abandoned", says: job.ErrAbandoned.Error()},
		"timed out":                         {err: errBoom, cause: job.ErrTimeout, row: running, kind: rqcompat.OutcomeRetried, path: " Timed Out", message: "Task exceeded maximum timeout value (60 seconds) (retry 1 of 3 in 1m0s)", says: "Task exceeded maximum timeout value (60 seconds)"},
		"timed out with a permanent error":  {err: permanent, cause: job.ErrTimeout, row: running, kind: rqcompat.OutcomeRetried, path: " Timed Out", message: "Task exceeded maximum timeout value (60 seconds) (retry 1 of 3 in 1m0s)", says: "Task exceeded maximum timeout value (60 seconds)"},
		"timed out and abandoned":           {err: job.ErrAbandoned, cause: job.ErrTimeout, row: running, kind: rqcompat.OutcomeRetried, path: " Timed Out", message: "Task exceeded maximum timeout value (60 seconds); " + job.ErrAbandoned.Error() + " (retry 1 of 3 in 1m0s)", says: "Task exceeded maximum timeout value (60 seconds); " + job.ErrAbandoned.Error()},
		"timed out at last":                 {err: errBoom, cause: job.ErrTimeout, row: running, retries: 3, kind: rqcompat.OutcomeFailed, path: "Timed Out Dead Letter", message: "Retries exhausted after 4 attempts", says: "Task exceeded maximum timeout value (60 seconds)"},
		"timed out without row":             {err: errBoom, cause: job.ErrTimeout, kind: rqcompat.OutcomeFailed, says: "Task exceeded maximum timeout value (60 seconds)"},
		"killed":                            {err: errBoom, cause: job.ErrKilled, row: running, kind: rqcompat.OutcomeRetried, path: " Failed", message: "Job failed: the job was aborted by a kill-horse command (boom) (retry 1 of 3 in 1m0s)", says: "the job was aborted by a kill-horse command (boom)"},
		"failed":                            {err: errBoom, row: running, kind: rqcompat.OutcomeRetried, path: " Failed", message: "Job failed: boom (retry 1 of 3 in 1m0s)", says: "boom"},
		"failed the third time":             {err: errBoom, row: running, retries: 2, kind: rqcompat.OutcomeRetried, path: " Failed", message: "Job failed: boom (retry 3 of 3 in 4m0s)", says: "boom"},
		"failed with a pause of its own":    {err: job.Mark(errBoom, job.Transient, 7*time.Second), row: running, kind: rqcompat.OutcomeRetried, path: " Failed", message: "Job failed: boom (retry 1 of 3 in 7s)", says: "boom"},
		"snoozed":                           {err: fmt.Errorf("later: %w", job.Snooze(time.Minute)), row: running, retries: 3, kind: rqcompat.OutcomeRetried, path: " Failed", message: "Snoozed by its handler for 1m0s: to run again at then"},
		"snoozed without row":               {err: job.Snooze(time.Minute), kind: rqcompat.OutcomeRetried},
		"snoozed although shut down":        {err: job.Snooze(time.Minute), cause: job.ErrShutdown, row: running, kind: rqcompat.OutcomeRetried, path: " Failed", message: "Snoozed by its handler for 1m0s: to run again at then"},
		"snoozed although canceled":         {err: job.Snooze(time.Minute), cause: job.ErrCanceled, row: running, kind: rqcompat.OutcomeStopped, path: " Canceled", message: "Job canceled", says: "snoozed by its handler for 1m0s"},
		"snoozed although timed out":        {err: job.Snooze(time.Minute), cause: job.ErrTimeout, row: running, kind: rqcompat.OutcomeRetried, path: " Timed Out", message: "Task exceeded maximum timeout value (60 seconds) (retry 1 of 3 in 1m0s)", says: "Task exceeded maximum timeout value (60 seconds)"},
		"snoozed for too long":              {err: job.Snooze(31 * 24 * time.Hour), row: running, kind: rqcompat.OutcomeFailed, path: " Dead Letter", message: "Job failed: a job can't be snoozed for 744h0m0s: the pause has to be above zero and at most 720h0m0s", says: "a job can't be snoozed for 744h0m0s: the pause has to be above zero and at most 720h0m0s", permanent: true},
		"failed at last":                    {err: errBoom, row: running, retries: 3, kind: rqcompat.OutcomeFailed, path: "Failed Dead Letter", message: "Retries exhausted after 4 attempts", says: "boom"},
		"failed for good":                   {err: permanent, row: running, kind: rqcompat.OutcomeFailed, path: " Dead Letter", message: "Job failed: boom", says: "boom", permanent: true},
		"failed for good at last":           {err: permanent, row: running, retries: 3, kind: rqcompat.OutcomeFailed, path: " Dead Letter", message: "Job failed: boom", says: "boom", permanent: true},
		"failed without row":                {err: errBoom, kind: rqcompat.OutcomeFailed, says: "boom"},
		"failed for good without row":       {err: permanent, kind: rqcompat.OutcomeFailed, says: "boom", permanent: true},
		"refused before it ran":             {err: permanent, row: queued, kind: rqcompat.OutcomeFailed, path: " Dead Letter", message: "Job failed: boom", says: "boom", permanent: true},
		"refused before its producer moved": {err: permanent, row: rows.StatusPending, kind: rqcompat.OutcomeFailed, path: "Queued Dead Letter", message: "Job failed: boom", says: "boom", permanent: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			e := ended{
				info: job.Info{Site: site, Attempt: tc.retries + 1, Timeout: time.Minute}, err: job.ReadError(tc.err), cause: tc.cause, now: now,
				said: moves.Said{Percent: 42, Message: "half"}, retry: job.RetryPolicy{Base: time.Minute, Jitter: -1},
			}
			if tc.row != "" {
				e.row = &rows.BackgroundJob{Name: "JOB-1", Status: tc.row, RetryCount: tc.retries, MaxRetries: 3}
			}
			got := e.judge()
			if got.kind != tc.kind || got.permanent != tc.permanent {
				t.Errorf("outcome %d, permanent %v, want %d, %v", got.kind, got.permanent, tc.kind, tc.permanent)
			}
			if says := fmt.Sprint(got.err); (got.err != nil || tc.says != "") && says != tc.says {
				t.Errorf("error %q, want %q", says, tc.says)
			}
			if got.move == nil {
				if tc.path != "" {
					t.Errorf("the row isn't moved, want %s", tc.path)
				}
				return
			}
			got.move.Message = strings.ReplaceAll(got.move.Message, now.Add(time.Minute).UTC().Format(job.Clock), "then")
			if path := string(got.move.Via + " " + got.move.To); path != tc.path || got.move.Message != tc.message {
				t.Errorf("the row goes %q: %q, want %q: %q", path, got.move.Message, tc.path, tc.message)
			}
			if err := got.move.Check(); err != nil {
				t.Errorf("the move is illegal: %v", err)
			}
			want := 42.0
			if got.kind == rqcompat.OutcomeFinished {
				want = 100
			}
			if w := got.move.Written(); w.Progress != want || w.ProgressMessage != "half" {
				t.Errorf("the last report is written as %v %q, want %v half", w.Progress, w.ProgressMessage, want)
			}
			if got.move.Site != site {
				t.Errorf("the move is of site %q, want %q", got.move.Site, site)
			}
		})
	}
}

func TestOutcomeOf(t *testing.T) {
	for status, want := range map[rows.Status]string{
		rows.StatusCompleted: "finished", rows.StatusCanceled: "stopped", rows.StatusDeadLetter: "failed",
		rows.StatusFailed: "failed", rows.StatusTimedOut: "failed",
	} {
		if got := words[outcomeOf(status)]; got != want {
			t.Errorf("RQ's word for a row that is %s is %s, want %s", status, got, want)
		}
	}
}
