package rqcompat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// left looks at the queue default for a moment.
func (b *bed) left(o LeftOptions) LeftReport {
	b.t.Helper()
	o.Queues, o.Ours = []string{"default"}, func(w string) bool { return strings.HasPrefix(w, "bridge-") }
	if o.Grace == 0 {
		o.Grace = 20 * time.Millisecond
	}
	report, err := b.LeftBehind(b.ctx(), o)
	if err != nil {
		b.t.Fatal(err)
	}
	return report
}

func (b *bed) wantLeft(want ...string) []Left {
	b.t.Helper()
	report := b.left(LeftOptions{})
	var got []string
	for _, l := range report.Found {
		got = append(got, fmt.Sprintf("%s %s %s %v", l.ID, l.Kind, l.Status, l.BlocksDeduplicate))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		b.t.Errorf("left behind\n got %q\nwant %q", got, want)
	}
	return report.Found
}

// lose enqueues a job and takes it out of its list, as BLPOP does.
func (b *bed) lose(id string, fields ...string) {
	b.put("default", id, fields...)
	b.do("LREM", "rq:queue:default", 0, id)
}

// leaveAll leaves one of each kind behind, as RQ's workers do when they are killed at different moments.
func (b *bed) leaveAll() {
	b.lose("lost")
	b.lose("stuck")
	b.do("RPUSH", "rq:queue:default:intermediate", "stuck")
	b.wip("abandoned", "w")
	b.wip("unstarted", "", "status", "queued", "started_at", "") // RQ 2 registers before it starts
	b.do("LREM", "rq:queue:default", 0, "unstarted")
	b.do("RPUSH", "rq:queue:default:intermediate", "unstarted")
	b.put("default", "dropped", "status", "started", "worker_name", "w", "started_at", "2026-11-23T11:44:25.000000Z")
	b.put("default", "undue", "status", "scheduled", "enqueue_at_front", "1")
	b.put("default", "requeueing", "status", "failed")
	b.wip("ended", "w", "status", "finished")
	x := b.wip("ended-alive", "w", "status", "finished")
	b.do("ZADD", "rq:wip:default", time.Now().Unix()+60, b.d.WipMember("ended-alive", x))
	b.wip("gone", "w")
	b.do("DEL", "rq:job:gone")
	b.do("RPUSH", "rq:queue:default:intermediate", "ended-stuck")
	b.put("default", "ended-stuck", "status", "finished")
	b.do("SADD", "rq:workers", "rq:worker:dead", "rq:worker:endless")
	b.do("SADD", "rq:workers:default", "rq:worker:dead", "rq:worker:endless")
	b.do("HSET", "rq:worker:endless", "last_heartbeat", "2026-01-01T00:00:00.000000Z")
}

var allLeft = []string{
	"lost lost queued true", "stuck stuck queued true", "abandoned abandoned started true", "unstarted abandoned queued true",
	"dropped unregistered started true", "undue unregistered scheduled false", "requeueing unregistered failed false",
	"ended stale finished false", "ended-alive stale finished false", "gone stale  false", "ended-stuck stale finished false",
	"dead worker  false", "endless worker  false",
}

