package attempt

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

var (
	errAway  = fmt.Errorf("site a: %w", rows.ErrUnavailable)
	errValue = fmt.Errorf("site a: %w", rows.ErrValue)
	refusal  = job.Refuse("JobTypeError", "Job Type is disabled")
	noGo     = job.Mark(&job.NoHandlerError{Method: "export", Queue: "go"}, job.Permanent, 0)
)

// TestAdmission has every way in which a claimed job comes to run or doesn't.
func TestAdmission(t *testing.T) {
	refuse, wait := policy.Answer{Verdict: policy.Refuse, Err: refusal}, policy.Answer{Verdict: policy.Wait, Again: time.Hour}
	const started, startedTold = "row Queued > Running", "observers Running"
	completed := []string{"row Running > Completed", "rq finished", "observers Completed", "ended finished"}
	dead := []string{"row Queued > Dead Letter", "rq failed", "observers Dead Letter", "ended failed"}
	tests := map[string]struct {
		status rows.Status // of the row; "" for a job without one
		before func(h *house, q *job.Queued)
		story  []string
		exc    string // in RQ's error
		took   time.Duration
	}{
		"a plain job":  {story: []string{"rq finished", "ended finished"}},
		"a queued row": {status: rows.StatusQueued, story: append([]string{started, startedTold}, completed...)},
		"a pending row": {status: rows.StatusPending,
			story: append([]string{"row Pending > Queued > Running", startedTold}, completed...)},
		"a failed row that somebody requeued in RQ": {status: rows.StatusFailed,
			story: append([]string{"row Failed > Queued > Running", startedTold}, completed...)},
		"a completed row":            {status: rows.StatusCompleted, story: []string{"rq finished"}},
		"a canceled row":             {status: rows.StatusCanceled, story: []string{"rq stopped"}, exc: stoppedText},
		"a dead letter":              {status: rows.StatusDeadLetter, story: []string{"rq failed"}, exc: "row JOB-1 is Dead Letter: the old error"},
		"a row that runs already":    {status: rows.StatusRunning, story: []string{"rq finished"}},
		"a plain job that is broken": {before: func(_ *house, q *job.Queued) { q.Broken, q.Handler = noGo, nil }, story: []string{"rq failed", "ended failed"}, exc: "no handler for"},
		"a row without a handler":    {status: rows.StatusQueued, before: func(_ *house, q *job.Queued) { q.Broken, q.Handler = noGo, nil }, story: dead, exc: "no handler for"},
		"a pending row without a handler": {status: rows.StatusPending, before: func(_ *house, q *job.Queued) { q.Broken, q.Handler = noGo, nil },
			story: []string{"row Pending > Queued > Dead Letter", "rq failed", "observers Dead Letter", "ended failed"}},
		"a completed row without a handler":      {status: rows.StatusCompleted, before: func(_ *house, q *job.Queued) { q.Broken, q.Handler = noGo, nil }, story: []string{"rq finished"}},
		"a row without a handler runs elsewhere": {status: rows.StatusRunning, before: func(_ *house, q *job.Queued) { q.Broken, q.Handler = noGo, nil }, story: []string{"rq finished"}},
		"a row that policy refuses":              {status: rows.StatusQueued, before: func(h *house, _ *job.Queued) { h.answer = refuse }, story: dead, exc: "bridge.JobTypeError: Job Type is disabled"},
		"a completed row that policy refuses":    {status: rows.StatusCompleted, before: func(h *house, _ *job.Queued) { h.answer = refuse }, story: []string{"rq finished"}},
		"a running row that policy refuses":      {status: rows.StatusRunning, before: func(h *house, _ *job.Queued) { h.answer = refuse }, story: []string{"rq finished"}},
		"a row that policy lets wait":            {status: rows.StatusQueued, before: func(h *house, _ *job.Queued) { h.answer = wait }, story: []string{"rq given back"}},
		"a plain job that policy lets wait":      {before: func(h *house, _ *job.Queued) { h.answer = wait }, story: []string{"rq given back"}},
		"a broken job isn't asked for":           {before: func(h *house, q *job.Queued) { q.Broken, h.answer = noGo, wait }, story: []string{"rq failed", "ended failed"}},
		"a row that was deleted": {status: rows.StatusQueued, before: func(h *house, _ *job.Queued) { delete(h.rows.rows, "JOB-1") },
			story: []string{"rq failed", "ended failed"}, exc: "bridge.RowError: Background Job JOB-1 was deleted"},
		"a row that was completed meanwhile": {status: rows.StatusQueued, before: func(h *house, _ *job.Queued) { h.rows.rows["JOB-1"].Status = rows.StatusCompleted }, story: []string{"rq finished"}},
		"a row that was canceled meanwhile":  {status: rows.StatusQueued, before: func(h *house, _ *job.Queued) { h.rows.rows["JOB-1"].Status = rows.StatusCanceled }, story: []string{"rq stopped"}},
		"a row that was started meanwhile":   {status: rows.StatusQueued, before: func(h *house, _ *job.Queued) { h.rows.rows["JOB-1"].Status = rows.StatusRunning }, story: []string{"rq finished"}},
		"a row that its producer queued meanwhile": {status: rows.StatusPending, before: func(h *house, _ *job.Queued) { h.rows.rows["JOB-1"].Status = rows.StatusQueued },
			story: []string{"rq given back"}},
		"a row whose retry somebody queued meanwhile": {status: rows.StatusFailed, before: func(h *house, _ *job.Queued) {
			h.rows.rows["JOB-1"].Status, h.rows.rows["JOB-1"].RetryCount = rows.StatusQueued, 1
		}, story: []string{"rq given back"}},
		"a site that is away":          {status: rows.StatusQueued, before: func(h *house, _ *job.Queued) { h.rows.err = errAway }, story: []string{"rq given back"}, took: unreadyPause},
		"a site that locks":            {status: rows.StatusQueued, before: func(h *house, _ *job.Queued) { h.rows.err = rows.ErrTableMissing }, story: []string{"rq given back"}, took: unreadyPause},
		"a row that can't be had":      {status: "new", before: func(h *house, _ *job.Queued) { h.rows.err = errValue }, story: []string{"rq failed", "ended failed"}, exc: "bridge.RowError: the row can't be written: site a: value refused"},
		"an error nobody knows":        {status: "new", before: func(h *house, _ *job.Queued) { h.rows.err = errBoom }, story: []string{"rq given back"}, took: unreadyPause},
		"a row that can't be had now":  {status: "new", before: func(h *house, _ *job.Queued) { h.rows.err = errAway }, story: []string{"rq given back"}, took: unreadyPause},
		"a Job Type's job":             {status: "new", story: append([]string{started, startedTold}, completed...)},
		"a Job Type's job without org": {status: "new", before: func(_ *house, q *job.Queued) { q.Organization = "" }, story: []string{"rq failed", "ended failed"}, exc: "bridge.OrganizationError: export is a Job Type and needs"},
		"a Job Type's job, once more": {status: "new", before: func(h *house, _ *job.Queued) {
			h.rows.rows["JOB-NEW"] = &rows.BackgroundJob{Name: "JOB-NEW", JobType: "export", Organization: "ORG-A", OwnerUser: "owner@example.com", Status: rows.StatusCompleted}
		}, story: []string{"rq finished"}},
		"a row that is another's by now": {status: "new", before: func(h *house, _ *job.Queued) {
			h.rows.rows["JOB-NEW"] = &rows.BackgroundJob{Name: "JOB-NEW", JobType: "export", Organization: "ORG-B", OwnerUser: "owner@example.com", Status: rows.StatusQueued}
		}, story: []string{"rq failed", "ended failed"}, exc: "bridge.RowError: Background Job JOB-NEW was made for this job, and belongs to somebody else by now"},
		"a foreign delivery ahead of its turn": {status: rows.StatusFailed, before: func(_ *house, q *job.Queued) {
			q.ID, q.Row.NextRetryAt = "any", time.Now().Add(time.Second)
		}, story: []string{"rq finished"}},
		"a foreign delivery in time": {status: rows.StatusFailed, before: func(_ *house, q *job.Queued) {
			q.ID, q.Row.NextRetryAt = "any", time.Now()
		}, story: append([]string{"row Failed > Queued > Running", startedTold}, completed...)},
		"its own delivery ahead of its turn": {status: rows.StatusTimedOut, before: func(_ *house, q *job.Queued) {
			q.Row.NextRetryAt = time.Now().Add(time.Hour)
		}, story: append([]string{"row Timed Out > Queued > Running", startedTold}, completed...)},
		"a Job Type's job is refused":   {status: "new", before: func(h *house, _ *job.Queued) { h.answer = refuse }, story: dead},
		"an organization that is asked": {status: "new", before: func(h *house, q *job.Queued) { q.Organization, h.answer = "", refuse }, story: []string{"rq failed", "ended failed"}, exc: "needs an organization"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				q := plain(nil)
				if tc.status != "" {
					q = h.delivery(tc.status, nil)
					q.Row.ErrorMessage = "the old error"
				}
				if tc.status == "new" {
					delete(h.rows.rows, "JOB-1")
					q.RowName, q.Row = "", nil
				}
				if tc.before != nil {
					tc.before(h, q)
				}
				begin := time.Now()
				h.run(t, q)
				h.jobs.Wait()
				if took := time.Since(begin); took != tc.took {
					t.Errorf("it took %s, want %s: what must be given back mustn't go round and round", took, tc.took)
				}
				h.wantStory(t, name, tc.story...)
				h.wantFree(t)
				last := h.rq.outcomes[len(h.rq.outcomes)-1]
				if !strings.Contains(last.Exc, tc.exc) || last.Exc != "" && last.Kind == rqcompat.OutcomeFinished {
					t.Errorf("RQ's error is %q, want %q in it", last.Exc, tc.exc)
				}
			})
		})
	}
}

