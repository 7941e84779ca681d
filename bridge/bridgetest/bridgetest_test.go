package bridgetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/bridgetest"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

type export struct {
	Year int `json:"year"`
}

type answer struct {
	Rows int64
	When bridge.Date
}

func TestEverythingIsRecorded(t *testing.T) {
	long := strings.Repeat("é", 141)
	r := bridgetest.Run(t.Context(), func(ctx context.Context, job *bridge.Job[export]) (any, error) {
		job.Progress(-5, "start")
		job.Progress(150, long)
		job.SetOutput("/files/first")
		job.SetOutput(strings.Repeat("é", 140))
		job.Log().Debug("halfway", "year", job.Params.Year, "time", "noon")
		row, err := job.Submit(ctx, bridge.SubmitRequest{JobType: "child", Key: "a", Parameters: export{1}})
		if err != nil || row.Name != "JOB-TEST-1" || string(row.InputParameters) != `{"year":1}` || row.OwnerUser != "jane" {
			t.Errorf("child %+v, %v", row, err)
		}
		if row, err = job.Submit(ctx, bridge.SubmitRequest{JobType: "child", Site: "other"}); err != nil || row.Name != "JOB-TEST-2" {
			t.Errorf("child %+v, %v", row, err)
		}
		return answer{1 << 60, bridge.Date{Year: 2024, Month: 2, Day: 29}}, nil
	}, export{2024}, bridgetest.Info(bridge.JobInfo{Site: "site2", User: "jane", Organization: "ORG-1"}))
	want := &bridgetest.Result{
		Value:  map[string]any{"Rows": int64(1 << 60), "When": "2024-02-29"},
		Status: rows.StatusCompleted, Output: strings.Repeat("é", 140), Cut: []string{long},
		Progress: []bridgetest.Progress{{0, "start"}, {100, long}},
		Log:      []string{"level=DEBUG msg=halfway year=2024 time=noon"},
		Submitted: []bridge.SubmitRequest{
			{JobType: "child", Key: "a", Parameters: export{1}, Site: "site2", User: "jane", Organization: "ORG-1"},
			{JobType: "child", Site: "other", User: "jane", Organization: "ORG-1"},
		},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestWhatTheEngineMakesOfAnEnd(t *testing.T) {
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		err     error
		cause   error
		options []bridgetest.Option
		want    rows.Status
		retryIn time.Duration
	}{
		"well":              {nil, nil, nil, rows.StatusCompleted, 0},
		"unknown error":     {broken, nil, nil, rows.StatusFailed, time.Minute},
		"third attempt":     {broken, nil, []bridgetest.Option{bridgetest.Info(bridge.JobInfo{Attempt: 3})}, rows.StatusFailed, 4 * time.Minute},
		"last attempt":      {broken, nil, []bridgetest.Option{bridgetest.Info(bridge.JobInfo{Attempt: 6})}, rows.StatusDeadLetter, 0},
		"no retries":        {broken, nil, []bridgetest.Option{bridgetest.MaxRetries(0)}, rows.StatusDeadLetter, 0},
		"permanent":         {bridge.Permanent(broken), nil, nil, rows.StatusDeadLetter, 0},
		"asks for a pause":  {bridge.RetryAfter(time.Hour, broken), nil, nil, rows.StatusFailed, time.Hour},
		"canceled":          {broken, bridge.ErrCanceled, nil, rows.StatusCanceled, 0},
		"stopped":           {broken, bridge.ErrStopped, nil, rows.StatusCanceled, 0},
		"timed out":         {broken, bridge.ErrTimeout, nil, rows.StatusTimedOut, time.Minute},
		"shutdown":          {broken, bridge.ErrShutdown, nil, rows.StatusQueued, 0},
		"lost":              {broken, bridge.ErrLost, nil, rows.StatusRunning, 0},
		"canceled too late": {nil, bridge.ErrCanceled, nil, rows.StatusCompleted, 0},
		"another cause":     {broken, context.Canceled, nil, rows.StatusFailed, time.Minute},
		"unreadable error":  {(*bridge.HTTPError)(nil), nil, nil, rows.StatusFailed, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			r := bridgetest.Run(ctx, func(ctx context.Context, _ *bridge.Job[export]) (any, error) {
				if tc.cause != nil {
					cancel(tc.cause)
					<-ctx.Done()
				}
				return "kept", tc.err
			}, export{}, tc.options...)
			if r.Status != tc.want || r.RetryIn != tc.retryIn {
				t.Errorf("%s, retry in %s; want %s, %s (%v)", r.Status, r.RetryIn, tc.want, tc.retryIn, r.Err)
			}
			if (r.Value != nil) != (tc.err == nil) {
				t.Errorf("value %v beside error %v", r.Value, r.Err)
			}
		})
	}
}

