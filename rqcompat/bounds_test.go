package rqcompat

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// calls is how often the server ran a command since it started, in scripts as well.
func (b *bed) calls(command string) int {
	b.t.Helper()
	for line := range strings.Lines(b.rdb.Info(b.ctx(), "commandstats").Val()) {
		if stats, ok := strings.CutPrefix(line, "cmdstat_"+command+":calls="); ok {
			n, _, _ := strings.Cut(stats, ",")
			calls, err := strconv.Atoi(n)
			if err != nil {
				b.t.Fatal(err)
			}
			return calls
		}
	}
	return 0
}

// during is how often the server runs a command while do works.
func (b *bed) during(command string, do func()) int {
	b.t.Helper()
	before := b.calls(command)
	do()
	return b.calls(command) - before
}

// many does the same for each of n ids, in one round trip.
func (b *bed) many(n int, do func(p redis.Pipeliner, id string)) {
	b.t.Helper()
	_, err := b.rdb.Pipelined(b.ctx(), func(p redis.Pipeliner) error {
		for i := range n {
			do(p, fmt.Sprint("many-", i))
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestWhatEndedIsNotSearched: a job that ended is in no list, and looking for it would cost more the more jobs wait.
func TestWhatEndedIsNotSearched(t *testing.T) {
	for name, end := range map[string]func(b *bed) error{
		"trim": func(b *bed) error { _, err := b.TrimFailed(b.ctx(), "default", 0); return err },
		"delete": func(b *bed) error {
			return b.Delete(b.ctx(), "a")
		},
		"cancel": func(b *bed) error { return b.Cancel(b.ctx(), "a", false) },
		"enqueued again": func(b *bed) error {
			_, err := b.Enqueue(b.ctx(), Request{Queue: "default", ID: "a", Call: Call{Func: "f"}, Deduplicate: true})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, "1.15.1")
			b.put("default", "a", "status", "failed")
			b.do("ZADD", "rq:failed:default", 1_800_000_000, "a")
			if n := b.during("lrem", func() {
				if err := end(b); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("the list was searched %d times", n)
			}
			b.wantMembers("rq:failed:default")
		})
	}
}

// TestWhatWaitsIsSearched: what was queued again while it was trimmed or deleted leaves its list.
func TestWhatWaitsIsSearched(t *testing.T) {
	b := newBed(t, "1.15.1")
	b.put("default", "a")
	b.do("ZADD", "rq:failed:default", 1_800_000_000, "a")
	if _, err := b.TrimFailed(b.ctx(), "default", 0); err != nil {
		t.Fatal(err)
	}
	b.wantMembers("rq:queue:default", "a")
	if err := b.Delete(b.ctx(), "a"); err != nil {
		t.Fatal(err)
	}
	b.wantMembers("rq:queue:default")
}

// TestForgettingIsBounded: a job may name any number of parents.
func TestForgettingIsBounded(t *testing.T) {
	b := newBed(t, "1.15.1")
	b.put("default", "a", "status", "failed")
	b.many(1000, func(p redis.Pipeliner, id string) { p.SAdd(b.ctx(), "rq:job::a:dependencies", id) })
	if n := b.during("srem", func() {
		if err := b.Delete(b.ctx(), "a"); err != nil {
			t.Fatal(err)
		}
	}); n > 100 {
		t.Errorf("%d parents were told in one step", n)
	}
	b.wantTTL("rq:job::a:dependencies", -2)
}

// TestMaintenanceGoesInSteps: what stands in a registry is anybody's choice.
func TestMaintenanceGoesInSteps(t *testing.T) {
	b := newBed(t, "2.6.1")
	const n = 2500
	b.many(n, func(p redis.Pipeliner, id string) {
		worker := "python-1"
		if strings.HasSuffix(id, "7") {
			worker = "bridge-1" // stays; others stand behind it
		}
		p.HSet(b.ctx(), JobKey(id), "status", "started", "worker_name", worker, "origin", "default", "data", "x")
		p.ZAdd(b.ctx(), WipKey("default"), redis.Z{Score: 1, Member: id})
		p.ZAdd(b.ctx(), RegistryKey(Finished, "default"), redis.Z{Score: 1, Member: id})
		p.ZAdd(b.ctx(), RegistryKey(Deferred, "default"), redis.Z{Score: 1, Member: id})
		p.SAdd(b.ctx(), GroupKey("g"), "gone-"+id)
	})
	b.do("SADD", GroupsKey(), "g")
	b.do("HSET", JobKey("unreadable"), "status", "started")
	b.do("SET", "rq:executions:unreadable", "no set")
	b.do("ZADD", WipKey("default"), 1, "unreadable")
	ours := func(worker string) bool { return worker == "bridge-1" }
	got, err := b.Maintain(b.ctx(), "default", ours)
	if got.Finished != n || got.Abandoned != n-250 || got.Deferred != 0 || got.Dropped != n || err == nil || !strings.Contains(err.Error(), "unreadable") {
		t.Errorf("got %+v, %v", got, err)
	}
	if left := b.do("ZCARD", WipKey("default")); left != int64(251) {
		t.Errorf("%d are left, want the 250 that aren't Python's and the one that can't be ended", left)
	}
	if removed, err := b.MaintainGroups(b.ctx()); removed != n || err != nil {
		t.Errorf("%d removed of the group, %v", removed, err)
	}
	for _, whole := range []string{"smembers", "zremrangebyscore"} {
		if n := b.calls(whole); n > 1 { // the workers of the queue
			t.Errorf("%s was called %d times: that reads or removes everything at once", whole, n)
		}
	}
}

// TestPoppedJobsGoBackInSteps, in their order.
func TestPoppedJobsGoBackInSteps(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.many(2500, func(p redis.Pipeliner, id string) { p.RPush(b.ctx(), FirstKey("default"), id) })
	b.do("RPUSH", QueueKey("default"), "last")
	want := append(b.rdb.LRange(b.ctx(), FirstKey("default"), 0, -1).Val(), "last")
	var ids []string
	if n := b.during("exists", func() {
		var err error
		if ids, err = b.ReturnPopped(b.ctx(), "default", true); err != nil {
			t.Fatal(err)
		}
	}); n < 3 {
		t.Errorf("2,500 jobs were put back in %d steps", n)
	}
	if got := b.rdb.LRange(b.ctx(), QueueKey("default"), 0, -1).Val(); !slices.Equal(got, want) || !slices.Equal(ids, want[:2500]) {
		t.Error("they are not in their order, or not all that went back were told")
	}
	b.wantTTL(FirstKey("default"), -2)
}

// TestClaimsInALongQueue: one script doesn't look through it again and again, wherever the jobs stand.
func TestClaimsInALongQueue(t *testing.T) {
	b := newBed(t, "2.6.1")
	var ids []string
	filler := func(n int) {
		b.many(n, func(p redis.Pipeliner, id string) { p.RPush(b.ctx(), QueueKey("default"), id) })
	}
	place := func(where string, n int) {
		for i := range n {
			id := fmt.Sprint(where, "-", i)
			b.put("default", id)
			ids = append(ids, id)
		}
	}
	place("head", 20)
	filler(25_000)
	place("middle", 20)
	filler(25_000)
	place("tail", 20)
	ids = append(ids, "gone")
	claims := make([]Claim, len(ids))
	for i, id := range ids {
		claims[i] = Claim{Queue: "default", ID: id, Worker: NewWorker(id, "default"), Register: true, ExecutionID: NewExecutionID()}
	}
	var got []Answer[ClaimResult]
	scripts := b.during("evalsha", func() {
		var err error
		if got, err = b.Claim(b.ctx(), claims, time.Now(), time.Minute); err != nil {
			t.Fatal(err)
		}
	})
	for i, r := range done(t, got) {
		want := Claimed
		if ids[i] == "gone" {
			want = ClaimGone
		}
		if r != want {
			t.Errorf("claim of %s: %d, want %d", ids[i], r, want)
		}
	}
	// 50,000 entries are walked for each of 20 in the middle and for the one that isn't there; a script walks 150,000.
	if scripts < 7 || scripts > 12 {
		t.Errorf("%d scripts for 61 claims, want 7 and perhaps some more", scripts)
	}
	if n := b.do("LLEN", QueueKey("default")); n != int64(50_000) {
		t.Errorf("%d jobs are left, want those of others", n)
	}
}

// TestALongListIsReadInPages: what stays is seen, however many leave and come while it is read.
func TestALongListIsReadInPages(t *testing.T) {
	for _, leave := range []int{0, 1, pageOverlap - 1, pageOverlap, pageOverlap + 1, listPage, 3 * listPage, 4*listPage - 1} {
		b := newBed(t, "1.15.1")
		const n = 4 * listPage
		b.many(n, func(p redis.Pipeliner, id string) { p.RPush(b.ctx(), QueueKey("default"), id) })
		seen := map[string]bool{}
		pages := 0
		err := b.EachWaiting(b.ctx(), "default", func(ids []string) {
			for _, id := range ids {
				seen[id] = true
			}
			if pages++; pages == 2 {
				b.do("LTRIM", QueueKey("default"), leave, -1)
				b.do("LPUSH", QueueKey("default"), "new")
			}
			if len(ids) > listPage {
				t.Errorf("%d ids in one step", len(ids))
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := leave; i < n; i++ {
			if !seen[fmt.Sprint("many-", i)] {
				t.Errorf("%d left while the list was read: many-%d, which stayed, isn't seen", leave, i)
				break
			}
		}
		if leave < pageOverlap && pages != 5 {
			t.Errorf("%d left: %d pages were read, want 5", leave, pages)
		}
	}
}

func TestALongRegistryIsReadInPages(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.many(3000, func(p redis.Pipeliner, id string) {
		p.ZAdd(b.ctx(), WipKey("default"), redis.Z{Score: 12.5, Member: b.d.WipMember(id, "0123456789abcdef0123456789abcdef")})
	})
	seen := map[Member]bool{}
	err := b.EachMember(b.ctx(), Wip, "default", func(members []Member) error {
		if len(members) > 1000 {
			t.Errorf("%d entries in one step", len(members))
		}
		for _, m := range members {
			seen[m] = true
		}
		return nil
	})
	if want := (Member{ID: "many-7", ExecutionID: "0123456789abcdef0123456789abcdef", Score: 12.5}); err != nil || len(seen) != 3000 || !seen[want] {
		t.Errorf("%d entries, %v, want 3000 with %+v", len(seen), err, want)
	}
	stop := fmt.Errorf("stop")
	if err := b.EachMember(b.ctx(), Wip, "default", func([]Member) error { return stop }); err != stop {
		t.Errorf("got %v, want the caller's error", err)
	}
}
