package rqcompat

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// deferMany makes n deferred children of a parent, on the queue "other".
func (b *bed) deferMany(n int, parent string) {
	b.many(n, func(p redis.Pipeliner, id string) {
		p.HSet(b.ctx(), "rq:job:"+id, "status", "deferred", "origin", "other", "data", "x")
		p.ZAdd(b.ctx(), "rq:deferred:other", redis.Z{Score: 4e9, Member: id})
		p.SAdd(b.ctx(), "rq:job:"+parent+":dependents", id)
		p.SAdd(b.ctx(), "rq:job::"+id+":dependencies", parent)
	})
}

// releaseAll releases whatever was left to steps.
func (b *bed) releaseAll() {
	b.t.Helper()
	for more := true; more; {
		var err error
		if more, err = b.ReleaseDependents(b.ctx()); err != nil {
			b.t.Fatal(err)
		}
	}
}

// wantReleased wants n children in their queue, each once, and nothing left to do.
func (b *bed) wantReleased(n int) {
	b.t.Helper()
	ids := b.rdb.LRange(b.ctx(), "rq:queue:other", 0, -1).Val()
	slices.Sort(ids)
	if got := len(slices.Compact(slices.Clone(ids))); got != n || len(ids) != n {
		b.t.Errorf("%d children were queued, %d of them different, want %d", len(ids), got, n)
	}
	if left := b.rdb.Keys(b.ctx(), "rq:releasing*").Val(); len(left) > 0 {
		b.t.Errorf("left: %q", left)
	}
}

func TestManyDependentsAreReleasedInSteps(t *testing.T) {
	ends := map[string]func(b *bed){
		"finished": func(b *bed) { b.settle(Outcome{Lease: b.claim("default", "a"), Kind: OutcomeFinished}, Settled) },
		"finished, not kept": func(b *bed) {
			b.do("HSET", "rq:job:a", "result_ttl", "0")
			b.settle(Outcome{Lease: b.claim("default", "a"), Kind: OutcomeFinished}, Settled)
		},
		"canceled, and they need not wait": func(b *bed) {
			if err := b.Cancel(b.ctx(), "a", true); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			everyDialect(t, func(t *testing.T, b *bed) {
				b.put("default", "a")
				b.deferMany(1200, "a")
				if n := b.during("smembers", func() { end(b) }); n > 0 {
					t.Error("all of them were read at once")
				}
				b.wantMembers("rq:queue:other")
				if n := b.during("hmget", func() {
					if more, err := b.ReleaseDependents(b.ctx()); !more || err != nil {
						t.Errorf("more: %v, %v", more, err)
					}
				}); n != 100 {
					t.Errorf("one step looked at %d children, want 100", n)
				}
				b.releaseAll()
				b.wantReleased(1200)
				b.wantMembers("rq:deferred:other")
				b.wantTTL("rq:job:a:dependents", -2)
			})
		})
	}
}

// TestAFewDependentsAreReleasedAtOnce, beside many of another job in the same call.
func TestAFewDependentsAreReleasedAtOnce(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.put("default", "a")
	b.put("default", "b")
	b.deferMany(1200, "a")
	b.put("another", "child", "status", "deferred")
	b.do("SADD", "rq:job:b:dependents", "child")
	a, other := b.claim("default", "a"), b.claim("default", "b")
	if got, err := b.Settle(b.ctx(), []Outcome{{Lease: a, Kind: OutcomeFinished}, {Lease: other, Kind: OutcomeFinished}}); err != nil || !slices.Equal(done(t, got), []OutcomeResult{Settled, Settled}) {
		t.Fatal(got, err)
	}
	b.wantMembers("rq:queue:another", "child")
}

// TestWhoStaysDeferredGoesBack: among the dependents of their parent, as if all had been looked at in its end.
func TestWhoStaysDeferredGoesBack(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.put("default", "a")
	b.put("default", "unfinished", "status", "started")
	b.deferMany(1000, "a")
	for i := range 300 {
		b.do("SADD", fmt.Sprintf("rq:job::many-%d:dependencies", i), "unfinished")
	}
	b.do("SADD", "rq:job:a:dependents", "deleted")
	b.do("SET", "rq:job:many-999", "no hash")
	b.settle(Outcome{Lease: b.claim("default", "a"), Kind: OutcomeFinished}, Settled)
	b.releaseAll()
	b.wantReleased(699)
	if n := b.do("SCARD", "rq:job:a:dependents"); n != int64(301) {
		t.Errorf("%d dependents are left, want the 300 that wait for another job and the one that can't be read", n)
	}
	b.wantTTL("rq:job:a:dependents", b.do("TTL", "rq:job:a").(int64))
	// An end that follows finds them again.
	b.put("default", "b")
	b.do("HSET", "rq:job:unfinished", "status", "finished")
	b.do("RENAME", "rq:job:a:dependents", "rq:job:b:dependents")
	b.settle(Outcome{Lease: b.claim("default", "b"), Kind: OutcomeFinished}, Settled)
	b.releaseAll()
	b.wantReleased(999)
}