// TestARunningRowKeepsItsAttempt: a second delivery of a row, whatever is wrong with it, must not take the row from the
// attempt that runs.
func TestARunningRowKeepsItsAttempt(t *testing.T) {
	for name, before := range map[string]func(h *house, q *job.Queued){
		"fine":    func(*house, *job.Queued) {},
		"broken":  func(_ *house, q *job.Queued) { q.Broken = noGo },
		"refused": func(h *house, _ *job.Queued) { h.answer = policy.Answer{Verdict: policy.Refuse, Err: refusal} },
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			q := h.delivery(rows.StatusRunning, nil)
			fence := fenceText(time.Now().Add(-time.Minute))
			h.rows.rows["JOB-1"].StartedRaw, q.Row.StartedRaw = fence, fence
			before(h, q)
			h.run(t, q)
			if row := h.rows.rows["JOB-1"]; row.Status != rows.StatusRunning || row.StartedRaw != fence {
				t.Errorf("%s: the row is %s since %s, want still running for the other attempt", name, row.Status, row.StartedRaw)
			}
		})
	}
}

// TestTheFenceIsTheClaims: row and delivery are matched by the very same instant.
func TestTheFenceIsTheClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		lease := h.start(t.Context(), h.delivery(rows.StatusQueued, nil))
		synctest.Wait()
		if m := h.rows.moves[0]; !m.StartedAt.Equal(lease.StartedAt) {
			t.Errorf("the row starts at %s, want the time of the claim, %s", m.StartedAt, lease.StartedAt)
		}
		for _, m := range h.rows.moves[1:] {
			if want := fenceText(lease.StartedAt); m.Fence != want {
				t.Errorf("the move to %s has the fence %s, want what the row got, %s", m.To, m.Fence, want)
			}
		}
	})
}

