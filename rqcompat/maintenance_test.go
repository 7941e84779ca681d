package rqcompat

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func (b *bed) maintain(want MaintenanceReport) {
	b.t.Helper()
	got, err := b.Maintain(b.ctx(), "default", func(w string) bool { return strings.HasPrefix(w, "bridge-") })
	if err != nil || got != want {
		b.t.Errorf("maintain: got %+v, %v; want %+v", got, err, want)
	}
}

// wip puts a job into the started registry as a worker that died some seconds ago left it.
func (b *bed) wip(id, worker string, fields ...string) (execution string) {
	b.put("default", id, append([]string{"status", "started", "worker_name", worker, "started_at", "2026-11-23T11:44:25.000000Z"}, fields...)...)
	execution = NewExecutionID()
	b.do("ZADD", "rq:wip:default", time.Now().Unix()-5, b.d.WipMember(id, execution))
	if b.d.CompositeWip {
		b.do("ZADD", "rq:executions:"+id, time.Now().Unix()+55, execution)
		b.do("HSET", ExecutionKey(id, execution), "id", execution, "created_at", "1", "last_heartbeat", "1")
	}
	return execution
}

func TestMaintainAbandoned(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		x := b.wip("failed", "python")
		b.wip("retried", "python", "retries_left", "1")
		b.wip("scheduled", "python", "retries_left", "1", "retry_intervals", "[30]")
		b.wip("ours", "bridge-1")
		b.wip("ended", "python", "status", "finished")
		b.wip("deleted", "python")
		b.do("DEL", "rq:job:deleted")
		b.put("default", "again")
		b.wip("again", "python", "status", "queued")
		b.wip("lost", "", "status", "queued")
		b.do("LREM", "rq:queue:default", 0, "lost")
		b.do("ZADD", "rq:wip:default", time.Now().Unix()+50, "alive", -1, "forever")
		b.put("default", "child", "status", "deferred", "allow_dependency_failures", "1")
		b.do("SADD", "rq:job:failed:dependents", "child")

		b.maintain(MaintenanceReport{Abandoned: 4, Retried: 2, Dropped: 3})

		for id, status := range map[string]string{
			"failed": "failed", "retried": "queued", "scheduled": "scheduled", "ours": "started", "ended": "finished", "again": "queued", "lost": "failed", "child": "queued",
		} {
			b.wantHash("rq:job:"+id, map[string]string{"status": status})
		}
		b.wantMembers("rq:queue:default", "again", "again", "child", "retried")
		b.wantScore("rq:scheduled:default", "scheduled", "now+30")
		b.wantScore("rq:failed:default", "failed", "now+31536000")
		b.wantTTL("rq:job:failed", oneYear)
		r, err := b.rdb.XRevRangeN(b.ctx(), "rq:results:failed", "+", "-", 1).Result()
		if err != nil || len(r) != 1 || r[0].Values["type"] != "2" {
			t.Errorf("result of the abandoned job: %v, %v", r, err)
		}
		b.wantTTL(ExecutionKey("failed", x), -2)
		b.wantTTL("rq:executions:failed", -2)
		if n := b.do("ZCARD", "rq:wip:default"); n != int64(3) {
			t.Errorf("%v members left in wip, want ours, alive, forever", n)
		}
		b.wantTTL("rq:clean_registries:default", -2)
		// A second pass finds nothing to do.
		b.maintain(MaintenanceReport{})
	})
}

// What was renewed, or released, after maintenance listed it is left alone.
func TestMaintainSparesWhatIsAliveByThen(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		x := b.wip("renewed", "python")
		b.do("ZADD", "rq:wip:default", time.Now().Unix()+60, b.d.WipMember("renewed", x))
		b.put("default", "waits", "status", "deferred")
		b.do("ZADD", "rq:deferred:default", time.Now().Unix()+60, "waits")
		b.put("default", "gone")
		var ended int
		p := pass{c: b.Client, queue: "default", now: time.Now(), report: &MaintenanceReport{}}
		failed, err := p.run(b.ctx(), []scriptCall{
			p.abandonCall("wip", b.d.WipMember("renewed", x), "renewed", x, boom),
			p.abandonCall("deferred", "waits", "waits", "", boom),
			p.abandonCall("intermediate", "gone", "gone", "", boom),
		}, &ended)
		if err != nil || failed+ended != 0 || *p.report != (MaintenanceReport{}) {
			t.Errorf("ended three jobs that are not to be ended any more: %d, %+v, %v, want nothing done", ended, *p.report, err)
		}
		b.wantHash("rq:job:renewed", map[string]string{"status": "started"})
		b.wantHash("rq:job:waits", map[string]string{"status": "deferred"})
		b.wantHash("rq:job:gone", map[string]string{"status": "queued"})
		b.wantScore("rq:wip:default", b.d.WipMember("renewed", x), "now+60")
	})
}

// Frappe 15 ids can look like composite members; a job of an RQ 1.x worker is found under its whole member.
func TestMaintainBareMemberWithColons(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		id := "site1.local::" + NewExecutionID()
		b.put("default", id, "status", "started", "worker_name", "python", "started_at", "2026-11-23T11:44:25.000000Z")
		b.do("ZADD", "rq:wip:default", 5, id, 5, "a:b:c")
		b.maintain(MaintenanceReport{Abandoned: 1, Dropped: 1})
		b.wantHash("rq:job:"+id, map[string]string{"status": "failed"})
		b.wantMembers("rq:failed:default", id)
	})
}

