package attempt

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// callable has a job name all callbacks, and the house hand them over.
func (h *house) callable(q *job.Queued) *job.Queued {
	q.Callbacks = job.Callbacks{}
	for _, kind := range job.CallbackKinds {
		q.Callbacks[kind] = rqcompat.Callback{Name: "app." + string(kind)}
	}
	h.CallBack = func(e sites.End) (*rqcompat.HandOver, string) {
		if e.Callback.Name == "" {
			return nil, ""
		}
		return &rqcompat.HandOver{ID: e.When, Kind: e.Kind, Callback: e.Callback, Message: e.Message}, "handed over " + e.Callback.Name
	}
	return q
}

// handed is what was handed over with the only outcome.
func (h *house) handed(t *testing.T) string {
	t.Helper()
	if len(h.rq.outcomes) != 1 {
		t.Fatalf("outcomes %+v, want one", h.rq.outcomes)
	}
	if o := h.rq.outcomes[0].HandOver; o != nil {
		return fmt.Sprint(o.Name, " ", o.Message)
	}
	return ""
}

// TestWhichCallbackIsHandedOver: that of the end that row and RQ have in the end; none before a job is to run again.
func TestWhichCallbackIsHandedOver(t *testing.T) {
	permanent := failing(job.Mark(errBoom, job.Permanent, 0))
	meanwhile := func(h *house, status rows.Status, f func(context.Context, job.Reporter) (any, error)) func(context.Context, job.Reporter) (any, error) {
		return func(ctx context.Context, r job.Reporter) (any, error) {
			h.rows.rows["JOB-1"].Status = status
			return f(ctx, r)
		}
	}
	well := func(context.Context, job.Reporter) (any, error) { return nil, nil }
	for name, tc := range map[string]struct {
		job  func(h *house) *job.Queued
		want string
	}{
		"a plain job":                {func(h *house) *job.Queued { return plain(nil) }, "app.success "},
		"a plain job that fails":     {func(h *house) *job.Queued { return plain(failing(errBoom)) }, "app.failure boom"},
		"a row":                      {func(h *house) *job.Queued { return h.delivery(rows.StatusQueued, nil) }, "app.success "},
		"a row that is retried":      {func(h *house) *job.Queued { return h.delivery(rows.StatusQueued, failing(errBoom)) }, ""},
		"a row that fails for good":  {func(h *house) *job.Queued { return h.delivery(rows.StatusQueued, permanent) }, "app.failure boom"},
		"a row that was completed":   {func(h *house) *job.Queued { return h.delivery(rows.StatusCompleted, nil) }, "app.success "},
		"a dead letter":              {func(h *house) *job.Queued { return h.delivery(rows.StatusDeadLetter, nil) }, "app.failure row JOB-1 is Dead Letter: "},
		"canceled before it started": {func(h *house) *job.Queued { return h.delivery(rows.StatusCanceled, nil) }, ""},
		"a row that runs already":    {func(h *house) *job.Queued { return h.delivery(rows.StatusRunning, nil) }, ""},
		"canceled meanwhile": {func(h *house) *job.Queued {
			return h.delivery(rows.StatusQueued, meanwhile(h, rows.StatusCanceled, well))
		}, "app.stopped "},
		"failed meanwhile, to go on": {func(h *house) *job.Queued {
			return h.delivery(rows.StatusQueued, meanwhile(h, rows.StatusFailed, permanent))
		}, ""},
		"completed meanwhile": {func(h *house) *job.Queued {
			return h.delivery(rows.StatusQueued, meanwhile(h, rows.StatusCompleted, permanent))
		}, "app.success "},
		"a job that is broken": {func(h *house) *job.Queued { q := plain(nil); q.Broken = errBoom; return q }, "app.failure boom"},
		"a row of a job that is broken": {func(h *house) *job.Queued {
			q := h.delivery(rows.StatusQueued, nil)
			q.Broken = job.Mark(errBoom, job.Permanent, 0)
			return q
		}, "app.failure boom"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			h.run(t, h.callable(tc.job(h)))
			got := h.handed(t)
			if got = strings.TrimSuffix(got, "the old error"); got != tc.want {
				t.Errorf("%s: handed over %q, want %q", name, got, tc.want)
			}
			for _, m := range h.rows.moves {
				if told := strings.HasSuffix(m.Message, "; handed over "+strings.Fields(tc.want + " -")[0]); m.To.Terminal() != told {
					t.Errorf("%s: the log says %q", name, m.Message)
				}
			}
		})
	}
}

// TestAnEndHasOneName: whoever finds a row ended names its end as who ended it did.
func TestAnEndHasOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		q := h.delivery(rows.StatusQueued, nil)
		h.run(t, h.callable(q))
		time.Sleep(time.Hour)
		again := *h.rows.rows["JOB-1"]
		q.Row = &again
		h.run(t, q)
		if first, second := h.rq.outcomes[0].HandOver, h.rq.outcomes[1].HandOver; first.ID == "" || first.ID != second.ID {
			t.Errorf("%+v, then %+v", first, second)
		}
	})
}
