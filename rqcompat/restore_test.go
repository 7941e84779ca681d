package rqcompat

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/redis/go-redis/v9"
)

// TestDataMark is another one once data may have been lost, and no other time.
func TestDataMark(t *testing.T) {
	server := servertest.Redis(t)
	rdb := redis.NewClient(testOptions(server.Addr))
	defer rdb.Close()
	d, err := ParseDialect("2.6.1")
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, Client: NewClient(rdb, d)}
	mark := func() string {
		t.Helper()
		mark, err := b.DataMark(t.Context())
		if err != nil || mark == "" {
			t.Fatalf("mark %q, %v", mark, err)
		}
		return mark
	}
	first := mark()
	if again := mark(); again != first {
		t.Errorf("the mark becomes %q without a reason, it was %q", again, first)
	}
	b.do("FLUSHALL")
	emptied := mark()
	if emptied == first {
		t.Error("an emptied server has the mark that it had")
	}
	b.do("SAVE")
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for rdb.Ping(t.Context()).Err() != nil {
		time.Sleep(10 * time.Millisecond)
	}
	if restarted := mark(); restarted == emptied {
		t.Error("a server that was started again has the mark that it had: it may have kept its data, or some")
	}
	// Who may not ask for the run id goes by what is there.
	known := mark()
	b.do("ACL", "SETUSER", "plain", "on", ">x", "~*", "&*", "+@all", "-info")
	b.do("AUTH", "plain", "x")
	if got := mark(); got != known {
		t.Errorf("without a run id the mark becomes %q, want %q", got, known)
	}
	b.do("DEL", DataMarkKey())
	if got := mark(); got == known {
		t.Error("without a run id a lost mark is not noticed")
	}
}

// TestRestore: a running job that Redis has lost is there again as it was, whatever an old copy says of it; never one that is
// somebody else's.
func TestRestore(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		tests := map[string]struct {
			lose func(l Lease)
			sure bool
			want RestoreResult
		}{
			"emptied":                {func(Lease) { b.do("FLUSHALL") }, false, Restored},
			"nothing lost":           {func(Lease) {}, false, RestoreHeld},
			"the entry is lost":      {func(Lease) { b.do("DEL", "rq:wip:default") }, false, RestoreHeld},
			"as before the claim":    {func(Lease) { b.do("FLUSHALL"); b.put("default", "a") }, false, Restored},
			"somebody took it since": {func(Lease) { b.do("FLUSHALL"); b.put("default", "a"); b.do("LPOP", "rq:queue:default") }, false, RestoreLost},
			"another job has its id": {func(Lease) { b.do("FLUSHALL"); b.put("default", "a", "created_at", "2026-11-23T11:44:24.460164Z") }, false, RestoreLost},
			"it is over":             {func(Lease) { b.do("HSET", "rq:job:a", "status", "finished") }, false, RestoreLost},
			"runs elsewhere": {func(Lease) {
				b.do("FLUSHALL")
				b.put("default", "a")
				b.worker.Name = "w2"
				b.claim("default", "a")
				b.worker.Name = "w1"
			}, false, RestoreLost},
			"as of an earlier attempt, and the row knows better": {func(Lease) {
				b.do("FLUSHALL")
				b.put("default", "a")
				b.worker.Name = "w2"
				b.claim("default", "a")
				b.worker.Name = "w1"
			}, true, Restored},
			"as it failed before, and the row knows better": {func(Lease) {
				b.do("FLUSHALL")
				b.put("default", "a", "status", "failed")
				b.do("DEL", "rq:queue:default")
				b.do("ZADD", "rq:failed:default", 5, "a")
			}, true, Restored},
		}
		for name, tc := range tests {
			t.Run(name, func(t *testing.T) {
				b.do("FLUSHALL")
				b.put("default", "a", "meta", "m", "unknown", "kept", "group_id", "")
				l := b.claim("default", "a")
				job, err := b.Fetch(b.ctx(), "a")
				if err != nil {
					t.Fatal(err)
				}
				before := b.hash("rq:job:a")
				tc.lose(l)
				answers, err := b.Restore(b.ctx(), []Restore{{Lease: l, Worker: b.worker, Job: job, Sure: tc.sure}}, 15*time.Second)
				if err != nil || done(t, answers)[0] != tc.want {
					t.Fatalf("restored: %v, %v, want %d", answers, err, tc.want)
				}
				if tc.want == RestoreLost {
					return
				}
				after := b.hash("rq:job:a")
				delete(before, "last_heartbeat")
				delete(after, "last_heartbeat")
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("its hash (-before +after):\n%s", diff)
				}
				if n := b.do("LLEN", "rq:queue:default"); n != int64(0) {
					t.Errorf("%v jobs are on the queue", n)
				}
				if members := b.rdb.ZRange(b.ctx(), "rq:wip:default", 0, -1).Val(); len(members) != 1 {
					t.Errorf("in the started registry are %v, want one", members)
				}
				b.wantRenew(l, true, LeaseHeld)
				b.wantHash("rq:worker:w1", map[string]string{"current_job": "a", "state": "busy"})
				b.do("DEL", "rq:failed:default")
				if got, err := b.Settle(b.ctx(), []Outcome{{Lease: l, Kind: OutcomeFinished, EndedAt: time.Now()}}); err != nil || done(t, got)[0] != Settled {
					t.Errorf("it settles with %v, %v", got, err)
				}
			})
		}
	})
}

// TestUnstrand: a job that nobody has is in its queue again; one that is on its way stays where it is.
func TestUnstrand(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		for name, tc := range map[string]struct {
			where func()
			want  bool
		}{
			"queued, and in no list":      {func() { b.put("default", "a"); b.do("DEL", "rq:queue:default") }, true},
			"started, and in no registry": {func() { b.put("default", "a"); b.claim("default", "a"); b.do("DEL", "rq:wip:default") }, true},
			"in its queue":                {func() { b.put("default", "a") }, false},
			"running":                     {func() { b.put("default", "a"); b.claim("default", "a") }, false},
			"popped, with a copy":         {func() { b.put("default", "a"); b.do("RENAME", "rq:queue:default", "rq:queue:default:intermediate") }, false},
			"popped by a waiter":          {func() { b.put("default", "a"); b.do("RENAME", "rq:queue:default", "rq:first:default") }, false},
			"finished":                    {func() { b.put("default", "a", "status", "finished"); b.do("DEL", "rq:queue:default") }, false},
			"not there":                   {func() {}, false},
		} {
			b.do("FLUSHALL")
			tc.where()
			done, err := b.Unstrand(b.ctx(), "a")
			if err != nil || done != tc.want {
				t.Errorf("%s: put into its queue: %v, %v, want %v", name, done, err, tc.want)
			}
			if tc.want {
				b.wantHash("rq:job:a", map[string]string{"status": "queued", "worker_name": ""})
				if got := b.tryClaim(Lease{Queue: "default", ID: "a", Worker: "w2", ExecutionID: NewExecutionID(), StartedAt: time.Now()}, true); got != Claimed {
					t.Errorf("%s: it can't be claimed: %d", name, got)
				}
			}
		}
	})
}
