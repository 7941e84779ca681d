package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// holder is a handler whose jobs wait until they are told to go on or to stop.
type holder struct {
	mu     sync.Mutex
	going  chan struct{} // closed when jobs may end
	causes map[string]error
}

func newHolder() *holder { return &holder{going: make(chan struct{}), causes: map[string]error{}} }

func (h *holder) register(e *bridge.Engine) {
	bridge.Register(e, "go.hold", func(ctx context.Context, job *bridge.Job[any]) (any, error) {
		select {
		case <-h.going:
			return "held", nil
		case <-ctx.Done():
			h.mu.Lock()
			defer h.mu.Unlock()
			h.causes[job.ID] = context.Cause(ctx)
			return nil, ctx.Err()
		}
	})
}

func (h *holder) cause(id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.causes[id]
}

// waitCause waits until a handler was told to stop, for the given reason.
func (h *holder) waitCause(f *fleet, id string, wanted error) {
	f.t.Helper()
	f.eventually("handler of "+id+" hears that it has to stop", func() bool { return h.cause(id) != nil })
	if !errors.Is(h.cause(id), wanted) {
		f.t.Errorf("handler of %s was stopped because %q, want %q", id, h.cause(id), wanted)
	}
}

// TestReadersWhileGoRuns looks at running Go jobs with RQ's API and tools and steers them, as a dashboard does.
func TestReadersWhileGoRuns(t *testing.T) {
	forEachRQ(t, func(t *testing.T, version string) {
		f := newFleet(t, version, map[string]any{"lease": 3})
		h, runs := newHolder(), &attempts{}
		e := f.start(func(e *bridge.Engine) {
			h.register(e)
			registerTasks(runs)(e)
		})
		f.eventually("an idle worker is listed", func() bool { return len(f.py.workers()) == 1 })

		f.enqueue(f.own(), holds("held", "stopped", "killed", "deleted", "canceled")...)
		for _, id := range []string{"held", "stopped", "killed", "deleted", "canceled"} {
			f.waitStatus(id, rqcompat.StatusStarted)
		}
		t.Run("running jobs are seen", func(t *testing.T) { seesRunning(t, f) })
		t.Run("leases move on", func(t *testing.T) { seesLease(t, f) })
		t.Run("scheduler", func(t *testing.T) {
			// The engine does the scheduler's work, and holds its lock in the form that this RQ reads.
			var pid *int
			f.eventually("a scheduler is seen", func() bool {
				f.py.call("look.scheduler_pid", values{"queue": f.own()}, &pid)
				return pid != nil
			})
			want(t, "pid", *pid, os.Getpid())
		})
		t.Run("stop-job", func(t *testing.T) {
			f.py.call("look.stop", values{"id": "stopped"}, nil)
			h.waitCause(f, "stopped", bridge.ErrStopped)
			f.waitStatus("stopped", rqcompat.StatusStopped)
			got := f.py.job("stopped")
			want(t, "status, result", got.Status+" "+got.Result, "stopped FAILED")
			want(t, "exc", got.Exc, "Job stopped by user, work-horse terminated.")
			want(t, "failed registry", fmt.Sprint(f.py.registries(f.own())["failed"]), "[stopped]")
		})
		t.Run("kill-horse", func(t *testing.T) {
			f.py.call("look.kill_horse", values{"worker": f.py.job("killed").Worker}, nil)
			h.waitCause(f, "killed", bridge.ErrKilled)
			f.waitStatus("killed", rqcompat.StatusFailed)
		})
		t.Run("cancel", func(t *testing.T) {
			f.py.call("look.cancel", values{"id": "canceled"}, nil)
			h.waitCause(f, "canceled", bridge.ErrCanceled)
			f.eventually("its worker is free", func() bool { return workerOf(f, "canceled") == nil })
			want(t, "canceled registry", fmt.Sprint(f.py.registries(f.own())["canceled"]), "[canceled]")
			want(t, "status", f.py.job("canceled").Status, "canceled")
		})
		t.Run("delete", func(t *testing.T) {
			f.py.call("look.delete", values{"id": "deleted"}, nil)
			h.waitCause(f, "deleted", bridge.ErrLost)
			f.eventually("its worker is free", func() bool { return workerOf(f, "deleted") == nil })
			if left := f.rdb.Keys(t.Context(), "*deleted*").Val(); len(left) > 0 {
				t.Errorf("keys of a deleted job are left or came back: %v", left)
			}
		})
		t.Run("rq info", func(t *testing.T) { seesInfo(t, f) })
		t.Run("suspend and resume", func(t *testing.T) { suspends(t, f) })
		t.Run("rq requeue", func(t *testing.T) { requeues(t, f, runs) })
		close(h.going)
		f.waitStatus("held", rqcompat.StatusFinished)
		want(t, "value", fmt.Sprint(f.py.job("held").Value), "held")
		f.eventually("one idle worker is listed again", func() bool { return len(f.py.workers()) == 1 })
		t.Run("shutdown", func(t *testing.T) {
			f.py.call("look.shutdown", values{"worker": f.py.workers()[0].Name}, nil)
			if err := e.wait(); err != nil {
				t.Errorf("Run: %v", err)
			}
			want(t, "workers after the shutdown", len(f.py.workers()), 0)
		})
	})
}

