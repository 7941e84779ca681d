package attempt

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestHowLoudAnEndIs: as loud as somebody has to look.
func TestHowLoudAnEndIs(t *testing.T) {
	for name, tc := range map[string]struct {
		status rows.Status
		f      func(context.Context, job.Reporter) (any, error)
		want   string
	}{
		"well":                       {rows.StatusQueued, failing(nil), `level=DEBUG msg="job ended"`},
		"failed, to be retried":      {rows.StatusQueued, failing(errBoom), `level=INFO msg="job failed" error=boom error_type=Transient attempt=1`},
		"failed for good":            {rows.StatusQueued, failing(refusal), `level=WARN msg="job failed"`},
		"a panic":                    {rows.StatusQueued, func(context.Context, job.Reporter) (any, error) { panic("oops") }, `level=ERROR msg="job failed" error="handler panicked: oops"`},
		"a failed job without a row": {"", failing(errBoom), `level=INFO msg="job failed"`},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			q := plain(tc.f)
			if tc.status != "" {
				q = h.delivery(tc.status, tc.f)
			}
			h.run(t, q)
			h.wantLog(t, tc.want, "job_id="+q.ID, "queue=b:go", "method="+q.Method, "site="+site)
			if tc.status != "" {
				h.wantLog(t, "job=JOB-1", "organization=ORG-A")
			}
			if name == "a panic" {
				h.wantLog(t, "stack=", "outcome_test.go")
			}
		})
	}
}

// TestParametersAreInNoLogLine: a job with a password runs and fails in every way, and the log is open at debug.
func TestParametersAreInNoLogLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		stop := h.reporting(t)
		for _, f := range []func(context.Context, job.Reporter) (any, error){
			nil, failing(errBoom), failing(refusal), func(context.Context, job.Reporter) (any, error) { panic("oops") },
			func(ctx context.Context, r job.Reporter) (any, error) {
				r.Progress(1, "half")
				r.Log().Debug("working")
				<-ctx.Done()
				return nil, context.Cause(ctx)
			},
		} {
			for _, retries := range []int{0, 3} {
				q := h.delivery(rows.StatusQueued, f)
				q.Row.RetryCount = retries
				h.run(t, q)
				plainJob := plain(f)
				plainJob.Args = []any{"s3cret"}
				h.run(t, plainJob)
				time.Sleep(time.Hour)
			}
		}
		h.rows.fail(errAway)
		h.run(t, h.delivery(rows.StatusQueued, nil))
		time.Sleep(time.Hour)
		h.jobs.Wait()
		stop()
		if strings.Contains(h.log.String(), "s3cret") {
			t.Errorf("the log has the parameters of a job:\n%s", h.log.String())
		}
		h.wantLog(t, "msg=working") // it is open at debug
	})
}

// TestAReturnValue is what Python reads.
func TestAReturnValue(t *testing.T) {
	for name, tc := range map[string]struct {
		result any
		want   string
	}{
		"nothing":              {nil, ""},
		"a string":             {"x", "x"},
		"a struct":             {struct{ N int }{1 << 60}, "map[N:1152921504606846976]"},
		"what can't be JSON":   {make(chan int), "Unserializable return value"},
		"a MarshalJSON panics": {panicsInJSON{}, "Unserializable return value"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			h.run(t, plain(func(context.Context, job.Reporter) (any, error) { return tc.result, nil }))
			if got := decoded(t, h.rq.outcomes[0].ReturnValue); got != tc.want {
				t.Errorf("%s becomes %q, want %q", name, got, tc.want)
			}
			h.wantFree(t)
		})
	}
}

type panicsInJSON struct{}

func (panicsInJSON) MarshalJSON() ([]byte, error) { panic("no JSON of mine") }

// TestEnded is told after row and RQ, with what the attempt came to.
func TestEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.run(t, h.delivery(rows.StatusQueued, func(context.Context, job.Reporter) (any, error) {
			time.Sleep(7 * time.Second)
			return nil, errBoom
		}))
		h.jobs.Wait()
		if len(h.ends) != 1 || h.ends[0].outcome != "failed" || h.ends[0].err != errBoom || h.ends[0].took != 7*time.Second || h.ends[0].info.Name != "JOB-1" {
			t.Errorf("told of %+v, want that JOB-1 failed with boom after 7 s", h.ends)
		}
	})
}
