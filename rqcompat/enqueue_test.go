package rqcompat_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

func TestEnqueueWritesWhatRQWrites(t *testing.T) {
	forEachDialect(t, func(t *testing.T, p *peer) {
		before := time.Now().Add(-time.Millisecond)
		job := p.enqueue(rqcompat.Request{Queue: "bench:default", Call: *mailCall()})
		got := p.hash(job.ID)
		for _, field := range []string{"created_at", "enqueued_at"} {
			at, err := rqcompat.ParseTime(got[field])
			if err != nil || len(got[field]) != 27 || at.Before(before) || at.After(time.Now()) {
				t.Errorf("%s is %q", field, got[field])
			}
			delete(got, field)
		}
		if call, err := (&rqcompat.Job{Data: []byte(got["data"])}).Call(); err != nil || call.Func != "myapp.tasks.send_mail" || got["data"][0] != 0x78 {
			t.Errorf("data: %v, %v", call, err)
		}
		delete(got, "data")
		want := map[string]string{
			"origin": "bench:default", "description": "myapp.tasks.send_mail(42, to='a@b.c', urgent=True)", "status": "queued",
			"timeout": "180", "started_at": "", "ended_at": "", "last_heartbeat": "", "worker_name": "", "group_id": "",
			"success_callback_name": "", "failure_callback_name": "", "stopped_callback_name": "",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("hash (-want +got):\n%s", diff)
		}
		p.want("queues", p.set("rq:queues"), "[rq:queue:bench:default]")
		p.want("queue", p.queue("bench:default"), []string{job.ID})
		p.want("expiry", p.do("TTL", "rq:job:"+job.ID), -1)
		if len(job.ID) != 36 {
			t.Errorf("id %q is no UUID", job.ID)
		}
		again, err := p.Fetch(p.ctx, job.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(job, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("returned and stored job differ:\n%s", diff)
		}
	})
}

func TestEnqueueWithEverything(t *testing.T) {
	p := newPeer(t, "2.10.0")
	job := p.enqueue(rqcompat.Request{
		ID: "a", Description: "an own text", Timeout: ptr(int64(-1)), ResultTTL: ptr(int64(0)), FailureTTL: ptr(int64(-1)),
		TTL: ptr(int64(100)), RetryMax: 3, RetryIntervals: []int64{10, 30}, Meta: map[string]any{"k": 1},
		SuccessCallback: rqcompat.Callback{Name: "m.ok"}, FailureCallback: rqcompat.Callback{Name: "m.bad", Timeout: ptr(int64(5))},
		Extra: map[string]string{"mine": "1"},
	})
	got := p.hash("a")
	for field, want := range map[string]string{
		"description": "an own text", "timeout": "-1", "result_ttl": "0", "failure_ttl": "-1", "ttl": "100",
		"retries_left": "3", "retry_intervals": "[10, 30]", "success_callback_name": "m.ok", "success_callback_timeout": "60",
		"failure_callback_name": "m.bad", "failure_callback_timeout": "5", "stopped_callback_name": "", "mine": "1",
	} {
		if got[field] != want {
			t.Errorf("%s is %q, want %q", field, got[field], want)
		}
	}
	if _, ok := got["stopped_callback_timeout"]; ok {
		t.Error("a callback that is not set has a timeout")
	}
	if meta, err := pickle.Decode([]byte(got["meta"])); err != nil || !cmp.Equal(meta, &pickle.Dict{Items: []pickle.Pair{{Key: "k", Value: int64(1)}}}) {
		t.Errorf("meta %v, %v", meta, err)
	}
	if ttl := p.do("TTL", "rq:job:a").(int64); ttl < 98 || ttl > 100 {
		t.Errorf("job expires in %d s, want 100", ttl)
	}
	if job.Status != rqcompat.StatusQueued {
		t.Errorf("status %s", job.Status)
	}
}

func TestEnqueueManyFields(t *testing.T) {
	p := newPeer(t, "2.6.1")
	extra := map[string]string{}
	for i := range 1000 {
		extra[fmt.Sprintf("x%d", i)] = fmt.Sprint(i)
	}
	p.enqueue(rqcompat.Request{ID: "a", Extra: extra})
	j, err := p.Fetch(p.ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(extra, j.Extra); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEnqueueOrder(t *testing.T) {
	p := newPeer(t, "2.6.1")
	for _, r := range []rqcompat.Request{{ID: "b"}, {ID: "c"}, {ID: "a", AtFront: true}} {
		p.enqueue(r)
	}
	p.want("queue", p.queue("q"), "[a b c]")
	if _, ok := p.hash("a")["enqueue_at_front"]; ok {
		t.Error("a job that went to the front directly must not store enqueue_at_front")
	}
}

func TestEnqueueAt(t *testing.T) {
	forEachDialect(t, func(t *testing.T, p *peer) {
		due := time.Now().Add(time.Hour)
		job := p.enqueue(rqcompat.Request{ID: "a", At: due, AtFront: true, TTL: ptr(int64(7200))})
		p.want("status", job.Status, "scheduled")
		p.want("scheduled", p.set("rq:scheduled:q"), fmt.Sprintf("[a=%d]", due.Unix()))
		p.want("queue", p.queue("q"), "[]")
		p.want("queues", p.set("rq:queues"), "[rq:queue:q]")
		h := p.hash("a")
		p.want("status", h["status"], "scheduled")
		p.want("front", h["enqueue_at_front"], "1")
		if at, ok := h["enqueued_at"]; ok || !job.EnqueuedAt.IsZero() {
			t.Errorf("enqueued_at is %q", at)
		}
		expires := p.do("TTL", "rq:job:a").(int64) > 0
		p.want("ttl runs from now", expires, p.Dialect().ResultExecution)
	})
}

func TestEnqueueWithDependencies(t *testing.T) {
	forEachDialect(t, func(t *testing.T, p *peer) {
		p.enqueue(rqcompat.Request{ID: "p1"})
		p.enqueue(rqcompat.Request{ID: "p2"})
		child := rqcompat.Request{ID: "c", DependsOn: []string{"p1", "p2", "gone"}, AtFront: true}
		job := p.enqueue(child)
		p.want("status", job.Status, "deferred")
		h := p.hash("c")
		p.want("dependency_id", h["dependency_id"], "p1")
		p.want("dependency_ids", h["dependency_ids"], `["p1", "p2", "gone"]`)
		p.want("enqueue_at_front", h["enqueue_at_front"], "1")
		p.want("enqueued_at", h["enqueued_at"], "")
		p.want("deferred", p.set("rq:deferred:q"), "[c=+Inf]")
		p.want("dependents", p.set("rq:job:p1:dependents"), "[c]")
		p.want("dependencies", p.set("rq:job::c:dependencies"), "[gone p1 p2]")
		p.want("queue", p.queue("q"), "[p1 p2]")

		p.end("p1", rqcompat.StatusFinished)
		p.end("p2", rqcompat.StatusFinished)
		p.want("all parents done", p.enqueue(rqcompat.Request{ID: "d", DependsOn: []string{"p1", "p2"}}).Status, "queued")
		p.want("no parent exists", p.enqueue(rqcompat.Request{ID: "e", DependsOn: []string{"x", "y"}}).Status, "queued")

		p.end("p1", rqcompat.StatusFailed)
		allowed := rqcompat.Request{ID: "f", DependsOn: []string{"p1"}, AllowDependencyFailures: true}
		p.want("failure allowed", p.enqueue(allowed).Status, "queued")
		p.want("allow_dependency_failures", p.hash("f")["allow_dependency_failures"], "1")
		keys := p.keys()
		for _, status := range []rqcompat.Status{"failed", "stopped", "canceled"} {
			p.do("HSET", "rq:job:p1", "status", string(status))
			_, err := p.Enqueue(p.ctx, rqcompat.Request{Queue: "q", ID: "g", Call: *mailCall(), DependsOn: []string{"p2", "p1"}, AllowDependencyFailures: status != "failed"})
			var de *rqcompat.DependencyError
			if !errors.As(err, &de) || de.Dependency != "p1" || de.Status != status {
				t.Errorf("parent %s: %v", status, err)
			}
		}
		p.wantKeys(keys...)
	})
}

// TestDeferredScore: maintenance of RQ 2.0 to 2.7 fails deferred jobs whose score has passed.
func TestDeferredScore(t *testing.T) {
	forEachDialect(t, func(t *testing.T, p *peer) {
		p.enqueue(rqcompat.Request{ID: "p"})
		p.enqueue(rqcompat.Request{ID: "c", DependsOn: []string{"p"}, TTL: ptr(int64(50))})
		score := p.rdb.ZScore(p.ctx, "rq:deferred:q", "c").Val()
		end := float64(time.Now().Unix() + 50)
		if expires := score >= end-2 && score <= end; expires != p.Dialect().DeferredExpires {
			t.Errorf("score %v", score)
		}
	})
}

func TestDeduplicate(t *testing.T) {
	forEachDialect(t, func(t *testing.T, p *peer) {
		again := rqcompat.Request{Queue: "q", ID: "a", Call: *mailCall(), Deduplicate: true}
		p.enqueue(again)
		for _, status := range []rqcompat.Status{"queued", "started", "scheduled", "deferred"} {
			p.do("HSET", "rq:job:a", "status", string(status))
			_, err := p.Enqueue(p.ctx, again)
			var de *rqcompat.DuplicateJobError
			if !errors.As(err, &de) || !errors.Is(err, rqcompat.ErrDuplicateJob) || de.Status != status {
				t.Errorf("a job that is %s: %v", status, err)
			}
		}
		p.want("queue", p.queue("q"), "[a]")

		for _, status := range []rqcompat.Status{"finished", "failed", "stopped"} {
			p.end("a", status)
			p.do("HSET", "rq:job:a", "exc_info", "old", "retries_left", "1")
			p.want("replaced "+string(status), p.enqueue(again).Status, "queued")
			p.wantKeys("rq:job:a", "rq:queue:q", "rq:queues")
			p.want("old fields", p.hash("a")["exc_info"]+p.hash("a")["retries_left"], "")
			p.want("expiry", p.do("TTL", "rq:job:a"), -1)
			p.want("queue", p.queue("q"), "[a]")
		}
		if err := p.Cancel(p.ctx, "a", false); err != nil {
			t.Fatal(err)
		}
		p.enqueue(again)
		p.wantKeys("rq:job:a", "rq:queue:q", "rq:queues")

		// A refused request must not have removed the old job.
		p.end("a", "finished")
		p.enqueue(rqcompat.Request{ID: "parent"})
		p.end("parent", "failed")
		keys := p.keys()
		refused := again
		refused.DependsOn = []string{"parent"}
		var de *rqcompat.DependencyError
		if _, err := p.Enqueue(p.ctx, refused); !errors.As(err, &de) {
			t.Errorf("enqueued behind a failed parent: got %v, want a DependencyError", err)
		}
		p.wantKeys(keys...)
		if err := p.Delete(p.ctx, "parent"); err != nil {
			t.Fatal(err)
		}

		// Half a hash, as a late heartbeat leaves it, is no job.
		p.do("DEL", "rq:job:a", "rq:queue:q")
		p.do("HSET", "rq:job:a", "last_heartbeat", "2026-11-23T11:44:25.000000Z")
		p.want("half a hash", p.enqueue(again).Status, "queued")
	})
}

func TestEnqueueOverwritesWithoutDeduplicate(t *testing.T) {
	p := newPeer(t, "2.6.1")
	p.enqueue(rqcompat.Request{ID: "a"})
	p.end("a", rqcompat.StatusFinished)
	p.enqueue(rqcompat.Request{ID: "a"})
	p.want("status", p.hash("a")["status"], "queued")
	p.want("expiry of the old job", p.do("TTL", "rq:job:a"), -1)
	p.want("queue", p.queue("q"), "[a]")
}

func TestEnqueueMany(t *testing.T) {
	forEachDialect(t, func(t *testing.T, p *peer) {
		rs := []rqcompat.Request{
			{Queue: "q", ID: "a", Call: *mailCall(), Deduplicate: true},
			{Queue: "q", ID: "a", Call: *mailCall(), Deduplicate: true},
			{Queue: "q", ID: "b", Call: *mailCall(), DependsOn: []string{"a"}},
			{Queue: "r", Call: *mailCall(), AtFront: true},
		}
		jobs, err := p.EnqueueMany(p.ctx, rs)
		if !errors.Is(err, rqcompat.ErrDuplicateJob) || !strings.HasPrefix(err.Error(), "1 of 4 jobs not enqueued: request 1: ") {
			t.Fatalf("enqueued four jobs, the second a duplicate: got %v, want an ErrDuplicateJob that names it alone", err)
		}
		if len(jobs) != 4 || jobs[1] != nil || jobs[2].Status != rqcompat.StatusDeferred || jobs[3].Status != rqcompat.StatusQueued {
			t.Errorf("enqueued four jobs: got %+v, want no second one, the third deferred, the fourth queued", jobs)
		}
		p.want("queue", p.queue("q"), "[a]")

		keys := p.keys()
		if jobs, err := p.EnqueueMany(p.ctx, append(rs[3:], rqcompat.Request{Queue: "q"})); jobs != nil || !errors.Is(err, rqcompat.ErrBadCall) {
			t.Errorf("%v, %v", jobs, err)
		}
		p.wantKeys(keys...)
	})
}

func TestEnqueueManyIsOneRoundTrip(t *testing.T) {
	p := newPeer(t, "1.15.1")
	rs := make([]rqcompat.Request, 2500)
	for i := range rs {
		rs[i] = rqcompat.Request{Queue: "q", ID: fmt.Sprint(i), Call: *mailCall()}
	}
	jobs, err := p.EnqueueMany(p.ctx, rs)
	if err != nil || len(jobs) != 2500 {
		t.Fatal(err)
	}
	ids := p.queue("q")
	for i, id := range ids {
		if id != fmt.Sprint(i) {
			t.Fatalf("place %d has job %s", i, id)
		}
	}
	p.want("queue", len(ids), 2500)
}

// TestScriptsSurviveAFlush: a restarted server forgets scripts.
func TestScriptsSurviveAFlush(t *testing.T) {
	p := newPeer(t, "2.6.1")
	for i := range 3 {
		p.do("SCRIPT", "FLUSH")
		if _, err := p.EnqueueMany(p.ctx, []rqcompat.Request{{Queue: "q", Call: *mailCall()}, {Queue: "q", Call: *mailCall()}}); err != nil {
			t.Fatal(err)
		}
		p.do("SCRIPT", "FLUSH")
		p.enqueue(rqcompat.Request{})
		p.want("queue", len(p.queue("q")), 3*(i+1))
	}
}

func TestEnqueueRefuses(t *testing.T) {
	good := func() rqcompat.Request { return rqcompat.Request{Queue: "q", Call: *mailCall()} }
	p := newPeer(t, "2.6.1")
	for name, change := range map[string]func(r *rqcompat.Request){
		"no queue":                  func(r *rqcompat.Request) { r.Queue = "" },
		"comma in queue":            func(r *rqcompat.Request) { r.Queue = "a,b" },
		"intermediate queue":        func(r *rqcompat.Request) { r.Queue = "a:intermediate" },
		"queue not UTF-8":           func(r *rqcompat.Request) { r.Queue = "\xff" },
		"id not UTF-8":              func(r *rqcompat.Request) { r.ID = "\xff" },
		"id of a set":               func(r *rqcompat.Request) { r.ID = "a:dependents" },
		"deduplicate without id":    func(r *rqcompat.Request) { r.Deduplicate = true },
		"timeout 0":                 func(r *rqcompat.Request) { r.Timeout = ptr(int64(0)) },
		"timeout -2":                func(r *rqcompat.Request) { r.Timeout = ptr(int64(-2)) },
		"ttl 0":                     func(r *rqcompat.Request) { r.TTL = ptr(int64(0)) },
		"result ttl -2":             func(r *rqcompat.Request) { r.ResultTTL = ptr(int64(-2)) },
		"failure ttl -2":            func(r *rqcompat.Request) { r.FailureTTL = ptr(int64(-2)) },
		"ttl before due":            func(r *rqcompat.Request) { r.TTL = ptr(int64(5)); r.At = time.Now().Add(time.Minute) },
		"retry max below 0":         func(r *rqcompat.Request) { r.RetryMax = -1 },
		"intervals without retries": func(r *rqcompat.Request) { r.RetryIntervals = []int64{1} },
		"negative interval":         func(r *rqcompat.Request) { r.RetryMax = 1; r.RetryIntervals = []int64{-1} },
		"callback timeout 0":        func(r *rqcompat.Request) { r.FailureCallback = rqcompat.Callback{Name: "f", Timeout: new(int64)} },
		"depends on itself":         func(r *rqcompat.Request) { r.ID = "a"; r.DependsOn = []string{"a"} },
		"empty dependency":          func(r *rqcompat.Request) { r.DependsOn = []string{""} },
		"scheduled and dependent":   func(r *rqcompat.Request) { r.At = time.Now(); r.DependsOn = []string{"a"} },
		"extra field of RQ":         func(r *rqcompat.Request) { r.Extra = map[string]string{"status": "queued"} },
		"extra callback timeout":    func(r *rqcompat.Request) { r.Extra = map[string]string{"stopped_callback_timeout": ""} },
		"extra legacy dependency":   func(r *rqcompat.Request) { r.Extra = map[string]string{"dependency_id": "x"} },
		"description not UTF-8":     func(r *rqcompat.Request) { r.Description = "\xff" },
	} {
		t.Run(name, func(t *testing.T) {
			r := good()
			change(&r)
			if j, err := p.Enqueue(p.ctx, r); !errors.Is(err, rqcompat.ErrBadRequest) {
				t.Errorf("got %v, %v, want ErrBadRequest", j, err)
			}
		})
	}
	p.wantKeys()
	_, err := p.Enqueue(p.ctx, rqcompat.Request{ID: ":", Timeout: new(int64)})
	for _, problem := range []string{"no queue", "job id", "timeout is 0"} {
		if err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%v does not say %q", err, problem)
		}
	}
}

func TestIDsPerDialect(t *testing.T) {
	ids := []struct {
		id   string
		last [2]int // version whose readers can use it
	}{
		{"6f1c0a52-7b1e-4b7e-9d0c-2f6b1f0f4c11", [2]int{2, 10}},
		{"a_B-9", [2]int{2, 10}},
		{"site1.local||abc", [2]int{2, 7}},
		{"with space, größe", [2]int{2, 7}},
		{"a.b", [2]int{2, 7}},
		{"site1.local::abc", [2]int{1, 16}},
	}
	for _, version := range []string{"1.15.1", "1.16.2", "2.0.0", "2.6.1", "2.7", "2.8", "2.10.0"} {
		t.Run(version, func(t *testing.T) {
			p := newPeer(t, version)
			d := p.Dialect()
			for _, test := range ids {
				_, err := p.Enqueue(p.ctx, rqcompat.Request{Queue: "q", ID: test.id, Call: *mailCall()})
				ok := slices.Compare([]int{d.Major, d.Minor}, test.last[:]) <= 0
				if ok != (err == nil) {
					t.Errorf("%q: %v", test.id, err)
				}
				if !ok {
					continue
				}
				if j, err := p.Fetch(p.ctx, test.id); err != nil || j.ID != test.id {
					t.Errorf("%q: %v", test.id, err)
				}
			}
		})
	}
}

func TestEnqueueWithoutServer(t *testing.T) {
	p := newPeer(t, "2.6.1")
	p.do("CONFIG", "SET", "maxmemory", "1")
	if _, err := p.Enqueue(p.ctx, rqcompat.Request{Queue: "q", Call: *mailCall()}); err == nil {
		t.Error("no error from a full server")
	}
	if _, err := p.EnqueueMany(p.ctx, []rqcompat.Request{{Queue: "q", Call: *mailCall()}}); err == nil {
		t.Error("no error from a full server")
	}
	ctx, cancel := context.WithCancel(p.ctx)
	cancel()
	if _, err := p.Enqueue(ctx, rqcompat.Request{Queue: "q", Call: *mailCall()}); !errors.Is(err, context.Canceled) {
		t.Errorf("enqueued with a canceled context: got %v, want its error", err)
	}
	_ = p.rdb.Close()
	if _, err := p.EnqueueMany(p.ctx, []rqcompat.Request{{Queue: "q", Call: *mailCall()}}); err == nil {
		t.Error("no error from a closed connection")
	}
}
