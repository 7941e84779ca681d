package rqcompat

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/redis/go-redis/v9"
)

// lapse makes the lease of a claimed job run out.
func (b *bed) lapse(l Lease) {
	b.do("ZADD", WipKey(l.Queue), "XX", time.Now().Unix()-5, b.d.WipMember(l.ID, l.ExecutionID))
}

func (b *bed) lapsedOnly(queue string) LapsedJob {
	b.t.Helper()
	got, err := b.Lapsed(b.ctx(), queue, 0)
	if err != nil || len(got) != 1 {
		b.t.Fatalf("lapsed: %+v, %v; want one", got, err)
	}
	return got[0]
}

func (b *bed) rescue(l LapsedJob, want RescueResult) {
	b.t.Helper()
	got, err := b.Rescue(b.ctx(), "default", l, 3)
	if err != nil || got != want {
		b.t.Errorf("rescue %s: %v, %v, want %v", l.ID, got, err, want)
	}
}

// A lease that RQ's cleaners must not see lapse is given for longer, and lapses for those who know.
func TestRescueWithSlack(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a")
		l := b.claim("default", "a")
		member := b.d.WipMember(l.ID, l.ExecutionID)
		b.do("ZADD", WipKey("default"), "XX", float64(time.Now().Unix())+70.5, member)
		if got, err := b.Lapsed(b.ctx(), "default", 60*time.Second); len(got) != 0 || err != nil {
			t.Fatalf("lapsed before its time: %+v, %v", got, err)
		}
		got, err := b.Lapsed(b.ctx(), "default", 75*time.Second)
		if err != nil || len(got) != 1 {
			t.Fatalf("lapsed: %+v, %v; want one", got, err)
		}
		// The Python worker that had failed it says once more that it lives, rq/worker.py 1.x maintain_heartbeats.
		b.do("ZADD", WipKey("default"), "XX", time.Now().Unix()+61, member)
		b.rescue(got[0], RescueNothing)
		if got, err := b.Lapsed(b.ctx(), "default", 75*time.Second); len(got) != 0 || err != nil {
			t.Errorf("lapsed by what Python wrote: %+v, %v", got, err)
		}
		if _, err := b.Renew(b.ctx(), []Lease{l}, 70*time.Second, false); err != nil {
			t.Fatal(err)
		}
		b.rescue(got[0], RescueRequeued)
	})
}

// A lease holds in the second in which it ends.
func TestLeaseHoldsInItsLastSecond(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.put("default", "a")
	l := b.claim("default", "a")
	b.lapse(l)
	lapsed := b.lapsedOnly("default")
	lapsed.slack = time.Minute
	for {
		now := time.Now().Unix()
		b.do("ZADD", "rq:wip:default", now+60, b.d.WipMember("a", l.ExecutionID))
		seen, err := b.Lapsed(b.ctx(), "default", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Rescue(b.ctx(), "default", lapsed, 3)
		if err != nil {
			t.Fatal(err)
		}
		if time.Now().Unix() == now { // else it was not that second any more
			if len(seen) != 0 || got != RescueNothing {
				t.Errorf("a lease that ends in this second: seen as lapsed %+v, rescued %d, want neither", seen, got)
			}
			return
		}
		if got != RescueNothing {
			l = b.claim("default", "a")
			b.lapse(l)
			lapsed = b.lapsedOnly("default")
			lapsed.slack = time.Minute
		}
	}
}

// TestNobodyIsRescuedWithoutMemory: a server that can't take a renewal must not let go of the job either.
func TestNobodyIsRescuedWithoutMemory(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a")
		b.lapse(b.claim("default", "a"))
		lapsed := b.lapsedOnly("default")
		b.do("CONFIG", "SET", "maxmemory", "1")
		if got, err := b.Rescue(b.ctx(), "default", lapsed, 3); Judge(err) != Refusing {
			t.Errorf("rescue without memory: %d, %v, want refused", got, err)
		}
		if err := b.Writable(b.ctx()); Judge(err) != Refusing {
			t.Errorf("Writable without memory: %v, want refused", err)
		}
		b.do("CONFIG", "SET", "maxmemory", "0")
		if err := b.Writable(b.ctx()); err != nil || b.rdb.Exists(b.ctx(), WipKey("")).Val() != 0 {
			t.Errorf("Writable with memory: %v, want nil, and no key written", err)
		}
		if got, err := b.Rescue(b.ctx(), "default", lapsed, 3); err != nil || got != RescueRequeued {
			t.Errorf("rescue with memory: %d, %v, want requeued: the refused one must have changed nothing", got, err)
		}
	})
}

