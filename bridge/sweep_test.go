package bridge

import (
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// pythonFails claims a job as a Python worker would and fails it as one that
// lacks its module.
func (b *bed) pythonFails(queue, id string) {
	b.t.Helper()
	rq := b.client().RQ()
	w := rqcompat.NewWorker("python-1", queue)
	at := time.Now().Truncate(time.Microsecond)
	claim := rqcompat.Claim{Queue: queue, ID: id, Worker: w, Register: true, ExecutionID: rqcompat.NewExecutionID()}
	claimed, err := rq.Claim(b.t.Context(), []rqcompat.Claim{claim}, at, time.Minute)
	if err != nil || claimed[0] != rqcompat.Claimed {
		b.t.Fatal(claimed, err)
	}
	settled, err := rq.Settle(b.t.Context(), []rqcompat.Outcome{{
		Lease: rqcompat.Lease{Queue: queue, ID: id, Worker: w.Name, ExecutionID: claim.ExecutionID, StartedAt: at},
		Kind:  rqcompat.OutcomeFailed, EndedAt: time.Now(), NoRQRetry: true,
		Exc: "Traceback (most recent call last):\nModuleNotFoundError: No module named 'echo_job'\n",
	}})
	if err != nil || settled[0] != rqcompat.Settled {
		b.t.Fatal(settled, err)
	}
}

// idle are the rooms of an engine that is connected and runs nothing.
func (b *bed) idle() *rooms {
	b.t.Helper()
	e, err := New(b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := connectNow(b.t.Context(), e.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	return furnish(e.cfg, c, e.wrapped(e), e.ended)
}

// takenBack looks once and reports whether the job is queued again.
func (b *bed) takenBack(w *rooms, id string) bool {
	b.t.Helper()
	for _, s := range w.services {
		if s.What != "give back Go jobs that Python failed" {
			continue
		}
		if err := s.Do(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
	}
	job, err := w.rq.Fetch(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return job.Status == rqcompat.StatusQueued
}

// TestTakesBackAsOftenAsPythonFails: a Python worker that waits on the queue
// may be faster than every bridge, again and again.
func TestTakesBackAsOftenAsPythonFails(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	e := b.idle()
	queue := b.bench.QueueName("default")
	id := b.raw("default", "again", call(t, "echo_job", nil), nil)
	for i := range 3 {
		b.pythonFails(queue, id)
		if !b.takenBack(e, id) {
			t.Fatalf("after %d failures the job was left in the failed registry", i+1)
		}
	}
}

// TestTakesBackWhatCouldNotBeJudgedAtFirst: a site that is under maintenance
// when its job is found comes back.
func TestTakesBackWhatCouldNotBeJudgedAtFirst(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.setConfig(testSite, "maintenance_mode", 1)
	b.restartBench()
	e := b.idle()
	job, err := b.client().Enqueue(t.Context(), EnqueueRequest{Site: testSite, Method: "echo_job"})
	if err != nil {
		t.Fatal(err)
	}
	id := job.ID
	b.pythonFails(b.bench.QueueName("default"), id)
	if b.takenBack(e, id) {
		t.Fatal("a job of a site under maintenance was taken back")
	}
	b.setConfig(testSite, "maintenance_mode", 0)
	b.eventually("the job is queued again", func() bool { return b.takenBack(e, id) }, func() string { return "" })
}
