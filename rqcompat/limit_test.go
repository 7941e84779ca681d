package rqcompat

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// limited claims jobs within limits, each for a worker of its own.
func (b *bed) limited(limits []Limit, ids ...string) ([]Answer[ClaimResult], []Lease) {
	b.t.Helper()
	claims, leases, now := make([]Claim, len(ids)), make([]Lease, len(ids)), time.Now()
	for i, id := range ids {
		w := NewWorker("w-"+id, "default")
		claims[i] = Claim{Queue: "default", ID: id, Worker: w, Register: true, ExecutionID: NewExecutionID(), Limits: limits}
		leases[i] = Lease{Queue: "default", ID: id, Worker: w.Name, ExecutionID: claims[i].ExecutionID, StartedAt: now, Limits: limits}
	}
	answers, err := b.Claim(b.ctx(), claims, now, 90*time.Second)
	if err != nil {
		b.t.Fatal(err)
	}
	return answers, leases
}

func running(key string, most int) Limit { return Limit{Key: key, Most: most, Lease: 15 * time.Second} }

// wantHeld wants a job to be held by the nth of its limits, and to stand where it stood.
func (b *bed) wantHeld(a Answer[ClaimResult], nth int, least, most time.Duration) {
	b.t.Helper()
	limit, after, ok := a.Result.Held()
	if a.Err != nil || !ok || limit != nth || after < least || after > most {
		b.t.Errorf("claimed: %v, held by limit %d for %s; want by limit %d for %s to %s", a, limit, after, nth, least, most)
	}
}

// wantUsed wants so much of a limit to be used.
func (b *bed) wantUsed(what string, l Limit, want int) {
	b.t.Helper()
	uses, err := b.LimitUses(b.ctx(), []Limit{l})
	if err != nil || uses[0].Used != want {
		b.t.Errorf("%s: used %v (%v), want %d", what, uses, err, want)
	}
}

// TestLimitOfRunningJobs: what is over it stays where it stands, and every way to end a job makes room.
func TestLimitOfRunningJobs(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		for _, id := range []string{"a", "b", "c", "d", "free"} {
			b.put("default", id)
		}
		many, two := running("many", 100), running("two", 2)
		limits := []Limit{many, two}
		got, leases := b.limited(limits, "a", "b", "c")
		if got[0].Result != Claimed || got[1].Result != Claimed {
			t.Fatalf("claimed %v, want the first two", got)
		}
		b.wantHeld(got[2], 1, 14*time.Second, 15*time.Second)
		b.wantMembers("rq:queue:default", "c", "d", "free")
		b.wantUsed("the limit that the third would have kept", many, 2)
		if got, _ := b.limited(nil, "free"); got[0].Result != Claimed {
			t.Errorf("a job without limits: %v", got)
		}
		for i, kind := range []OutcomeKind{OutcomeFinished, OutcomeFailed, OutcomeGivenBack, OutcomeStopped, OutcomeRetried} {
			id := fmt.Sprint("next", i)
			b.put("default", id)
			if got, _ := b.limited(limits, id); got[0].Result >= 0 {
				t.Fatalf("before end %d: %v, want it held", kind, got)
			}
			b.settle(Outcome{Lease: leases[0], Kind: kind, EndedAt: time.Now(), RetryAt: time.Now().Add(time.Hour)}, Settled)
			got, next := b.limited(limits, id)
			if got[0].Result != Claimed {
				t.Fatalf("after end %d: %v, want it claimed", kind, got)
			}
			leases[0] = next[0]
		}
		b.do("HSET", "rq:job:"+leases[0].ID, "worker_name", "somebody else")
		b.settle(Outcome{Lease: leases[0], Kind: OutcomeFinished, EndedAt: time.Now()}, NotOwner)
		b.wantUsed("after the end of a job that was taken away", two, 1)
	})
}

// TestLimitLapsesWithItsProcess: jobs that nobody renews stop counting by themselves, and renewed ones don't.
func TestLimitLapsesWithItsProcess(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		for _, id := range []string{"a", "b", "c"} {
			b.put("default", id)
		}
		two := Limit{Key: "k", Most: 2, Lease: 300 * time.Millisecond}
		got, leases := b.limited([]Limit{two}, "a", "b", "c")
		b.wantHeld(got[2], 0, 200*time.Millisecond, 300*time.Millisecond)
		for range 4 {
			time.Sleep(100 * time.Millisecond)
			if _, err := b.Renew(b.ctx(), leases[:1], 90*time.Second, false); err != nil {
				t.Fatal(err)
			}
		}
		b.wantUsed("one renewed", two, 1)
		if got, _ := b.limited([]Limit{two}, "c"); got[0].Result != Claimed {
			t.Errorf("after the other's lease: %v", got)
		}
		b.settle(Outcome{Lease: leases[0], Kind: OutcomeFinished, EndedAt: time.Now()}, Settled)
		if _, err := b.Renew(b.ctx(), leases[:1], 90*time.Second, true); err != nil {
			t.Fatal(err)
		}
		b.wantUsed("a job that ended and is renewed", two, 1)
	})
}