// TestWhatAHandlerGets of its job.
func TestWhatAHandlerGets(t *testing.T) {
	minute, none := time.Minute, time.Duration(0)
	tests := map[string]struct {
		job    func(h *house) *job.Queued
		info   job.Info
		params string
	}{
		"a row": {
			func(h *house) *job.Queued {
				q := h.delivery(rows.StatusQueued, nil)
				q.Timeout = &none // the row's counts
				h.rows.rows["JOB-1"].RetryCount, q.Row.RetryCount = 2, 2
				return q
			},
			job.Info{ID: site + "::JOB-1", Name: "JOB-1", Method: "export", JobType: "export", Site: site, User: "owner@example.com", Organization: "ORG-A", Attempt: 3, Queue: "b:go", Timeout: time.Minute},
			`{"password":"s3cret"}`,
		},
		"a dead letter that was requeued in RQ, spends a retry": {
			func(h *house) *job.Queued { return h.delivery(rows.StatusTimedOut, nil) },
			job.Info{ID: site + "::JOB-1", Name: "JOB-1", Method: "export", JobType: "export", Site: site, User: "owner@example.com", Organization: "ORG-A", Attempt: 2, Queue: "b:go", Timeout: time.Minute},
			`{"password":"s3cret"}`,
		},
		"a row without a limit": {
			func(h *house) *job.Queued {
				q := h.delivery(rows.StatusQueued, nil)
				q.Row.TimeoutSeconds = -1
				return q
			},
			job.Info{ID: site + "::JOB-1", Name: "JOB-1", Method: "export", JobType: "export", Site: site, User: "owner@example.com", Organization: "ORG-A", Attempt: 1, Queue: "b:go"},
			`{"password":"s3cret"}`,
		},
		"a plain job": {
			func(*house) *job.Queued { return plain(nil) },
			job.Info{ID: "plain-1", Method: "go.plain", Site: site, User: "jane@example.com", Attempt: 1, Queue: "b:go", Timeout: 180 * time.Second}, `{}`,
		},
		"a plain job with a limit": {
			func(*house) *job.Queued {
				q := plain(nil)
				q.Timeout = &minute
				return q
			},
			job.Info{ID: "plain-1", Method: "go.plain", Site: site, User: "jane@example.com", Attempt: 1, Queue: "b:go", Timeout: time.Minute}, `{}`,
		},
		"a plain job whose parameters lost something": {
			func(*house) *job.Queued {
				q := plain(nil)
				q.Kwargs = &pickle.Dict{Items: []pickle.Pair{{Key: "tags", Value: &pickle.Set{Items: []any{"a"}}}}}
				return q
			},
			job.Info{ID: "plain-1", Method: "go.plain", Site: site, User: "jane@example.com", Attempt: 1, Queue: "b:go", Timeout: 180 * time.Second,
				Lossy: []string{"$.tags: set written as a list"}}, `{"tags":["a"]}`,
		},
		"a plain job without a limit": {
			func(*house) *job.Queued {
				q := plain(nil)
				q.Timeout = &none
				return q
			},
			job.Info{ID: "plain-1", Method: "go.plain", Site: site, User: "jane@example.com", Attempt: 1, Queue: "b:go"}, `{}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				q := tc.job(h)
				var (
					info   job.Info
					params string
				)
				q.Handler = &job.Handler{Call: func(_ context.Context, i job.Info, p json.RawMessage, _ job.Reporter) (any, error) {
					info, params = i, string(p)
					return nil, nil
				}}
				h.run(t, q)
				if diff := cmp.Diff(tc.info, info); diff != "" || params != tc.params {
					t.Errorf("parameters %s, want %s; info (-want +got):\n%s", params, tc.params, diff)
				}
				if len(h.ends) != 1 || cmp.Diff(tc.info, h.ends[0].info) != "" {
					t.Errorf("Ended is told of %+v, want the same", h.ends)
				}
			})
		})
	}
}

// TestTheRowOfAnArrival is made of the Job Type and the call. Frappe sends the queue's timeout if the caller named none.
func TestTheRowOfAnArrival(t *testing.T) {
	claimed := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	own, none, queues := 90*time.Second, time.Duration(0), 300*time.Second
	for timeout, want := range map[*time.Duration]int{nil: 600, &none: 600, &queues: 600, &own: 90} {
		got := arrival(&job.Queued{
			Queue: job.Queue{Timeout: queues}, ID: "id", CreatedAt: claimed.Add(-time.Hour), Organization: "ORG-A", User: "jane@example.com", Timeout: timeout,
			JobType: &rows.JobType{TypeName: "export", DefaultTimeout: 600, DefaultPriority: "High", MaxRetries: 7},
		}, json.RawMessage(`{"n":1}`), claimed)
		if diff := cmp.Diff(rows.NewJob{
			JobType: "export", Organization: "ORG-A", OwnerUser: "jane@example.com", Priority: "High", JobHash: sites.Arrival{ID: "id", CreatedAt: claimed.Add(-time.Hour)}.Hash(),
			MaxRetries: 7, TimeoutSeconds: want, InputParameters: json.RawMessage(`{"n":1}`), Status: rows.StatusQueued,
			CreatedMessage: "Job created for RQ job id", CreatedAt: claimed,
		}, got, cmpopts.IgnoreUnexported(rows.NewJob{})); diff != "" {
			t.Errorf("timeout %v (-want +got):\n%s", timeout, diff)
		}
	}
	of := &job.Queued{Queue: job.Queue{Timeout: queues}, Timeout: &queues, JobType: &rows.JobType{TypeName: "export"}}
	if got := arrival(of, nil, time.Now()).TimeoutSeconds; got != 300 {
		t.Errorf("a Job Type without a timeout: %d s, want the queue's 300", got)
	}
}

// TestWhatParametersLostIsInTheLog of their row, and known to the handler.
func TestWhatParametersLostIsInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		var heard []string
		q := h.delivery(rows.StatusQueued, nil)
		q.RowName, q.Row, q.Before = "", nil, "taken back from Python"
		q.Kwargs = &pickle.Dict{Items: []pickle.Pair{{Key: "raw", Value: pickle.Bytes("\xff")}}}
		for range 12 {
			q.Args = append(q.Args, math.Inf(1))
		}
		q.Handler = &job.Handler{Call: func(_ context.Context, i job.Info, _ json.RawMessage, _ job.Reporter) (any, error) {
			heard = i.Lossy
			return nil, nil
		}}
		h.run(t, q)
		if len(heard) != 13 || heard[0] != "$.raw: bytes written as base64" || heard[12] != "$.args[11]: float inf written as text" {
			t.Errorf("the handler knows of %q, want all 13 losses", heard)
		}
		const want = "Worker started execution; taken back from Python; parameters from Python: $.raw: bytes written as base64, $.args[0]: float inf written as text, "
		if got := h.rows.moves[0].Message; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "$.args[8]: float inf written as text, and 3 more") {
			t.Errorf("the log says %q, want %q and so on", got, want)
		}
	})
}

// TestParametersThatWereMendedAreTheRows: what the call's lost says nothing of them.
func TestParametersThatWereMendedAreTheRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		q := h.delivery(rows.StatusQueued, nil)
		q.RowName, q.Row = "", nil
		q.Kwargs = &pickle.Dict{Items: []pickle.Pair{{Key: "raw", Value: pickle.Bytes("\xff")}}}
		h.rows.put(&rows.BackgroundJob{Name: "JOB-NEW", JobType: "export", Organization: "ORG-A", OwnerUser: "owner@example.com", Status: rows.StatusQueued, InputParameters: json.RawMessage(`{"raw":"mended"}`)})
		q.Handler = &job.Handler{Call: func(_ context.Context, i job.Info, p json.RawMessage, _ job.Reporter) (any, error) {
			if string(p) != `{"raw":"mended"}` || len(i.Lossy) > 0 {
				t.Errorf("the handler gets %s and is told of %q, want the row's and nothing", p, i.Lossy)
			}
			return nil, nil
		}}
		h.run(t, q)
		h.wantStory(t, "mended", "row Queued > Running", "observers Running", "row Running > Completed", "rq finished", "observers Completed", "ended finished")
	})
}

// TestParametersThatDoNotFit end the job before anything of it starts.
func TestParametersThatDoNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		q := plain(func(context.Context, job.Reporter) (any, error) { panic("the handler runs") })
		q.Kwargs = &pickle.Dict{Items: []pickle.Pair{{Key: "text", Value: strings.Repeat("\x01", 5<<20)}}}
		h.run(t, q)
		h.wantStory(t, "too large", "rq failed", "ended failed")
		if exc := h.rq.outcomes[0].Exc; !strings.Contains(exc, "more than 25165824 bytes of JSON") {
			t.Errorf("RQ is told %q, want the limit's name", exc)
		}
	})
}

// TestWhatPolicyIsAsked, at the start, of the job that was claimed.
func TestWhatPolicyIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		q := h.delivery(rows.StatusQueued, nil)
		h.run(t, q)
		want := policy.Question{Moment: policy.AtStart, Site: site, Queue: "go", JobType: "export", Organization: "ORG-A", User: "owner@example.com", Row: q.Row}
		if len(h.asked) != 1 || h.asked[0] != want {
			t.Errorf("asked %+v, want %+v once", h.asked, want)
		}
	})
}

// TestStoppedDuringAdmission: a row that can't be moved, of a job that is stopped meanwhile, isn't given back.
func TestStoppedDuringAdmission(t *testing.T) {
	for cause, want := range map[error]string{job.ErrStopped: "Job stopped by user", job.ErrCanceled: "Job canceled"} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			q := h.delivery(rows.StatusQueued, nil)
			h.rows.before = func(m moves.Move) {
				if m.To == rows.StatusRunning {
					h.running.ofRow(site, "JOB-1").cancel(cause)
					h.rows.fail(errAway)
				}
			}
			// The move is refused after the cancel.
			h.Runner.Params.Rows = failsAfter{h.rows}
			h.run(t, q)
			h.rows.fail(nil)
			h.jobs.Wait()
			h.wantStory(t, "stopped while its row can't be moved", "row Queued > Canceled", "rq stopped", "observers Canceled", "ended stopped")
			if got := h.rows.moves[0].Message; got != want {
				t.Errorf("message %q, want %q", got, want)
			}
		})
	}
}

// failsAfter looks at the error once more after before was called.
type failsAfter struct{ *table }

func (f failsAfter) Apply(ctx context.Context, m moves.Move, then func(context.Context) error) (rows.TransitionResult, error) {
	if f.before != nil {
		f.before(m)
		if err := f.fails(); err != nil {
			return rows.TransitionResult{}, err
		}
	}
	return f.table.Apply(ctx, m, then)
}

// TestAMoveToRunningIsNotInterrupted: whether an interrupted one was carried out wouldn't be known.
func TestAMoveToRunningIsNotInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.Ask = func(context.Context, policy.Question) policy.Answer {
			h.running.unsettled()[0].cancel(job.ErrStopped)
			return policy.Answer{}
		}
		h.run(t, h.delivery(rows.StatusQueued, obeys))
		h.wantStory(t, "stopped just before", "row Queued > Running", "observers Running",
			"row Running > Canceled", "rq stopped", "observers Canceled", "ended stopped")
	})
}

// TestShutdownDuringAdmission gives the job back at once.
func TestShutdownDuringAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.rows.err = errValue // not a server's fault, and yet: the process stops
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(job.ErrShutdown)
		begin := time.Now()
		h.start(ctx, h.delivery(rows.StatusQueued, nil))
		h.jobs.Wait()
		h.wantStory(t, "shut down before its start", "rq given back")
		if time.Since(begin) > 0 {
			t.Errorf("that took %s, want no pause", time.Since(begin))
		}
		if o := h.rq.outcomes[0]; o.Kind != rqcompat.OutcomeGivenBack || !o.NoRQRetry {
			t.Errorf("outcome %+v", o)
		}
	})
}

// TestAStartWithoutAnAnswer is made again, and the job runs once, whether the row had been moved or not.
func TestAStartWithoutAnAnswer(t *testing.T) {
	for _, unmade := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			h.rows.unanswered, h.rows.unmade = 3, unmade
			runs := 0
			h.run(t, h.delivery(rows.StatusQueued, func(context.Context, job.Reporter) (any, error) { runs++; return nil, nil }))
			time.Sleep(time.Minute)
			synctest.Wait()
			h.wantStory(t, fmt.Sprint("not made: ", unmade), "row Queued > Running", "observers Running", "row Running > Completed", "rq finished", "observers Completed", "ended finished")
			if runs != 1 {
				t.Errorf("it ran %d times", runs)
			}
			h.wantFree(t)
		})
	}
}
