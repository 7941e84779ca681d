package rqcompat_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

var registries = []rqcompat.Registry{rqcompat.Wip, rqcompat.Finished, rqcompat.Failed, rqcompat.Deferred, rqcompat.Scheduled, rqcompat.Canceled}

const execution = "205101cfdc1241ee975823bb3cc8769f"

func TestFetch(t *testing.T) {
	p := newPeer(t, "2.6.1")
	p.enqueue(rqcompat.Request{ID: "a"})
	p.do("HSET", "rq:job:half", "last_heartbeat", "2026-11-23T11:44:25.000000Z")
	p.do("HSET", "rq:job:bad", "data", "\x00garbage", "status", "rate_limited", "timeout", "3m", "origin", "q")
	p.do("SET", "rq:job:text", "x")
	results, err := p.FetchMany(p.ctx, []string{"a", "none", "half", "bad", "text", "a"})
	if err != nil || len(results) != 6 {
		t.Fatalf("%v, %v", results, err)
	}
	if r := results[0]; r.Err != nil || r.Job.ID != "a" || r.Job.Status != rqcompat.StatusQueued {
		t.Errorf("a: %+v", r)
	}
	if r := results[1]; !errors.Is(r.Err, rqcompat.ErrNoSuchJob) || errors.Is(r.Err, rqcompat.ErrNoData) || r.Job != nil {
		t.Errorf("none: %+v", r)
	}
	if r := results[2]; !errors.Is(r.Err, rqcompat.ErrNoData) || !errors.Is(r.Err, rqcompat.ErrNoSuchJob) || r.Job.LastHeartbeat.IsZero() {
		t.Errorf("half: %+v", r)
	}
	if r := results[3]; r.Job == nil || r.Job.Origin != "q" || r.Job.Status != "rate_limited" {
		t.Errorf("bad: %+v", r)
	} else {
		var fe *rqcompat.FieldError
		if !errors.As(r.Err, &fe) {
			t.Errorf("bad: %v", r.Err)
		}
		if _, err := r.Job.Call(); !errors.As(err, new(*pickle.SyntaxError)) {
			t.Errorf("call of bad: %v", err)
		}
	}
	if r := results[4]; r.Err == nil || r.Job != nil {
		t.Errorf("text: %+v", r)
	}
	if results[5].Err != nil {
		t.Errorf("a job behind broken ones: %v", results[5].Err)
	}
	if _, err := p.Fetch(p.ctx, "none"); !errors.Is(err, rqcompat.ErrNoSuchJob) {
		t.Errorf("fetch of job none: got %v, want ErrNoSuchJob", err)
	}
}

func TestFetchManyInChunks(t *testing.T) {
	p := newPeer(t, "2.6.1")
	p.enqueue(rqcompat.Request{ID: "a"})
	ids := make([]string, 1201)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	ids[1200] = "a"
	results, err := p.FetchMany(p.ctx, ids)
	if err != nil || len(results) != 1201 || results[1200].Err != nil || results[1199].Err == nil {
		t.Errorf("%d results, %v", len(results), err)
	}
}

