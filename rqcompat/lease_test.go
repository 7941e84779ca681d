package rqcompat

import (
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestRenew(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		for _, full := range []bool{false, true} {
			b.do("FLUSHALL")
			b.put("default", "a")
			l := b.claim("default", "a")
			l.Working = 2500 * time.Millisecond
			member := b.d.WipMember("a", l.ExecutionID)
			for _, key := range []string{"rq:worker:w1", "rq:executions:a", ExecutionKey("a", l.ExecutionID)} {
				b.do("EXPIRE", key, 10)
			}
			b.do("HSET", "rq:job:a", "last_heartbeat", "")
			b.wantRenew(l, full, LeaseHeld)
			b.wantScore("rq:wip:default", member, "now+41")
			if !full {
				b.wantHash("rq:job:a", map[string]string{"last_heartbeat": ""})
				continue
			}
			if at, err := ParseTime(b.hash("rq:job:a")["last_heartbeat"]); err != nil || time.Since(at) > time.Minute {
				t.Errorf("last_heartbeat %v, %v", at, err)
			}
			b.wantTTL("rq:worker:w1", 90)
			b.wantHash("rq:worker:w1", map[string]string{"current_job_working_time": "2.500000", "state": "busy", "current_job": "a"})
			if b.d.CompositeWip {
				b.wantTTL(ExecutionKey("a", l.ExecutionID), 90)
				b.wantTTL("rq:executions:a", 150)
				b.wantScore("rq:executions:a", l.ExecutionID, "now+150")
				b.wantHash(ExecutionKey("a", l.ExecutionID), map[string]string{"created_at": floatTime(l.StartedAt)})
			}
		}
	})
}

// One batch renews leases on several queues, and answers each of them in its place.
func TestRenewBatch(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		for _, full := range []bool{false, true} {
			b.do("FLUSHALL")
			var ls []Lease
			for i, id := range []string{"a", "b", "lost", "c"} {
				queue := []string{"default", "long"}[i%2]
				b.put(queue, id)
				l := Lease{Queue: queue, ID: id, Worker: "w-" + id, ExecutionID: NewExecutionID(), StartedAt: time.Now()}
				if got := b.tryClaim(l, true); got != Claimed {
					t.Fatalf("claim %s: got %d, want it claimed", id, got)
				}
				ls = append(ls, l)
			}
			b.do("DEL", "rq:job:lost", "rq:wip:default")
			got, err := b.Renew(b.ctx(), ls, 40*time.Second, full)
			if err != nil || !slices.Equal(done(t, got), []LeaseState{LeaseHeld, LeaseHeld, LeaseJobDeleted, LeaseHeld}) {
				t.Fatalf("renewed four leases (full %v), one of a deleted job: got %v, %v", full, got, err)
			}
			for _, l := range ls {
				want := "now+41"
				if l.ID == "lost" {
					want = "none"
				}
				b.wantScore(WipKey(l.Queue), b.d.WipMember(l.ID, l.ExecutionID), want)
			}
		}
	})
}

func (b *bed) wantRenew(l Lease, full bool, want LeaseState) {
	b.t.Helper()
	got, err := b.Renew(b.ctx(), []Lease{l}, 40*time.Second, full)
	if err != nil || len(got) != 1 || done(b.t, got)[0] != want {
		b.t.Errorf("renew %s (full %v): got %v, %v, want %d", l.ID, full, got, err, want)
	}
}

func TestRenewRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(b *bed)
		want LeaseState
	}{
		{"deleted", func(b *bed) { b.do("DEL", "rq:job:a") }, LeaseJobDeleted},
		{"canceled", func(b *bed) { b.do("HSET", "rq:job:a", "status", "canceled") }, LeaseCanceled},
		{"failed", func(b *bed) { b.do("HSET", "rq:job:a", "status", "failed") }, LeaseLost},
		{"taken", func(b *bed) { b.do("HSET", "rq:job:a", "worker_name", "other") }, LeaseLost},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyDialect(t, func(t *testing.T, b *bed) {
				for _, full := range []bool{false, true} {
					b.do("FLUSHALL")
					b.put("default", "a")
					l := b.claim("default", "a")
					// Whoever ends a run removes its entry and records.
					b.do("DEL", "rq:wip:default", "rq:executions:a", ExecutionKey("a", l.ExecutionID))
					c.lose(b)
					before := b.hash("rq:job:a")
					b.wantRenew(l, full, c.want)
					b.wantHash("rq:job:a", before)
					b.wantTTL("rq:wip:default", -2)
					b.wantTTL("rq:executions:a", -2)
					b.wantTTL(ExecutionKey("a", l.ExecutionID), -2)
					if c.want == LeaseJobDeleted {
						b.wantTTL("rq:job:a", -2)
					}
				}
			})
		})
	}
}

// RQ 1.x cleaners drop members they can't read, and records expire while a process is stopped. As long as the hash
// names the owner, a renewal puts things right.
func TestRenewRepairs(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a")
		l := b.claim("default", "a")
		l.Working = 100 * time.Second
		b.do("DEL", "rq:wip:default", "rq:worker:w1", "rq:executions:a", ExecutionKey("a", l.ExecutionID))
		b.wantRenew(l, false, LeaseHeld)
		b.wantMembers("rq:wip:default", b.d.WipMember("a", l.ExecutionID))
		b.do("DEL", "rq:wip:default")
		b.wantRenew(l, true, LeaseHeld)
		b.wantMembers("rq:wip:default", b.d.WipMember("a", l.ExecutionID))
		b.wantTTL("rq:worker:w1", -2)
		if b.d.CompositeWip {
			b.wantHash(ExecutionKey("a", l.ExecutionID), map[string]string{"id": l.ExecutionID, "job_id": "a", "worker_name": "w1"})
			created, err := strconv.ParseFloat(b.hash(ExecutionKey("a", l.ExecutionID))["created_at"], 64)
			if age := float64(time.Now().Unix()) - created; err != nil || age < 97 || age > 103 {
				t.Errorf("renewed a job that is worked on for 100 s, whose execution was gone: it is made %.0f s old, %v, want 100", age, err)
			}
		}
	})
}