func TestLeftBehind(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.leaveAll()
		// All is well with these.
		b.put("default", "waits")
		x := b.wip("runs", "w")
		b.do("ZADD", "rq:wip:default", time.Now().Unix()+60, b.d.WipMember("runs", x))
		b.wip("ours", "bridge-1")
		b.put("default", "scheduled", "status", "scheduled")
		b.do("ZADD", "rq:scheduled:default", 1, "scheduled")
		b.put("default", "failed", "status", "failed")
		b.do("ZADD", "rq:failed:default", -1, "failed")
		b.put("default", "expires", "status", "failed")
		b.do("EXPIRE", "rq:job:expires", 5)
		b.put("default", "finished", "status", "finished")
		b.put("default", "deferred", "status", "deferred")
		b.do("SADD", "rq:job:finished:dependents", "deferred")
		b.lose("popped") // by a waiter of First
		b.do("RPUSH", FirstKey("default"), "popped")
		b.put("default", "held", "status", "started", "worker_name", "holder")
		b.do("HSET", "rq:worker:holder", "current_job", "held")
		b.do("HSET", "rq:job:beaten", "last_heartbeat", "2026-11-23T11:44:25.000000Z") // of a job that was deleted
		b.put("other", "foreign")
		b.do("DEL", "rq:queue:other")
		b.do("SADD", "rq:workers:default", "rq:worker:alive")
		b.do("HSET", "rq:worker:alive", "birth", "x")
		b.do("EXPIRE", "rq:worker:alive", 100)
		keys := b.do("DBSIZE")
		b.wantLeft(allLeft...)
		if after := b.do("DBSIZE"); after != keys {
			t.Errorf("a look left %v keys of %v", after, keys)
		}
	})
}

// TestLeftBehindIsSeenTwice: what moves on within the grace period isn't named, and nothing is waited for where all is well.
func TestLeftBehindIsSeenTwice(t *testing.T) {
	b := newBed(t, "2.10.0")
	b.put("default", "well")
	b.left(LeftOptions{Grace: time.Hour})
	b.leaveAll()
	moved := 0
	report := b.left(LeftOptions{Waiting: func(things int) {
		moved = things
		b.do("RPUSH", "rq:queue:default", "lost")
		b.do("HSET", "rq:job:stuck", "status", "started")
		b.do("ZADD", "rq:wip:default", 4e9, "stuck:"+NewExecutionID())
		b.do("ZADD", "rq:scheduled:default", 1, "undue")
		b.do("ZADD", "rq:failed:default", -1, "requeueing")
		b.do("HSET", "rq:job:dropped", "last_heartbeat", "2026-11-23T11:44:55.000000Z")
		b.do("DEL", "rq:wip:default", "rq:job:abandoned", "rq:job:unstarted", "rq:queue:default:intermediate")
		b.do("HSET", "rq:worker:dead", "birth", "x")
		b.do("EXPIRE", "rq:worker:endless", 100)
	}})
	if moved != len(allLeft) || len(report.Found) > 0 {
		t.Errorf("%d looked odd, and %+v still does", moved, report.Found)
	}
}

func TestBringBack(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.leaveAll()
		found := b.wantLeft(allLeft...)
		answers, err := b.BringBack(b.ctx(), found)
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range done(t, answers) {
			want := LeftRequeued
			switch {
			case found[i].Kind == LeftStale || found[i].Kind == LeftWorker:
				want = LeftRemoved
			case found[i].Status == StatusFailed:
				want = LeftListed
			}
			if got != want {
				t.Errorf("%s %s: got %d, want %d", found[i].Kind, found[i].ID, got, want)
			}
		}
		b.wantMembers("rq:queue:default", "undue", "lost", "stuck", "unstarted", "abandoned", "dropped")
		if head := b.do("LINDEX", "rq:queue:default", 0); head != "undue" {
			t.Errorf("first runs %v, want the one that was scheduled for the front", head)
		}
		b.wantHash("rq:job:abandoned", map[string]string{"status": "queued", "started_at": "", "worker_name": "", "bridge_kills": "1"})
		b.wantHash("rq:job:ended", map[string]string{"status": "finished"})
		b.wantScore("rq:failed:default", "requeueing", "now+31536000")
		for _, key := range []string{"rq:wip:default", "rq:queue:default:intermediate", "rq:executions:abandoned", "rq:clean_registries:default"} {
			b.wantTTL(key, -2)
		}
		if n := b.do("SISMEMBER", "rq:workers", "rq:worker:dead"); n != int64(0) {
			t.Error("the dead worker is still listed")
		}
		b.wantLeft()
		// Whoever comes second does nothing.
		again, err := b.BringBack(b.ctx(), found)
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range done(t, again) {
			if got != LeftChanged && found[i].ID != "dead" { // which isn't listed, and is so again
				t.Errorf("%s %s once more: %d", found[i].Kind, found[i].ID, got)
			}
		}
	})
}