func TestCancel(t *testing.T) {
	forEachDialect(t, func(t *testing.T, p *peer) {
		prepare := map[string]func(id string){
			"queued": func(id string) { p.enqueue(rqcompat.Request{ID: id}); p.do("RPUSH", "rq:queue:q", id) },
			"claimed": func(id string) {
				p.enqueue(rqcompat.Request{ID: id})
				p.do("LMOVE", "rq:queue:q", "rq:queue:q:intermediate", "LEFT", "RIGHT")
			},
			"scheduled": func(id string) { p.enqueue(rqcompat.Request{ID: id, At: time.Now()}) },
			"deferred":  func(id string) { p.enqueue(rqcompat.Request{ID: id, DependsOn: []string{"parent"}}) },
			"started":   func(id string) { p.enqueue(rqcompat.Request{ID: id}); p.run(id, execution) },
			"failed":    func(id string) { p.enqueue(rqcompat.Request{ID: id}); p.end(id, "failed") },
			"stopped":   func(id string) { p.enqueue(rqcompat.Request{ID: id}); p.end(id, "stopped") },
			"finished":  func(id string) { p.enqueue(rqcompat.Request{ID: id}); p.end(id, "finished") },
		}
		for status, f := range prepare {
			p.do("FLUSHALL")
			p.enqueue(rqcompat.Request{ID: "parent"})
			p.run("parent", execution)
			f(status)
			if err := p.Cancel(p.ctx, status, false); err != nil {
				t.Errorf("%s: %v", status, err)
				continue
			}
			p.want("status of "+status, p.hash(status)["status"], "canceled")
			p.want("queue", fmt.Sprint(p.queue("q"), p.queue("q:intermediate")), "[] []")
			for _, r := range registries {
				members, err := p.Members(p.ctx, r, "q", 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range members {
					if m.ID == status && r != rqcompat.Canceled {
						t.Errorf("%s is still in %s", status, r)
					}
				}
				if r == rqcompat.Canceled && (len(members) != 1 || time.Now().Unix()-int64(members[0].Score) > 5) {
					t.Errorf("canceled registry: %v", members)
				}
			}
			if err := p.Cancel(p.ctx, status, false); !errors.Is(err, rqcompat.ErrCanceled) {
				t.Errorf("a second time: %v", err)
			}
		}
		if err := p.Cancel(p.ctx, "none", false); !errors.Is(err, rqcompat.ErrNoSuchJob) {
			t.Errorf("cancel of job none: got %v, want ErrNoSuchJob", err)
		}
		p.do("HSET", "rq:job:half", "last_heartbeat", "x")
		if err := p.Cancel(p.ctx, "half", false); !errors.Is(err, rqcompat.ErrNoSuchJob) {
			t.Errorf("cancel of job half: got %v, want ErrNoSuchJob", err)
		}
		if p.hash("half")["status"] != "" {
			t.Error("half a hash got a status")
		}
	})
}

func TestCancelReleasesDependents(t *testing.T) {
	forEachDialect(t, func(t *testing.T, p *peer) {
		for _, id := range []string{"p1", "p2"} {
			p.enqueue(rqcompat.Request{ID: id})
		}
		p.enqueue(rqcompat.Request{ID: "waits", DependsOn: []string{"p1", "p2"}})
		p.enqueue(rqcompat.Request{ID: "front", DependsOn: []string{"p1"}, AtFront: true})
		p.enqueue(rqcompat.Request{ID: "other", Queue: "r", DependsOn: []string{"p1"}, TTL: ptr(int64(50))})
		p.enqueue(rqcompat.Request{ID: "canceled", DependsOn: []string{"p1"}})
		p.enqueue(rqcompat.Request{ID: "stays", DependsOn: []string{"p2"}})
		if err := p.Cancel(p.ctx, "canceled", false); err != nil {
			t.Fatal(err)
		}
		p.do("DEL", "rq:queues")
		p.do("PERSIST", "rq:job:other")
		if err := p.Cancel(p.ctx, "p1", true); err != nil {
			t.Fatal(err)
		}
		if ttl := p.do("TTL", "rq:job:other").(int64); ttl < 45 {
			t.Errorf("the ttl of a released job does not run: %d", ttl)
		}
		p.want("dependents left", p.set("rq:job:p1:dependents"), "[canceled waits]")
		p.want("queue", p.queue("q"), "[front p2]")
		p.want("queue", p.queue("r"), "[other]")
		p.want("deferred", p.set("rq:deferred:q"), "[stays=+Inf waits=+Inf]")
		p.want("deferred", p.set("rq:deferred:r"), "[]")
		p.want("queues", p.set("rq:queues"), "[rq:queue:q rq:queue:r]")
		p.want("status", p.hash("other")["status"]+p.hash("waits")["status"], "queueddeferred")
		if _, err := rqcompat.ParseTime(p.hash("other")["enqueued_at"]); err != nil {
			t.Errorf("enqueued_at: %v", err)
		}
		if err := p.Cancel(p.ctx, "p2", false); err != nil {
			t.Fatal(err)
		}
		p.want("queue", p.queue("q"), "[front]")
	})
}

func TestRequeue(t *testing.T) {
	forEachDialect(t, func(t *testing.T, p *peer) {
		for _, id := range []string{"failed", "stopped", "canceled"} {
			p.enqueue(rqcompat.Request{ID: id, RetryMax: 2})
		}
		p.end("failed", "failed")
		p.end("stopped", "stopped")
		p.do("HSET", "rq:job:failed", "bridge_kills", 3)
		sets := []string{"rq:job:failed:dependents", "rq:job::failed:dependencies"}
		for _, key := range sets {
			p.do("SADD", key, "x")
			p.do("EXPIRE", key, 500)
		}
		if err := p.Cancel(p.ctx, "canceled", false); err != nil {
			t.Fatal(err)
		}
		p.do("DEL", "rq:queues")
		for id, front := range map[string]bool{"failed": false, "stopped": true, "canceled": true} {
			if err := p.Requeue(p.ctx, id, front); err != nil {
				t.Fatal(err)
			}
			j, err := p.Fetch(p.ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if j.Status != rqcompat.StatusQueued || !j.StartedAt.IsZero() || !j.EndedAt.IsZero() || !j.LastHeartbeat.IsZero() ||
				j.WorkerName != "" || *j.RetriesLeft != 2 || len(j.Extra) != 0 || time.Since(j.EnqueuedAt) > 5*time.Second {
				t.Errorf("%s: %+v", id, j)
			}
			p.want("expiry", p.do("TTL", "rq:job:"+id), -1)
		}
		for _, key := range sets {
			p.want("expiry of "+key, p.do("TTL", key), -1)
		}
		queue := p.queue("q")
		if len(queue) != 3 || queue[2] != "failed" {
			t.Errorf("queue %v", queue)
		}
		p.want("registries", p.set("rq:failed:q")+p.set("rq:canceled:q"), "[][]")
		p.want("queues", p.set("rq:queues"), "[rq:queue:q]")

		for _, status := range []string{"queued", "started", "finished", "failed", ""} {
			p.do("HSET", "rq:job:failed", "status", status)
			err := p.Requeue(p.ctx, "failed", false)
			var ne *rqcompat.NotRequeueableError
			if !errors.As(err, &ne) || !errors.Is(err, rqcompat.ErrNotRequeueable) || string(ne.Status) != status {
				t.Errorf("status %q and in no registry: %v", status, err)
			}
		}
		if err := p.Requeue(p.ctx, "none", false); !errors.Is(err, rqcompat.ErrNoSuchJob) {
			t.Errorf("requeue of job none: got %v, want ErrNoSuchJob", err)
		}
		p.want("queue", len(p.queue("q")), 3)
	})
}

// retry has one job tried again.
func (p *peer) retry(id string) error {
	p.t.Helper()
	errs, err := p.RetryMany(p.ctx, []string{id})
	if err != nil {
		p.t.Fatal(err)
	}
	return errs[0]
}

// TestRetryMany: what waits for its retry is queued before a scheduler does it, and once; so is what Requeue takes.
func TestRetryMany(t *testing.T) {
	forEachDialect(t, func(t *testing.T, p *peer) {
		p.enqueue(rqcompat.Request{ID: "waits", At: time.Now().Add(time.Hour)})
		p.enqueue(rqcompat.Request{ID: "failed"})
		p.end("failed", "failed")
		if err := p.Requeue(p.ctx, "waits", false); !errors.Is(err, rqcompat.ErrNotRequeueable) {
			t.Errorf("requeue of a scheduled job: got %v, want ErrNotRequeueable", err)
		}
		for _, id := range []string{"waits", "failed"} {
			if err := p.retry(id); err != nil {
				t.Fatal(err)
			}
			p.want("status of "+id, p.hash(id)["status"], "queued")
			err := p.retry(id)
			if refused, ok := errors.AsType[*rqcompat.NotRequeueableError](err); !ok || refused.Status != rqcompat.StatusQueued {
				t.Errorf("a second retry of %s: got %v, want that it is queued", id, err)
			}
		}
		p.want("queue", p.queue("q"), "[waits failed]")
		p.want("registries", p.set("rq:scheduled:q")+p.set("rq:failed:q"), "[][]")
		// Somebody took it out of the schedule, which would have queued it.
		p.enqueue(rqcompat.Request{ID: "lost", At: time.Now().Add(time.Hour)})
		p.do("ZREM", "rq:scheduled:q", "lost")
		if err := p.retry("lost"); err != nil {
			t.Errorf("retry of a scheduled job that no scheduler knows: %v", err)
		}
		// Of many each has an answer of its own.
		p.enqueue(rqcompat.Request{ID: "other"})
		p.end("other", "failed")
		p.do("SET", "rq:job:no-hash", "x")
		errs, err := p.RetryMany(p.ctx, []string{"none", "no-hash", "waits", "other"})
		if err != nil || !errors.Is(errs[0], rqcompat.ErrNoSuchJob) || rqcompat.Judge(errs[1]) != rqcompat.Final || !errors.Is(errs[2], rqcompat.ErrNotRequeueable) || errs[3] != nil {
			t.Errorf("of four jobs that there isn't, is no hash, is queued and has failed: %v, %v", errs, err)
		}
		p.want("queue", p.queue("q"), "[waits failed lost other]")
	})
}

func TestRequeueByManyQueuesOnce(t *testing.T) {
	p := newPeer(t, "2.6.1")
	p.enqueue(rqcompat.Request{ID: "a", TTL: ptr(int64(60))})
	p.end("a", "failed")
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := p.Requeue(p.ctx, "a", false); err == nil {
				won.Add(1)
			} else if !errors.Is(err, rqcompat.ErrNotRequeueable) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	p.want("winners", won.Load(), 1)
	p.want("queue", p.queue("q"), "[a]")
	if ttl := p.do("TTL", "rq:job:a").(int64); ttl < 55 || ttl > 60 {
		t.Errorf("a job with a ttl of 60 expires in %d s", ttl)
	}
}

func TestDelete(t *testing.T) {
	forEachDialect(t, func(t *testing.T, p *peer) {
		p.enqueue(rqcompat.Request{ID: "other"})
		p.run("other", "00000000000000000000000000000000")
		p.do("SADD", "rq:group:g", "other", "a")
		p.do("XADD", "rq:results:other", "*", "type", 1)
		p.enqueue(rqcompat.Request{ID: "kept", DependsOn: []string{"other"}})
		keys := p.keys()

		p.enqueue(rqcompat.Request{ID: "a", DependsOn: []string{"other"}})
		p.want("dependents", p.set("rq:job:other:dependents"), "[a kept]")
		p.do("HSET", "rq:job:a", "group_id", "g", "status", "queued")
		p.do("RPUSH", "rq:queue:q", "a", "a")
		p.do("RPUSH", "rq:queue:q:intermediate", "a")
		p.do("SET", "rq:queue:q:intermediate:first_seen:a", "1.5")
		p.do("SADD", "rq:job:a:dependents", "x")
		for _, r := range registries {
			p.do("ZADD", "rq:"+string(r)+":q", 1, "a")
		}
		// Executions, one of them without its hash: RQ's own delete raises on that.
		p.do("ZADD", "rq:wip:q", 1, "a:"+execution)
		p.do("ZADD", "rq:executions:a", 1, execution, 2, "11111111111111111111111111111111")
		p.do("HSET", "rq:execution:a:"+execution, "id", execution)
		p.do("XADD", "rq:results:a", "*", "type", 1)

		if err := p.Delete(p.ctx, "a"); err != nil {
			t.Fatal(err)
		}
		p.wantKeys(keys...)
		p.want("group", p.set("rq:group:g"), "[other]")
		p.want("dependents", p.set("rq:job:other:dependents"), "[kept]")
		p.want("wip", p.set("rq:wip:q"), "["+p.Dialect().WipMember("other", "00000000000000000000000000000000")+"=4000000000]")
		p.want("deferred", p.set("rq:deferred:q"), "[kept=+Inf]")

		p.do("XADD", "rq:results:a", "*", "type", 1)
		if err := p.Delete(p.ctx, "a"); !errors.Is(err, rqcompat.ErrNoSuchJob) {
			t.Errorf("delete of job a: got %v, want ErrNoSuchJob", err)
		}
		p.wantKeys(keys...)
	})
}

func TestSuspension(t *testing.T) {
	p := newPeer(t, "2.6.1")
	check := func(want bool, ttl int64) {
		t.Helper()
		got, err := p.Suspended(p.ctx)
		if err != nil || got != want {
			t.Errorf("suspended: %v, %v, want %v", got, err, want)
		}
		if p.do("TTL", "rq:suspended") != ttl {
			t.Errorf("expiry %v, want %d", p.do("TTL", "rq:suspended"), ttl)
		}
	}
	check(false, -2)
	if err := p.Suspend(p.ctx, 0); err != nil {
		t.Fatal(err)
	}
	check(true, -1)
	p.want("value", p.do("GET", "rq:suspended"), "1")
	if err := p.Suspend(p.ctx, 89*time.Second+time.Millisecond); err != nil {
		t.Fatal(err)
	}
	check(true, 90)
	for range 2 {
		if err := p.Resume(p.ctx); err != nil {
			t.Fatal(err)
		}
		check(false, -2)
	}
}

func TestRegistries(t *testing.T) {
	forEachDialect(t, func(t *testing.T, p *peer) {
		p.enqueue(rqcompat.Request{ID: "b-1", Queue: "bench:short"})
		p.enqueue(rqcompat.Request{ID: "b-2", Queue: "bench:short"})
		p.do("SADD", "rq:queues", "nonsense", "rq:queue:a")
		queues, err := p.Queues(p.ctx)
		if err != nil {
			t.Fatal(err)
		}
		p.want("queues", queues, "[a bench:short]")
		n, err := p.QueueLen(p.ctx, "bench:short")
		p.want("length", fmt.Sprint(n, err), "2 <nil>")
		ids, err := p.QueueIDs(p.ctx, "bench:short", 1, -1)
		p.want("ids", fmt.Sprint(ids, err), "[b-2] <nil>")

		p.do("ZADD", "rq:wip:q", 5, p.Dialect().WipMember("a", execution), 7, "bare")
		members, err := p.Members(p.ctx, rqcompat.Wip, "q", 0, -1)
		want := []rqcompat.Member{{ID: "a", Score: 5}, {ID: "bare", Score: 7}}
		if p.Dialect().CompositeWip {
			want[0].ExecutionID = execution
		}
		p.want("wip", fmt.Sprint(members, err), fmt.Sprint(want, nil))
		n, err = p.Count(p.ctx, rqcompat.Wip, "q")
		p.want("count", fmt.Sprint(n, err), "2 <nil>")
		p.want("expired entries are not cleaned by looking", p.set("rq:wip:q") != "[]", true)
	})
}

func TestPauseAndPosition(t *testing.T) {
	p := newPeer(t, "2.6.1")
	check := func(want rqcompat.Holds) {
		t.Helper()
		if got, err := p.Holds(p.ctx); err != nil || got.Suspended != want.Suspended || !slices.Equal(got.Paused, want.Paused) {
			t.Errorf("holds: %+v, %v, want %+v", got, err, want)
		}
	}
	check(rqcompat.Holds{})
	if err := errors.Join(p.Pause(p.ctx, "b:go", "b:long"), p.Suspend(p.ctx, 0), p.Pause(p.ctx, "b:go")); err != nil {
		t.Fatal(err)
	}
	check(rqcompat.Holds{Suspended: true, Paused: []string{"b:go", "b:long"}})
	if err := errors.Join(p.Unpause(p.ctx, "b:go", "never"), p.Resume(p.ctx)); err != nil {
		t.Fatal(err)
	}
	check(rqcompat.Holds{Paused: []string{"b:long"}})

	p.do("RPUSH", "rq:queue:q", "a", "b", "c")
	for id, want := range map[string]int64{"a": 0, "c": 2} {
		if before, ok, err := p.Position(p.ctx, "q", id); before != want || !ok || err != nil {
			t.Errorf("position of %s: %d, %v, %v, want %d", id, before, ok, err, want)
		}
	}
	if _, ok, err := p.Position(p.ctx, "q", "d"); ok || err != nil {
		t.Errorf("position of a job that doesn't wait: %v, %v", ok, err)
	}
}