// TestLimitOfStarts: so many within any window; what was given back has not started.
func TestLimitOfStarts(t *testing.T) {
	b := newBed(t, "1.15.1")
	for _, id := range []string{"a", "b", "c", "d"} {
		b.put("default", id)
	}
	rate := Limit{Key: "rate", Most: 2, Window: 500 * time.Millisecond}
	got, leases := b.limited([]Limit{rate}, "a", "b", "c")
	b.wantHeld(got[2], 0, 400*time.Millisecond, 500*time.Millisecond)
	_, after, _ := got[2].Result.Held()
	b.settle(Outcome{Lease: leases[0], Kind: OutcomeFinished, EndedAt: time.Now()}, Settled)
	b.wantUsed("an end", rate, 2)
	b.settle(Outcome{Lease: leases[1], Kind: OutcomeGivenBack, EndedAt: time.Now()}, Settled)
	b.wantUsed("one given back", rate, 1)
	if got, _ := b.limited([]Limit{rate}, "c", "d"); got[0].Result != Claimed || got[1].Result >= 0 {
		t.Errorf("%v, want one more", got)
	}
	time.Sleep(after + 10*time.Millisecond)
	if got, _ := b.limited([]Limit{rate}, "d"); got[0].Result != Claimed {
		t.Errorf("after the window: %v", got)
	}
}

// TestLimitsCostTheSame whatever stands under their name, and something else there fails who needs it alone.
func TestLimitsCostTheSame(t *testing.T) {
	b := newBed(t, "1.15.1")
	b.put("default", "a")
	b.put("default", "b")
	b.put("default", "c")
	b.many(100_000, func(p redis.Pipeliner, id string) {
		p.ZAdd(b.ctx(), "rq:limit:full", redis.Z{Score: 1, Member: id})
		p.ZAdd(b.ctx(), "rq:limit:over", redis.Z{Score: 1e15, Member: id})
	})
	b.do("SET", "rq:limit:odd", "x")
	full, over, odd := running("full", 5), running("over", 5), running("odd", 5)
	if n := b.during("zrem", func() {
		if got, _ := b.limited([]Limit{full}, "a"); got[0].Result != Claimed {
			t.Errorf("beside 100,000 that have lapsed: %v", got)
		}
	}); n != 1 {
		t.Errorf("%d commands removed what had lapsed", n)
	}
	if n := b.do("ZCARD", "rq:limit:full").(int64); n != 100_000+1-2 {
		t.Errorf("%d are left, want two less", n)
	}
	got, _ := b.limited([]Limit{over}, "b")
	b.wantHeld(got[0], 0, 24*time.Hour, 24*time.Hour)
	answers, _ := b.limited([]Limit{odd}, "b")
	if answers[0].Err == nil || Judge(answers[0].Err) != Final {
		t.Errorf("something else under the limit's name: %v", answers)
	}
	b.wantMembers("rq:queue:default", "b", "c")
	for what, l := range map[string]Limit{
		"none": {Key: "k", Lease: time.Second}, "no lease": {Key: "k", Most: 1}, "a negative window": {Key: "k", Most: 1, Window: -1},
	} {
		if answers, _ := b.limited([]Limit{l}, "c"); !errors.Is(answers[0].Err, ErrBadRequest) {
			t.Errorf("a limit with %s: %v", what, answers)
		}
	}
}

// TestRescueMakesRoom: what a dead worker ran isn't counted any more, although its lease has time left.
func TestRescueMakesRoom(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		b.put("default", "a")
		b.put("default", "b")
		two, starts := running("two", 2), Limit{Key: "starts", Most: 5, Window: time.Minute}
		got, leases := b.limited([]Limit{two, starts}, "a", "b")
		if got[0].Result != Claimed || got[1].Result != Claimed {
			t.Fatalf("claimed %v, want both", got)
		}
		b.lapse(leases[0])
		b.lapse(leases[1])
		lapsed, err := b.Lapsed(b.ctx(), "default", 0)
		if err != nil || len(lapsed) != 2 {
			t.Fatalf("lapsed %+v, %v", lapsed, err)
		}
		lapsed[0].Limits = []Limit{two, starts}
		b.rescue(lapsed[0], RescueRequeued)
		b.wantUsed("after the rescue of one of two", two, 1)
		b.wantUsed("starts after it", starts, 2)
		lapsed[1].Limits = lapsed[0].Limits
		b.do("HSET", "rq:job:"+lapsed[1].ID, "worker_name", "somebody else")
		b.rescue(lapsed[1], map[bool]RescueResult{true: RescueDropped, false: RescueNothing}[b.d.CompositeWip])
		b.wantUsed("after one that had another worker by then", two, 1)
	})
}