func holds(ids ...string) (jobs []values) {
	for _, id := range ids {
		jobs = append(jobs, values{"id": id, "func": "go.hold"})
	}
	return jobs
}

// workerOf finds the worker that runs a job, nil when there is none.
func workerOf(f *fleet, id string) *seenWorker {
	for _, w := range f.py.workers() {
		if w.Job == id {
			return &w
		}
	}
	return nil
}

func seesRunning(t *testing.T, f *fleet) {
	registries := f.py.registries(f.own())
	slices.Sort(registries["started"])
	want(t, "started registry", fmt.Sprint(registries["started"]), "[canceled deleted held killed stopped]")
	want(t, "queued", len(registries["queued"]), 0)
	job := f.py.job("held")
	w := workerOf(f, "held")
	if w == nil {
		t.Fatalf("no worker says that it runs the job: %+v", f.py.workers())
	}
	want(t, "job's worker", job.Worker, w.Name)
	want(t, "current job", w.Current, "held")
	want(t, "state", w.State, "busy")
	want(t, "version", w.Version, f.version)
	want(t, "queues", fmt.Sprint(w.Queues[0]), f.own())
	if !job.Started || job.Ended || job.Heartbeat == nil || job.TTL != -1 || w.PID == 0 {
		t.Errorf("job %+v of worker %+v", job, w)
	}
}

// seesLease sees that the started registry is renewed, and that nothing that cleans it takes a running job for
// abandoned.
func seesLease(t *testing.T, f *fleet) {
	key, member := rqcompat.WipKey(f.own()), ""
	for _, m := range f.rdb.ZRange(t.Context(), key, 0, -1).Val() {
		if strings.HasPrefix(m, "held") {
			member = m
		}
	}
	first := f.rdb.ZScore(t.Context(), key, member).Val()
	// The lease is 3 s, and RQ's cleaners see 75 s more.
	if left := first - float64(time.Now().Unix()); left < 75 || left > 79.5 {
		t.Errorf("lease ends in %v s, want 75 to 79.5", left)
	}
	f.eventually("the lease is renewed twice", func() bool {
		f.py.call("work.clean", values{"queues": []string{f.own(), f.shared()}}, nil)
		return f.rdb.ZScore(t.Context(), key, member).Val() >= first+2
	})
	want(t, "status", f.py.job("held").Status, "started")
	want(t, "failed", len(f.py.registries(f.own())["failed"]), 0)
}

func seesInfo(t *testing.T, f *fleet) {
	out := f.py.cli("info")
	w := workerOf(f, "held")
	if !strings.Contains(out, f.own()) || !strings.Contains(out, w.Name) || !strings.Contains(out, "busy") {
		t.Errorf("rq info does not show queue, worker %s and that it is busy:\n%s", w.Name, out)
	}
	out = f.py.cli("info", "--raw", "--only-queues", f.own())
	if !strings.Contains(out, "queue "+f.own()+" 0") {
		t.Errorf("rq info --raw:\n%s", out)
	}
}

func suspends(t *testing.T, f *fleet) {
	f.py.cli("suspend")
	time.Sleep(1100 * time.Millisecond) // the engine, like RQ's workers, looks once a second
	f.enqueue(f.own(), values{"id": "waiting", "args": []int{1, 2}})
	time.Sleep(100 * time.Millisecond)
	want(t, "status while suspended", f.py.job("waiting").Status, "queued")
	f.py.call("look.resume_all", nil, nil)
	f.waitStatus("waiting", rqcompat.StatusFinished)
	f.py.call("look.suspend_all", nil, nil)
	f.py.cli("resume")
}

// requeues brings failed jobs back in the three ways that RQ has.
func requeues(t *testing.T, f *fleet, runs *attempts) {
	f.enqueue(f.own(), values{"id": "again", "func": "tasks.flaky", "kwargs": values{"times": 3}})
	for n := 1; n <= 3; n++ {
		f.eventually(fmt.Sprintf("failure %d", n), func() bool { return runs.of("again") == n })
		f.waitStatus("again", rqcompat.StatusFailed)
		want(t, "results", len(f.py.job("again").Results), n)
		switch n {
		case 1:
			f.py.cli("requeue", "--queue", f.own(), "again")
		case 2:
			f.py.call("look.requeue", values{"id": "again"}, nil)
		case 3:
			f.py.cli("requeue", "--queue", f.own(), "--all")
		}
	}
	f.waitStatus("again", rqcompat.StatusFinished)
	got := f.py.job("again")
	want(t, "latest result", got.Result, "SUCCESSFUL")
	want(t, "value", fmt.Sprint(got.Value), "4")
}