// TestBringBackEnds: a job that takes down whoever runs it isn't brought back for ever.
func TestBringBackEnds(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.wip("killer", "w", "bridge_kills", "2")
		answers, err := b.BringBack(b.ctx(), b.wantLeft("killer abandoned started true"))
		if err != nil || done(t, answers)[0] != LeftFailed {
			t.Fatalf("%+v, %v", answers, err)
		}
		b.wantHash("rq:job:killer", map[string]string{"status": "failed"})
		b.wantScore("rq:failed:default", "killer", "now+31536000")
		results, err := b.Results(b.ctx(), "killer")
		if err != nil || len(results) != 1 || !strings.Contains(results[0].ExcString, "due to AbandonedJobError") {
			t.Errorf("results %+v, %v", results, err)
		}
	})
}

// TestBringBackUnderRQsLock: what RQ's maintenance puts right too is left to whoever works under its lock, and not to a lock
// that RQ 1.15 leaves behind when it is done.
func TestBringBackUnderRQsLock(t *testing.T) {
	for name, tc := range map[string]struct {
		ttl    time.Duration
		locked bool
	}{
		"without an end":  {0, true},
		"just taken":      {899 * time.Second, true},
		"half a minute":   {869 * time.Second, true},
		"after a minute":  {838 * time.Second, false},
		"about to expire": {time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, "1.15.1")
			b.leaveAll()
			found := b.wantLeft(allLeft...)
			b.rdb.Set(b.ctx(), "rq:clean_registries:default", 1, tc.ttl)
			answers, err := b.BringBack(b.ctx(), found)
			if err != nil {
				t.Fatal(err)
			}
			for i, got := range done(t, answers) {
				if locked := tc.locked && found[i].Kind != LeftLost && found[i].Kind != LeftUnregistered; locked != (got == LeftLocked) {
					t.Errorf("%s %s: %d", found[i].Kind, found[i].ID, got)
				}
			}
			if n := b.do("EXISTS", "rq:clean_registries:default"); (n == int64(1)) != tc.locked {
				t.Errorf("there are %v locks", n)
			}
		})
	}
}

// TestLeftBehindOfManyJobs: fifty thousand healthy jobs are looked through in steps, and the few lost ones are found.
func TestLeftBehindOfManyJobs(t *testing.T) {
	b := newBed(t, "2.10.0")
	const n = 50_000
	for start := 0; start < n; start += 5000 {
		_, err := b.rdb.Pipelined(b.ctx(), func(p redis.Pipeliner) error {
			for i := range 5000 {
				id := fmt.Sprint("j-", start+i)
				p.HSet(b.ctx(), JobKey(id), "status", "queued", "origin", "default", "data", "x", "enqueued_at", "2026-11-23T11:44:25.000000Z")
				if (start+i)%(n/5) != 7 {
					p.RPush(b.ctx(), QueueKey("default"), id)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	stop := b.pingMeanwhile()
	before := time.Now()
	report := b.left(LeftOptions{})
	t.Logf("%d jobs in %s, others waited %s at most", n, time.Since(before), stop())
	if report.Jobs < n || len(report.Found) != 5 || report.Found[0].Kind != LeftLost {
		t.Errorf("%+v", report)
	}
	// Of more than are asked for the first are named.
	if report = b.left(LeftOptions{Most: 2}); len(report.Found) != 2 || !report.More {
		t.Errorf("%+v", report)
	}
	ctx, cancel := context.WithCancel(b.ctx())
	cancel()
	if _, err := b.LeftBehind(ctx, LeftOptions{Queues: []string{"default"}}); err == nil {
		t.Error("a look went on after its end")
	}
}
