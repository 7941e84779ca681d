package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestSharedQueue lets Python workers and the engine work the same queue.
func TestSharedQueue(t *testing.T) {
	forEachRQ(t, func(t *testing.T, version string) {
		f := newFleet(t, version, nil)
		t.Run("Python took Go's", func(t *testing.T) { pythonTookGos(t, f) })
		f.rdb.FlushAll(t.Context())
		t.Run("callbacks are Python's", func(t *testing.T) { leavesCallbacks(t, f) })
		f.rdb.FlushAll(t.Context())
		t.Run("side by side", func(t *testing.T) { sideBySide(t, f) })
	})
}

// noter notes the order in which Go ran its jobs.
type noter struct {
	mu    sync.Mutex
	notes []string
}

func (n *noter) register(e *bridge.Engine) {
	bridge.Register(e, "go.note", func(_ context.Context, job *bridge.Job[struct{ Text string }]) (any, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.notes = append(n.notes, job.Params.Text)
		return job.Params.Text, nil
	})
}

func (n *noter) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.notes)
}

// pythonTookGos lets a Python worker run into jobs that only Go can run, before there is an engine.
func pythonTookGos(t *testing.T, f *fleet) {
	ours := []string{
		f.frappeEnqueue("default", "go.note", values{"job_id": "go-1", "text": "go-1"}),
		f.frappeEnqueue("default", "go.note", values{"job_id": "go-2", "text": "go-2"}),
	}
	theirs := f.frappeEnqueue("default", "site_tasks.fail", values{"job_id": "their-own-failure"})
	missing := f.frappeEnqueue("default", "erpnext.gone", values{"job_id": "nobody-has-it"})
	plain := f.enqueue(f.shared(), values{"id": "plain", "func": "go.note", "kwargs": values{"text": "plain"}})
	ours = append(ours, plain...)
	f.burst("simple", false, f.shared())
	for _, id := range append(ours, theirs, missing) {
		want(t, id+" after Python", f.py.job(id).Status, "failed")
	}
	n := &noter{}
	e := f.start(n.register)
	for _, id := range ours {
		f.waitStatus(id, rqcompat.StatusFinished)
		want(t, id+": results", fmt.Sprint(f.py.job(id).Results), "[SUCCESSFUL FAILED]")
	}
	want(t, "jobs that Go ran", n.count(), len(ours))
	want(t, "what really failed", len(f.py.registries(f.shared())["failed"]), 2)
	want(t, "Python's failure", f.py.job(theirs).Status, "failed")
	want(t, "what nobody has", f.py.job(missing).Status, "failed")
	if err := e.stop(); err != nil {
		t.Error(err)
	}
}

// leavesCallbacks sees that a job is left to Python that has a Go handler and a callback, which only Python can run.
func leavesCallbacks(t *testing.T, f *fleet) {
	runs := &attempts{}
	e := f.start(registerTasks(runs))
	f.enqueue(f.shared(), values{"id": "theirs", "args": []int{1, 2}, "on_success": "tasks.on_success"}, values{"id": "ours", "args": []int{1, 2}})
	f.waitStatus("ours", rqcompat.StatusFinished)
	want(t, "queued", fmt.Sprint(f.py.registries(f.shared())["queued"]), "[theirs]")
	f.burst("simple", false, f.shared())
	want(t, "status", f.py.job("theirs").Status, "finished")
	want(t, "callbacks", fmt.Sprint(f.rdb.LRange(t.Context(), "test:callbacks", 0, -1).Val()), "[success theirs 3]")
	want(t, "runs in Go", runs.of("theirs"), 0)
	if err := e.stop(); err != nil {
		t.Error(err)
	}
}

// sideBySide lets an engine and a Python worker work a long mixed queue at the same time.
func sideBySide(t *testing.T, f *fleet) {
	const each = 40
	n := &noter{}
	var goIDs, pythonIDs []string
	if err := f.rq.Suspend(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	e := f.start(n.register)
	for i := range each {
		text := fmt.Sprint(i)
		pythonIDs = append(pythonIDs, f.frappeEnqueue("default", "site_tasks.note", values{"job_id": "py-" + text, "text": text}))
		goIDs = append(goIDs, f.frappeEnqueue("default", "go.note", values{"job_id": "go-" + text, "text": text}))
	}
	if err := f.rq.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Only Go's are taken; Python's stay where they are, in their order.
	f.eventually("Go ran its jobs", func() bool { return n.count() == each })
	f.eventually("and they are settled", func() bool { return f.rdb.Exists(t.Context(), rqcompat.WipKey(f.shared())).Val() == 0 })
	want(t, "left for Python", strings.Join(f.py.registries(f.shared())["queued"], " "), strings.Join(pythonIDs, " "))

	// Now both at once. Python's worker takes whatever comes first, Go's jobs too, and fails those; Go gets them back.
	for i := range each {
		text := fmt.Sprint(each + i)
		goIDs = append(goIDs, f.frappeEnqueue("default", "go.note", values{"job_id": "go-" + text, "text": text}))
		pythonIDs = append(pythonIDs, f.frappeEnqueue("default", "site_tasks.note", values{"job_id": "py-" + text, "text": text}))
		if i%10 == 9 {
			f.burst("simple", false, f.shared())
		}
	}
	for _, id := range append(goIDs, pythonIDs...) {
		f.waitStatus(id, rqcompat.StatusFinished)
	}
	want(t, "jobs that Go ran", n.count(), 2*each)
	var all []string
	for i := range 2 * each {
		all = append(all, fmt.Sprint(i))
	}
	want(t, "order of Python's jobs", strings.Join(f.rdb.LRange(t.Context(), "test:notes", 0, -1).Val(), " "), strings.Join(all, " "))
	want(t, "failed in the end", len(f.py.registries(f.shared())["failed"]), 0)
	if err := e.stop(); err != nil {
		t.Error(err)
	}
}