func TestMaintainExpires(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		now := time.Now().Unix()
		for _, reg := range []string{"finished", "failed"} {
			b.do("ZADD", "rq:"+reg+":default", now-10, "old", now+100, "new", -1, "kept", "+inf", "always")
		}
		b.do("ZADD", "rq:deferred:default", now-10, "expired", "+inf", "waits", now-10, "nohash")
		b.put("default", "expired", "status", "deferred", "retries_left", "3")
		b.put("default", "waits", "status", "deferred")
		b.do("SADD", "rq:workers", "rq:worker:dead", "rq:worker:alive", "rq:worker:other")
		b.do("SADD", "rq:workers:default", "rq:worker:dead", "rq:worker:alive")
		b.do("HSET", "rq:worker:alive", "birth", "2026-11-23T11:44:25.000000Z")

		want := MaintenanceReport{Finished: 1, Failed: 1, Workers: 1}
		if b.d.DeferredExpires {
			want.Deferred, want.Dropped = 1, 1
		}
		b.maintain(want)
		b.wantMembers("rq:finished:default", "kept", "new", "always")
		if b.d.DeferredExpires {
			b.wantMembers("rq:failed:default", "kept", "new", "expired", "always")
			b.wantMembers("rq:deferred:default", "waits")
			b.wantHash("rq:job:expired", map[string]string{"status": "failed", "started_at": "", "ended_at": ""})
		} else {
			b.wantMembers("rq:failed:default", "kept", "new", "always")
			b.wantMembers("rq:deferred:default", "expired", "nohash", "waits")
		}
		b.wantMembers("rq:workers", "rq:worker:alive", "rq:worker:other")
		b.wantMembers("rq:workers:default", "rq:worker:alive")
	})
}

func TestMaintainStuck(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		for _, id := range []string{"stuck", "retried", "new", "running", "ended", "queued"} {
			b.put("default", id)
		}
		b.do("DEL", "rq:queue:default")
		b.do("RPUSH", "rq:queue:default", "queued")
		b.do("HSET", "rq:job:retried", "retries_left", "1")
		b.do("HSET", "rq:job:ended", "status", "finished")
		x := NewExecutionID()
		b.do("ZADD", "rq:wip:default", time.Now().Unix()+50, b.d.WipMember("running", x))
		if b.d.CompositeWip {
			b.do("ZADD", "rq:executions:running", time.Now().Unix()+50, x)
		}
		b.do("RPUSH", "rq:queue:default:intermediate", "stuck", "retried", "new", "running", "ended", "queued", "nohash")
		b.maintain(MaintenanceReport{})
		for _, id := range []string{"stuck", "retried", "running", "ended", "queued", "nohash"} {
			b.wantTTL(FirstSeenKey("default", id), 86400)
			b.do("SET", FirstSeenKey("default", id), fmt.Sprintf("%d.5", time.Now().Unix()-70))
		}
		b.maintain(MaintenanceReport{Stuck: 2, Retried: 1, Dropped: 3})
		b.wantMembers("rq:queue:default:intermediate", "new", "running")
		b.wantHash("rq:job:stuck", map[string]string{"status": "failed", "ended_at": ""})
		b.wantHash("rq:job:ended", map[string]string{"status": "finished"})
		b.wantMembers("rq:queue:default", "queued", "retried")
		b.wantTTL(FirstSeenKey("default", "stuck"), -2)
	})
}

// The lock of a running pass keeps others out, and is not deleted by a pass it outlived.
func TestMaintainLock(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.do("SET", "rq:clean_registries:default", "1")
	b.wip("a", "python")
	b.maintain(MaintenanceReport{Busy: true})
	b.wantHash("rq:job:a", map[string]string{"status": "started"})
	if n := b.do("EXISTS", "rq:clean_registries:default"); n != int64(1) {
		t.Error("the lock of another process was deleted")
	}
	b.do("DEL", "rq:clean_registries:default")
	// A registry that cannot be read must not leave the lock behind, nor keep the rest from being done.
	b.do("SET", "rq:finished:default", "no zset")
	got, err := b.Maintain(b.ctx(), "default", nil)
	if err == nil || got.Abandoned != 1 {
		t.Errorf("got %+v, %v; want an error, and the abandoned job dealt with", got, err)
	}
	b.wantTTL("rq:clean_registries:default", -2)
}

func TestMaintainGroups(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a")
		b.do("SADD", "rq:groups", "g", "empty", "gone")
		b.do("SADD", "rq:group:g", "a", "expired")
		b.do("SADD", "rq:group:empty", "expired")
		n, err := b.MaintainGroups(b.ctx())
		if err != nil {
			t.Fatal(err)
		}
		if !b.d.CompositeWip {
			if n != 0 {
				t.Errorf("removed %d", n)
			}
			return
		}
		if n != 2 {
			t.Errorf("removed %d, want 2", n)
		}
		b.wantMembers("rq:groups", "g")
		b.wantMembers("rq:group:g", "a")
	})
}

func TestTrimFailed(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		for i := range 120 {
			id := fmt.Sprint(i)
			b.put("default", id, "status", "failed")
			b.do("ZADD", "rq:failed:default", 1_800_000_000+i, id)
			b.do("XADD", "rq:results:"+id, "*", "type", "2")
		}
		b.do("ZADD", "rq:failed:default", -1, "119")
		b.do("HSET", "rq:job:3", "status", "queued")
		n, err := b.TrimFailed(b.ctx(), "default", 5)
		if n != 115 || err != nil {
			t.Errorf("removed %d, %v, want 115", n, err)
		}
		b.wantMembers("rq:failed:default", "119", "115", "116", "117", "118")
		for _, key := range []string{"rq:job:0", "rq:results:0", "rq:job:114"} {
			b.wantTTL(key, -2)
		}
		b.wantHash("rq:job:3", map[string]string{"status": "queued"})
		if n, err := b.TrimFailed(b.ctx(), "default", 5); n != 0 || err != nil {
			t.Errorf("again: removed %d, %v", n, err)
		}
	})
}