func TestRescue(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "site1.local::a", "retries_left", "2", "ttl", "100")
		b.put("default", "next")
		for kills := range 3 {
			l := b.claim("default", "site1.local::a")
			if got, err := b.Lapsed(b.ctx(), "default", 0); len(got) != 0 || err != nil {
				t.Fatalf("lapsed before its time: %+v, %v", got, err)
			}
			b.lapse(l)
			got := b.lapsedOnly("default")
			want := LapsedJob{
				ID: l.ID, ExecutionID: l.ExecutionID, Member: b.d.WipMember(l.ID, l.ExecutionID), Status: StatusStarted,
				WorkerName: "w1", StartedAt: l.StartedAt.UTC().Truncate(time.Microsecond), Kills: kills,
			}
			if !b.d.CompositeWip {
				want.ExecutionID = ""
			}
			want.Beside = strings.TrimSuffix(strings.Repeat("x, y\n", kills), "\n")
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			got.Ran([]string{"x", "y"})
			if kills < 2 {
				b.rescue(got, RescueRequeued)
				b.wantMembers("rq:queue:default", l.ID, "next")
				b.wantHash("rq:job:"+l.ID, map[string]string{"status": "queued", "worker_name": "", "started_at": "", "retries_left": "2", "bridge_kills": fmt.Sprint(kills + 1), "bridge_beside": got.Beside})
				b.wantTTL("rq:job:"+l.ID, 100)
			} else {
				b.rescue(got, RescuePoisoned)
				b.wantHash("rq:job:"+l.ID, map[string]string{"status": "failed", "bridge_kills": "<none>", "bridge_beside": "<none>"})
				r, err := b.Results(b.ctx(), l.ID)
				if err != nil || len(r) != 1 || !strings.Contains(r[0].ExcString, "took its worker down 3 times; beside it ran, death by death: x, y; x, y; x, y; it is not tried again") {
					t.Errorf("results %+v, %v; want one that names who ran beside it", r, err)
				}
				b.wantMembers("rq:failed:default", l.ID)
				b.wantMembers("rq:queue:default", "next")
				if r, err := b.rdb.XLen(b.ctx(), "rq:results:"+l.ID).Result(); r != 1 || err != nil {
					t.Errorf("%d results, %v", r, err)
				}
			}
			b.wantNoTrace(l)
			b.rescue(got, RescueNothing)
			b.settle(Outcome{Lease: l, Kind: OutcomeFinished}, NotOwner)
		}
	})
}

// TestRescueOfWhatHasEnded: a job whose work is done is not failed for a lapse, whichever it is.
func TestRescueOfWhatHasEnded(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "done", "bridge_kills", "2")
		b.lapse(b.claim("default", "done"))
		got := b.lapsedOnly("default")
		got.Ended = true
		b.rescue(got, RescueRequeued)
		b.wantMembers("rq:queue:default", "done")
	})
}

// TestRanKeepsNamesShort: ids are as long as anybody likes, and there may be thousands of them.
func TestRanKeepsNamesShort(t *testing.T) {
	var l LapsedJob
	if got, want := l.Deaths(), "the job took its worker down 1 times"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	l.Ran(nil)
	beside := slices.Repeat([]string{"a\nb"}, 12)
	beside[0] = strings.Repeat("long", 1000)
	l.Ran(beside)
	lines := strings.Split(l.Beside, "\n")
	if len(lines) != 2 || lines[0] != "no other job" || !strings.HasSuffix(lines[1], ", a b, a b and 2 more") || len(lines[1]) > 1000 {
		t.Errorf("%q, want a short line for each death", l.Beside)
	}
}

// A Python worker's lease is 90 s and means what it says, also for callers with slack.
func TestRescueLeavesLivePythonWorkers(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		x := b.wip("theirs", "python-1")
		member := b.d.WipMember("theirs", x)
		b.do("ZADD", "rq:wip:default", time.Now().Unix()+60, member)
		for _, slack := range []time.Duration{0, 75 * time.Second} {
			if got, err := b.Lapsed(b.ctx(), "default", slack); len(got) != 0 || err != nil {
				t.Fatalf("a lease with 60 s left is taken for lapsed: %+v, %v", got, err)
			}
		}
		before := b.hash("rq:job:theirs")
		l := LapsedJob{ID: "theirs", ExecutionID: x, Member: member, Status: StatusStarted, WorkerName: "python-1", slack: 75 * time.Second}
		l.StartedAt, _ = ParseTime(before["started_at"])
		b.rescue(l, RescueNothing)
		b.maintain(MaintenanceReport{})
		b.wantHash("rq:job:theirs", before)
		b.wantScore("rq:wip:default", member, "now+60")
	})
}