func TestParametersAsThePythonSideSendsThem(t *testing.T) {
	handler := func(_ context.Context, job *bridge.Job[export]) (any, error) { return job.Params.Year, nil }
	if r := bridgetest.RunJSON(t.Context(), handler, `{"year": 2024, "other": 1}`); r.Err != nil || r.Value != int64(2024) {
		t.Errorf("got %v, %v", r.Value, r.Err)
	}
	if r := bridgetest.RunJSON(t.Context(), handler, ``); r.Err != nil || r.Value != int64(0) {
		t.Errorf("no parameters: got %v, %v", r.Value, r.Err)
	}
	for name, r := range map[string]*bridgetest.Result{
		"wrong type": bridgetest.RunJSON(t.Context(), handler, `{"year": "2024"}`),
		"unknown":    bridgetest.RunJSON(t.Context(), handler, `{"yaer": 2024}`, bridgetest.Strict()),
	} {
		var misfit *bridge.ParamsError
		if !errors.As(r.Err, &misfit) || r.Status != rows.StatusDeadLetter || strings.Contains(r.Err.Error(), "2024") {
			t.Errorf("%s: %v, %s", name, r.Err, r.Status)
		}
	}
	unread := func(_ context.Context, job *bridge.RawJob) (any, error) { return job.Params, nil }
	if r := bridgetest.RunJSON(t.Context(), unread, `{"a": [1]}`); r.Err != nil || !cmp.Equal(r.Value, any(map[string]any{"a": []any{int64(1)}})) {
		t.Errorf("unread: got %v, %v", r.Value, r.Err)
	}
}

func TestAHandlerThatPanics(t *testing.T) {
	r := bridgetest.Run(t.Context(), func(context.Context, *bridge.Job[export]) (any, error) { panic("on purpose") }, export{})
	var panicked *bridge.PanicError
	if !errors.As(r.Err, &panicked) || panicked.Value != "on purpose" || !strings.Contains(string(panicked.Stack), "TestAHandlerThatPanics") {
		t.Errorf("error %v, want a *bridge.PanicError with the handler's stack", r.Err)
	}
	if r.Status != rows.StatusFailed {
		t.Errorf("status %s, want a retry", r.Status)
	}
}

func TestATimeoutTakesNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := bridgetest.Run(t.Context(), func(ctx context.Context, _ *bridge.Job[export]) (any, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}, export{}, bridgetest.Info(bridge.JobInfo{Timeout: time.Hour}))
		if !errors.Is(r.Err, bridge.ErrTimeout) || r.Status != rows.StatusTimedOut || time.Since(start) != time.Hour {
			t.Errorf("%v, %s after %s; want ErrTimeout, Timed Out after an hour", r.Err, r.Status, time.Since(start))
		}
	})
}

func TestSubmissionsThatFail(t *testing.T) {
	submit := func(parameters any) bridgetest.Handler[export] {
		return func(ctx context.Context, job *bridge.Job[export]) (any, error) {
			return job.Submit(ctx, bridge.SubmitRequest{JobType: "child", Parameters: parameters})
		}
	}
	away := errors.New("away")
	r := bridgetest.Run(t.Context(), submit(nil), export{}, bridgetest.FailSubmit(away))
	if !errors.Is(r.Err, away) || len(r.Submitted) != 0 {
		t.Errorf("error %v, submitted %v", r.Err, r.Submitted)
	}
	if r := bridgetest.Run(t.Context(), submit(make(chan int)), export{}); !errors.Is(r.Err, bridge.ErrBadRequest) || len(r.Submitted) != 0 {
		t.Errorf("error %v, submitted %v", r.Err, r.Submitted)
	}
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(bridge.ErrShutdown)
	if r := bridgetest.Run(ended, submit(nil), export{}); !errors.Is(r.Err, bridge.ErrShutdown) || len(r.Submitted) != 0 {
		t.Errorf("error %v, submitted %v", r.Err, r.Submitted)
	}
}

func TestValuesThatPythonCantBeTold(t *testing.T) {
	r := bridgetest.Run(t.Context(), func(context.Context, *bridge.Job[json.RawMessage]) (any, error) { return func() {}, nil }, nil)
	if r.Value != "Unserializable return value" || r.Err != nil {
		t.Errorf("got %v, %v", r.Value, r.Err)
	}
}

// Handlers may report from several goroutines.
func TestConcurrentReports(t *testing.T) {
	r := bridgetest.Run(t.Context(), func(ctx context.Context, job *bridge.Job[export]) (any, error) {
		done := make(chan error)
		for i := range 8 {
			go func() {
				job.Progress(float64(i), "x")
				job.SetOutput("x")
				job.Log().Info("x")
				_, err := job.Submit(ctx, bridge.SubmitRequest{JobType: fmt.Sprint(i)})
				done <- err
			}()
		}
		var err error
		for range 8 {
			err = errors.Join(err, <-done)
		}
		return nil, err
	}, export{})
	if r.Err != nil || len(r.Progress) != 8 || len(r.Log) != 8 || len(r.Submitted) != 8 {
		t.Errorf("%v: %d reports, %d lines, %d children; want 8 of each", r.Err, len(r.Progress), len(r.Log), len(r.Submitted))
	}
}

// TestLossesAreTold: a handler that minds what Python's parameters lost can be tried with some.
func TestLossesAreTold(t *testing.T) {
	strict := func(_ context.Context, job *bridge.Job[export]) (any, error) {
		if len(job.Lossy) > 0 {
			return nil, bridge.Permanent(fmt.Errorf("not with %s", job.Lossy[0]))
		}
		return nil, nil
	}
	r := bridgetest.Run(t.Context(), strict, export{2024}, bridgetest.Info(bridge.JobInfo{Lossy: []string{"$.year: lost"}}))
	if r.Status != rows.StatusDeadLetter || r.Err == nil || r.Err.Error() != "not with $.year: lost" {
		t.Errorf("a handler that refuses losses ends as %s with %v", r.Status, r.Err)
	}
	if r := bridgetest.Run(t.Context(), strict, export{2024}); r.Status != rows.StatusCompleted {
		t.Errorf("without losses it ends as %s with %v", r.Status, r.Err)
	}
}
