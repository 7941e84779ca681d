package attempt

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// decoded reads a return value as Python would, in Go's %v.
func decoded(t *testing.T, value string) string {
	t.Helper()
	v, err := rqcompat.DecodeResult(value)
	if err != nil {
		t.Fatal(err)
	}
	if v == nil {
		return ""
	}
	plain, _ := pickle.Plain(v)
	return fmt.Sprint(plain)
}

// obeys waits for the end of its context and says why.
func obeys(ctx context.Context, _ job.Reporter) (any, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// TestHandlersThatEndInOddWays: whatever a handler does, its attempt ends, its slot is free again and the process lives.
func TestHandlersThatEndInOddWays(t *testing.T) {
	var typed *job.HTTPError
	for name, tc := range map[string]struct {
		f   func(context.Context, job.Reporter) (any, error)
		exc string
	}{
		"panics": {func(context.Context, job.Reporter) (any, error) { panic("oops") }, "bridge.PanicError: handler panicked: oops"},
		"exits": {func(context.Context, job.Reporter) (any, error) {
			runtime.Goexit()
			return nil, nil
		}, "the handler called runtime.Goexit instead of returning"},
		"returns a typed nil":   {failing(typed), "an error of type *job.HTTPError that can't be read"},
		"returns one that ends": {func(context.Context, job.Reporter) (any, error) { return nil, new(onceError) }, "bridge.TransientError: said once"},
		"returns too much": {func(context.Context, job.Reporter) (any, error) { return make([]byte, 13<<20), nil },
			"bridge.PermanentError: the handler's result is too large to be kept: "},
	} {
		for _, status := range []rows.Status{"", rows.StatusQueued} {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				q := plain(tc.f)
				if status != "" {
					q = h.delivery(status, tc.f)
					q.Row.MaxRetries = 0 // what is retried leaves no error in RQ
				}
				h.run(t, q)
				if len(h.rq.outcomes) != 1 || h.rq.outcomes[0].Kind != rqcompat.OutcomeFailed || !strings.Contains(h.rq.outcomes[0].Exc, tc.exc) {
					t.Errorf("a handler that %s: outcomes %+v, want one failure with %q", name, h.rq.outcomes, tc.exc)
				}
				h.wantFree(t)
			})
		}
	}
}

// onceError can be read once.
type onceError struct{ read bool }

func (e *onceError) Error() string {
	if e.read {
		panic("read again")
	}
	e.read = true
	return "said once"
}

// blocks is an error and a result that can't be read before it is released.
type blocks struct{ released chan struct{} }

func (b blocks) Error() string                { <-b.released; return "late" }
func (b blocks) MarshalJSON() ([]byte, error) { <-b.released; return []byte("1"), nil }

// TestReadingTakesTheHandlersTime: an error or a result that doesn't let itself be read is a handler that doesn't return.
func TestReadingTakesTheHandlersTime(t *testing.T) {
	for name, f := range map[string]func(blocks) (any, error){
		"error":  func(b blocks) (any, error) { return nil, b },
		"result": func(b blocks) (any, error) { return b, nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			b := blocks{make(chan struct{})}
			h.run(t, h.delivery(rows.StatusQueued, func(context.Context, job.Reporter) (any, error) { return f(b) }))
			time.Sleep(time.Minute + h.CancelGrace)
			synctest.Wait()
			h.wantStory(t, name, "row Queued > Running", "observers Running", "row Running > Timed Out", "rq scheduled", "observers Timed Out", "ended failed")
			if _, abandoned := h.Running(); abandoned != 1 {
				t.Errorf("%s: %d handlers are abandoned, want 1", name, abandoned)
			}
			close(b.released)
			synctest.Wait()
			h.wantFree(t)
		})
	}
}

// TestWhoHearsOfTheEndMayLeave: a slot is free again whatever those do that are told of an end.
func TestWhoHearsOfTheEndMayLeave(t *testing.T) {
	for _, broken := range []error{nil, errBoom} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			h.Ended = func(job.Info, string, *job.Failure, time.Duration) { runtime.Goexit() }
			q := plain(nil)
			q.Broken = broken
			h.run(t, q)
			h.wantFree(t)
		})
	}
}

// TestLongReports: of what a handler reports the engine keeps what may be of use.
func TestLongReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		long := strings.Repeat("a", 1<<20)
		h.run(t, h.delivery(rows.StatusQueued, func(_ context.Context, r job.Reporter) (any, error) {
			r.Progress(50, long)
			r.SetOutput(long)
			return nil, nil
		}))
		written := h.rows.moves[len(h.rows.moves)-1].Written()
		if n, m := len(written.ProgressMessage), len(written.OutputReference); n > 70<<10 || m > 70<<10 || n < 140 || m < 140 {
			t.Errorf("a message of %d and an output of %d bytes are kept of 1 MiB, want at most 70 KiB and at least 140", n, m)
		}
	})
}

func TestTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.run(t, h.delivery(rows.StatusQueued, obeys))
		begin := time.Now()
		h.jobs.Wait()
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("the handler was told to stop after %s, want its row's minute", took)
		}
		h.wantStory(t, "timed out", "row Queued > Running", "observers Running", "row Running > Timed Out", "rq scheduled", "observers Timed Out", "ended failed")
		h.wantFree(t)
	})
}

func TestNoClockWithoutATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		none := time.Duration(0)
		q := plain(func(ctx context.Context, _ job.Reporter) (any, error) {
			time.Sleep(1000 * time.Hour)
			return nil, ctx.Err()
		})
		q.Timeout = &none
		h.run(t, q)
		h.jobs.Wait()
		h.wantStory(t, "unlimited", "rq finished", "ended finished")
	})
}

// TestAHandlerThatIgnoresItsContext is left behind when its grace is over: the attempt is settled, its slot stays
// taken until it returns, and what it returns then is dropped.
func TestAHandlerThatIgnoresItsContext(t *testing.T) {
	for _, cause := range []error{job.ErrCanceled, job.ErrShutdown} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			release := make(chan struct{})
			h.run(t, h.delivery(rows.StatusQueued, func(context.Context, job.Reporter) (any, error) {
				<-release
				return "late", nil
			}))
			r := h.running.ofRow(site, "JOB-1")
			r.cancel(cause)
			time.Sleep(5*time.Second - 1)
			synctest.Wait()
			if len(h.rq.settled()) > 0 {
				t.Errorf("%v: settled before the grace is over: %+v", cause, h.rq.outcomes)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			end := []string{"row Running > Canceled", "rq stopped", "observers Canceled", "ended stopped"}
			if cause == job.ErrShutdown {
				end = []string{"row Running > Failed > Queued", "rq given back", "observers Queued", "ended given back"}
			}
			story := append([]string{"row Queued > Running", "observers Running"}, end...)
			h.wantStory(t, "abandoned", story...)
			h.wantLog(t, "handler ignores its context: abandoned", cause.Error())
			if left := h.Abandoned(); len(left) != 1 || left[0].JobID != r.lease.ID || left[0].Queue != r.lease.Queue || !left[0].Since.Equal(r.lease.StartedAt) {
				t.Errorf("left behind are %+v, want the job since its start", left)
			}
			if running, abandoned := h.Running(); running != 1 || abandoned != 1 || len(h.slots.Take(20)) != 9 || h.Holds(r.lease.Worker) {
				t.Errorf("%d run, %d are abandoned, holds its lease: %v; want one of each, without", running, abandoned, h.Holds(r.lease.Worker))
			}
			close(release)
			h.jobs.Wait()
			h.wantStory(t, "returned at last", story...)
			h.wantLog(t, "an abandoned handler returned at last")
			if running, abandoned := h.Running(); running != 0 || abandoned != 0 || len(h.slots.Take(20)) != 1 {
				t.Errorf("%d run, %d are abandoned, want none and the slot free", running, abandoned)
			}
		})
	}
}

// TestAHandlerThatReturnsInItsGrace isn't abandoned afterwards.
func TestAHandlerThatReturnsInItsGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.run(t, plain(func(ctx context.Context, _ job.Reporter) (any, error) {
			<-ctx.Done()
			time.Sleep(4 * time.Second)
			return "in time", nil
		}))
		h.running.unsettled()[0].cancel(job.ErrCanceled)
		time.Sleep(time.Hour)
		h.wantStory(t, "in time", "rq finished", "ended finished")
		h.wantFree(t)
	})
}