// A job whose lapse was seen in one worker's hands is not taken out of another's.
func TestRescueOnlyFromTheHandsThatLapsed(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a")
		l := b.claim("default", "a")
		b.lapse(l)
		lapsed := b.lapsedOnly("default")
		for field, value := range map[string]string{"worker_name": "python-1", "started_at": "2026-11-23T11:44:25.000000Z"} {
			old := b.hash("rq:job:a")[field]
			b.do("HSET", "rq:job:a", field, value)
			b.lapse(l)
			want := RescueNothing
			if b.d.CompositeWip {
				want = RescueDropped // the entry names the execution that lapsed, and nobody else's
			}
			b.rescue(lapsed, want)
			b.wantHash("rq:job:a", map[string]string{"status": "started", field: value})
			b.wantMembers("rq:queue:default")
			b.do("HSET", "rq:job:a", field, old)
			b.do("ZADD", "rq:wip:default", time.Now().Unix()-5, b.d.WipMember("a", l.ExecutionID))
		}
		b.rescue(lapsed, RescueRequeued)
	})
}

func TestRescueRefuses(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a")
		l := b.claim("default", "a")
		b.lapse(l)
		lapsed := b.lapsedOnly("default")
		b.wantRenew(l, false, LeaseHeld)
		b.rescue(lapsed, RescueNothing)
		b.wantHash("rq:job:a", map[string]string{"status": "started"})

		b.lapse(l)
		b.do("HSET", "rq:job:a", "status", "finished")
		b.rescue(lapsed, RescueDropped)
		b.wantTTL("rq:wip:default", -2)
		b.wantHash("rq:job:a", map[string]string{"status": "finished"})
		b.wantTTL("rq:queue:default", -2)
	})
}

// Claimers, a rescuer that finds every lease lapsed, and settlers that may come late, all at the same time: each
// job is settled once, and none is lost.
func TestClaimRescueSettleRace(t *testing.T) {
	for _, version := range []string{"1.16.2", "2.10.0"} {
		t.Run(version, func(t *testing.T) { raceClaims(t, newBed(t, version)) })
	}
}

