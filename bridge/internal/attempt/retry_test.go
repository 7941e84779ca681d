package attempt

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestRetriesOfAPlainJob: a passing failure is tried again in a while, a few times; a permanent one never.
func TestRetriesOfAPlainJob(t *testing.T) {
	usual := []time.Duration{time.Second, 5 * time.Second}
	for name, tc := range map[string]struct {
		err     error
		attempt int
		own     []time.Duration
		want    string
	}{
		"the first attempt":     {errBoom, 1, nil, "1s of 2"},
		"the second attempt":    {errBoom, 2, nil, "5s of 2"},
		"the last attempt":      {errBoom, 3, nil, "0s of 0"},
		"before it was counted": {errBoom, 0, nil, "1s of 2"},
		"a pause that it names": {job.Mark(errBoom, job.Transient, time.Hour), 1, nil, "1h0m0s of 2"},
		"a permanent error":     {job.Mark(errBoom, job.Permanent, 0), 1, nil, "0s of 0"},
		"a refusal":             {job.Refuse("RowError", "no"), 1, nil, "0s of 0"},
		"the handler's own":     {errBoom, 1, []time.Duration{time.Minute}, "1m0s of 1"},
		"the handler has none":  {errBoom, 1, []time.Duration{}, "0s of 0"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				h.RetryIntervals = usual
				q := plain(failing(tc.err))
				q.Attempt, q.Handler.RetryIntervals = tc.attempt, tc.own
				h.run(t, q)
				h.jobs.Wait()
				o := h.rq.outcomes[0]
				if got := fmt.Sprintf("%s of %d", o.RetryIn, o.RetryLimit); got != tc.want {
					t.Errorf("tried again in %s, want %s", got, tc.want)
				}
				if got := h.ends[0].info.Attempt; got != max(tc.attempt, 1) {
					t.Errorf("the handler was told of attempt %d, want %d", got, max(tc.attempt, 1))
				}
			})
		})
	}
}

// TestRowsHaveTheirOwnRetries: nothing in RQ repeats a delivery.
func TestRowsHaveTheirOwnRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.RetryIntervals = []time.Duration{time.Second}
		h.run(t, h.delivery(rows.StatusQueued, failing(errBoom)))
		h.jobs.Wait()
		if o := h.rq.outcomes[0]; o.RetryIn != 0 || !o.NoRQRetry {
			t.Errorf("the delivery is tried again in %s, RQ's retries ignored: %t, want never, true", o.RetryIn, o.NoRQRetry)
		}
	})
}