// TestDrain waits for running jobs, then cancels them, then leaves them behind.
func TestDrain(t *testing.T) {
	ignores := func(context.Context, job.Reporter) (any, error) {
		time.Sleep(time.Hour)
		return nil, nil
	}
	for name, tc := range map[string]struct {
		f        func(context.Context, job.Reporter) (any, error)
		took     time.Duration
		canceled bool
		story    string
	}{
		"a job that ends": {func(context.Context, job.Reporter) (any, error) {
			time.Sleep(3 * time.Second)
			return nil, nil
		}, 3 * time.Second, false, "rq finished"},
		"a job that obeys":   {obeys, 10 * time.Second, true, "rq given back"},
		"a job that ignores": {ignores, 15 * time.Second, true, "rq given back"},
		"no job":             {nil, 0, false, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			ctx, stop := context.WithCancelCause(t.Context())
			if tc.f != nil {
				h.start(ctx, plain(tc.f))
				synctest.Wait()
			}
			begin := time.Now()
			h.Drain(10*time.Second, func() { stop(job.ErrShutdown) })
			took := time.Since(begin)
			if took < tc.took || took > tc.took+100*time.Millisecond {
				t.Errorf("%s: the stop took %s, want %s", name, took, tc.took)
			}
			if canceled := ctx.Err() != nil; canceled != tc.canceled {
				t.Errorf("%s: handlers were canceled: %v, want %v", name, canceled, tc.canceled)
			}
			if tc.story != "" && h.story[0] != tc.story {
				t.Errorf("%s: %v, want %s first", name, h.story, tc.story)
			}
			stop(nil)
			h.jobs.Wait()
		})
	}
}

// TestAnAttemptHoldsNoParameters: ten thousand jobs that run for hours need not hold them.
func TestAnAttemptHoldsNoParameters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		q := h.delivery(rows.StatusQueued, obeys)
		h.run(t, q)
		r := h.running.ofRow(site, "JOB-1")
		if r.row.InputParameters != nil {
			t.Errorf("the attempt's row holds %s", r.row.InputParameters)
		}
		if string(q.Row.InputParameters) == "" {
			t.Error("the row that was routed lost its parameters, which the handler needs")
		}
		r.cancel(job.ErrStopped)
		h.jobs.Wait()
	})
}

// TestAFinishedAttemptIsForgotten at once: a thousand a second, each kept for the grace period, would be many.
func TestAFinishedAttemptIsForgotten(t *testing.T) {
	h := newHouse()
	seen := make(chan weak.Pointer[run], 1)
	h.start(t.Context(), h.delivery(rows.StatusQueued, func(_ context.Context, r job.Reporter) (any, error) {
		r.Log().Info("a line that would be written later")
		seen <- weak.Make(r.(heard).run)
		return nil, nil
	}))
	h.jobs.Wait()
	attempt := <-seen
	for range 5 {
		runtime.GC()
	}
	if attempt.Value() != nil {
		t.Error("something still holds an attempt that has ended")
	}
}

func TestRunningAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		q := h.delivery(rows.StatusQueued, obeys)
		lease := h.start(t.Context(), q)
		other := h.start(t.Context(), plain(obeys))
		synctest.Wait()
		r := h.running.ofRow(site, "JOB-1")
		if r == nil || h.running.worker(lease.Worker) != r || h.running.worker(other.Worker) == r || h.running.worker("nobody") != nil {
			t.Error("an attempt isn't found by its worker and its row")
		}
		if h.running.ofRow("b.example.com", "JOB-1") != nil || h.running.ofRow(site, "JOB-2") != nil || h.running.ofRow(site, "") == r {
			t.Error("an attempt is found by the name of another row")
		}
		if !h.Holds(lease.Worker) || h.Holds("nobody") {
			t.Error("Holds doesn't know who holds what")
		}
		for _, r := range h.running.unsettled() {
			r.cancel(job.ErrStopped)
		}
		h.jobs.Wait()
		if h.Holds(lease.Worker) || h.running.ofRow(site, "JOB-1") != nil {
			t.Error("an attempt that is settled still holds its lease")
		}
	})
}

// TestTheOutputIsKept, if the attempt ends well.
func TestTheOutputIsKept(t *testing.T) {
	for err, want := range map[error]string{nil: "/files/out.txt", errBoom: ""} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			h.run(t, h.delivery(rows.StatusQueued, func(_ context.Context, r job.Reporter) (any, error) {
				r.SetOutput("/files/draft.txt")
				r.SetOutput("/files/out.txt")
				return nil, err
			}))
			if got := h.rows.rows["JOB-1"].OutputReference; got != want {
				t.Errorf("error %v: output %q, want %q", err, got, want)
			}
		})
	}
}

// TestTheLogOfAJob says which job it is of on every line, in groups too.
func TestTheLogOfAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.run(t, h.delivery(rows.StatusQueued, func(_ context.Context, r job.Reporter) (any, error) {
			r.Log().With("page", 3).Info("with")
			r.Log().WithGroup("pdf").Info("group", "size", 7)
			return nil, nil
		}))
		h.wantLog(t, "msg=with page=3 job_id="+site+"::JOB-1", "pdf.size=7")
		if n := strings.Count(h.log.String(), "job_id="+site+"::JOB-1"); n != 3 {
			t.Errorf("%d lines name the job, want the two of its handler and that of its end:\n%s", n, h.log.String())
		}
	})
}