func raceClaims(t *testing.T, b *bed) {
	const jobs, claimers = 150, 6
	for i := range jobs {
		b.put("default", fmt.Sprint("job", i))
	}
	var mu sync.Mutex
	settled := map[string]int{}
	left := func() int { mu.Lock(); defer mu.Unlock(); return jobs - len(settled) }
	var wg sync.WaitGroup
	deadline := time.Now().Add(30 * time.Second)
	for n := range claimers {
		wg.Go(func() {
			w := NewWorker(fmt.Sprint("claimer", n), "default")
			for left() > 0 && time.Now().Before(deadline) {
				ids, _ := b.rdb.LRange(b.ctx(), "rq:queue:default", 0, 4).Result()
				for _, id := range ids {
					l := Lease{Queue: "default", ID: id, Worker: w.Name, ExecutionID: NewExecutionID(), StartedAt: time.Now()}
					// A lease that has lapsed as it is given.
					got, err := b.Claim(b.ctx(), []Claim{{Queue: "default", ID: id, Worker: w, ExecutionID: l.ExecutionID}}, l.StartedAt, -3*time.Second)
					if err != nil {
						t.Error(err)
						return
					}
					if got[0].Result != Claimed {
						continue
					}
					time.Sleep(time.Duration(n%3) * time.Millisecond)
					res, err := b.Settle(b.ctx(), []Outcome{{Lease: l, Kind: OutcomeFinished, EndedAt: time.Now()}})
					if err != nil {
						t.Error(err)
						return
					}
					if res[0].Result == Settled {
						mu.Lock()
						settled[id]++
						mu.Unlock()
					}
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for left() > 0 && time.Now().Before(deadline) {
				lapsed, err := b.Lapsed(b.ctx(), "default", 0)
				if err != nil {
					t.Error(err)
					return
				}
				for _, l := range lapsed {
					if _, err := b.Rescue(b.ctx(), "default", l, 1_000_000); err != nil {
						t.Error(err)
						return
					}
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	wg.Wait()
	for i := range jobs {
		id := fmt.Sprint("job", i)
		if settled[id] != 1 {
			t.Errorf("%s was settled %d times", id, settled[id])
		}
		if n, _ := b.rdb.XLen(b.ctx(), "rq:results:"+id).Result(); n != 1 {
			t.Errorf("%s has %d results", id, n)
		}
	}
	b.wantTTL("rq:queue:default", -2)
	if lapsed, _ := b.Lapsed(b.ctx(), "default", 0); len(lapsed) > 0 {
		t.Errorf("left in the started registry: %+v", lapsed)
	}
}

// Processes that try for the same jobs at the same time never get the same one.
func TestClaimantsNeverShare(t *testing.T) {
	b := newBed(t, "2.6.1")
	const jobs = 200
	for i := range jobs {
		b.put("default", fmt.Sprint(i))
	}
	owners := make([]map[string]bool, 4)
	var wg sync.WaitGroup
	for n := range owners {
		owners[n] = map[string]bool{}
		wg.Go(func() {
			var claims []Claim
			for i := range jobs {
				claims = append(claims, Claim{Queue: "default", ID: fmt.Sprint(i), Worker: NewWorker(fmt.Sprint(n, "-", i), "default"), ExecutionID: NewExecutionID()})
			}
			for first := 0; first < jobs; first += 10 {
				batch := claims[first : first+10]
				got, err := b.Claim(b.ctx(), batch, time.Now(), time.Minute)
				if err != nil {
					t.Error(err)
					return
				}
				for i, r := range got {
					if r.Result == Claimed {
						owners[n][batch[i].ID] = true
					}
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for n := range owners {
		total += len(owners[n])
		for id := range owners[n] {
			if got := b.hash("rq:job:" + id)["worker_name"]; got != fmt.Sprint(n, "-", id) {
				t.Errorf("job %s: claimed by %d, the hash says %s", id, n, got)
			}
		}
	}
	if total != jobs {
		t.Errorf("%d claims of %d jobs", total, jobs)
	}
}

// The server dies while jobs are claimed and settled. What it kept is whole: each job is in exactly one place, and
// the calls that got no answer may be repeated.
func TestServerKilled(t *testing.T) {
	r := servertest.Redis(t, servers.WithAppendOnly())
	rdb := redis.NewClient(testOptions(r.Addr))
	defer rdb.Close()
	d, err := ParseDialect("2.10.0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, Client: NewClient(rdb, d)}
	const jobs = 400
	for i := range jobs {
		b.put("default", fmt.Sprint(i))
	}
	var done atomic.Int64
	some := make(chan struct{})
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			w := NewWorker(fmt.Sprint("w", n), "default")
			for i := n; i < jobs; i += 4 {
				l := Lease{Queue: "default", ID: fmt.Sprint(i), Worker: w.Name, ExecutionID: NewExecutionID(), StartedAt: time.Now()}
				got, err := b.Claim(b.ctx(), []Claim{{Queue: "default", ID: l.ID, Worker: w, ExecutionID: l.ExecutionID}}, l.StartedAt, time.Minute)
				if err != nil || got[0].Result != Claimed {
					return
				}
				if _, err := b.Settle(b.ctx(), []Outcome{{Lease: l, Kind: OutcomeFinished, EndedAt: time.Now()}}); err != nil {
					return
				}
				if done.Add(1) == 50 {
					close(some)
				}
			}
		})
	}
	<-some
	r.Kill()
	wg.Wait()
	if err := r.Restart(b.ctx()); err != nil {
		t.Fatal(err)
	}
	count := map[string]int64{}
	for i := range jobs {
		id := fmt.Sprint(i)
		h := b.hash("rq:job:" + id)
		count[h["status"]]++
		x, _ := b.rdb.ZRange(b.ctx(), "rq:executions:"+id, 0, -1).Result()
		if running := h["status"] == "started"; running != (len(x) == 1) || len(x) > 1 {
			t.Errorf("job %s is %s with executions %q", id, h["status"], x)
		}
	}
	for status, key := range map[string]string{"queued": "LLEN rq:queue:default", "started": "ZCARD rq:wip:default", "finished": "ZCARD rq:finished:default"} {
		command, key, _ := strings.Cut(key, " ")
		if n := b.do(command, key); n != count[status] {
			t.Errorf("%d jobs are %s, %s has %v", count[status], status, key, n)
		}
	}
	if count["finished"] < done.Load() || count["queued"]+count["started"]+count["finished"] != jobs || count["queued"] == 0 {
		t.Errorf("%d outcomes were acknowledged; the server has %v", done.Load(), count)
	}
}