// TestManyDependentsOfAFailedJob: those that allow it go on, and the others wait for its retry by hand.
func TestManyDependentsOfAFailedJob(t *testing.T) {
	b := newBed(t, "1.15.1")
	b.put("default", "a")
	b.deferMany(600, "a")
	for i := range 200 {
		b.do("HSET", fmt.Sprint("rq:job:many-", i), "allow_dependency_failures", "1")
	}
	b.settle(Outcome{Lease: b.claim("default", "a"), Kind: OutcomeFailed, Exc: boom}, Settled)
	b.releaseAll()
	b.wantReleased(200)
	if err := b.Requeue(b.ctx(), "a", false); err != nil {
		t.Fatal(err)
	}
	b.settle(Outcome{Lease: b.claim("default", "a"), Kind: OutcomeFinished}, Settled)
	b.releaseAll()
	b.wantReleased(600)
}

// TestStepsGoOnWhateverBecomesOfTheParent: it may be deleted, or trimmed, before the last of its dependents is released.
func TestStepsGoOnWhateverBecomesOfTheParent(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.put("default", "a")
	b.deferMany(600, "a")
	b.settle(Outcome{Lease: b.claim("default", "a"), Kind: OutcomeFinished}, Settled)
	if _, err := b.ReleaseDependents(b.ctx()); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(b.ctx(), "a"); err != nil {
		t.Fatal(err)
	}
	b.releaseAll()
	b.wantReleased(600)
	b.wantTTL("rq:job:a:dependents", -2)
}

// TestManyReleaseAtTheSameTime: every child is queued once.
func TestManyReleaseAtTheSameTime(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.put("default", "a")
	b.deferMany(2000, "a")
	b.settle(Outcome{Lease: b.claim("default", "a"), Kind: OutcomeFinished}, Settled)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for more := true; more; {
				var err error
				if more, err = b.ReleaseDependents(b.ctx()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.wantReleased(2000)
}

// TestAChildOfManyParents is looked at in steps as well.
func TestAChildOfManyParents(t *testing.T) {
	prepare := func(t *testing.T, last string) *bed {
		b := newBed(t, "2.6.1")
		b.put("default", "last", "status", last)
		b.put("default", "a")
		b.put("other", "child", "status", "deferred")
		b.do("ZADD", "rq:deferred:other", 4e9, "child")
		b.do("SADD", "rq:job:a:dependents", "child")
		b.do("SADD", "rq:job::child:dependencies", "a", "last")
		b.many(3000, func(p redis.Pipeliner, id string) {
			p.HSet(b.ctx(), "rq:job:"+id, "status", "finished")
			p.SAdd(b.ctx(), "rq:job::child:dependencies", id)
		})
		if n := b.during("hget", func() { b.settle(Outcome{Lease: b.claim("default", "a"), Kind: OutcomeFinished}, Settled) }); n > 50 {
			t.Errorf("the end of one parent looked at %d others", n)
		}
		return b
	}
	t.Run("all have ended", func(t *testing.T) {
		b := prepare(t, "finished")
		b.wantMembers("rq:queue:other")
		b.releaseAll()
		b.wantReleased(1)
		b.wantMembers("rq:deferred:other")
		b.wantMembers("rq:job:a:dependents")
	})
	t.Run("one has not", func(t *testing.T) {
		b := prepare(t, "started")
		b.releaseAll()
		b.wantReleased(0)
		b.wantHash("rq:job:child", map[string]string{"status": "deferred"})
		b.wantMembers("rq:job:a:dependents", "child")
	})
	t.Run("the last ends while others are looked at", func(t *testing.T) {
		b := prepare(t, "started")
		seen := b.rdb.HGet(b.ctx(), ReleasingChildrenKey(), "child").Val()
		b.do("HSET", "rq:job:last", "status", "finished")
		b.do("HSET", ReleasingChildrenKey(), "child", "2026-11-23T11:44:24.460163Z last")
		if err := b.releaseChild(b.ctx(), redis.KeyValue{Key: "child", Value: seen}); err != nil {
			t.Fatal(err)
		}
		b.releaseAll()
		b.wantReleased(1)
	})
}
