package rqcompat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/redis/go-redis/v9"
)

// heard lets a process be heard until the returned function is called.
func (b *bed) heard(process string) (die func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.ctx())
	done := make(chan error, 1)
	told := make(chan error, 10)
	go func() { done <- b.BeHeard(ctx, process, func(err error) { told <- err }) }()
	if err := <-told; err != nil {
		b.t.Fatal(err)
	}
	b.subscribers(process, 1)
	return func() {
		cancel()
		<-done
		b.subscribers(process, 0)
	}
}

// subscribers waits until so many listen to the channel of a process.
func (b *bed) subscribers(process string, n int64) {
	b.t.Helper()
	channel := PubSubChannel(process)
	for end := time.Now().Add(10 * time.Second); b.rdb.PubSubNumSub(b.ctx(), channel).Val()[channel] != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("%s never has %d subscribers", process, n)
		}
	}
}

func (b *bed) wantSilent(asks string, heard bool, silent ...string) {
	b.t.Helper()
	is, got, err := b.Silent(b.ctx(), asks)
	slices.Sort(got)
	if err != nil || is != heard || !slices.Equal(got, silent) {
		b.t.Errorf("%s asks: heard %v, silent %v, %v; want %v, %v", asks, is, got, err, heard, silent)
	}
}

func TestSilent(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.wantSilent("p-1", false) // who was never heard is no death, as in a version that doesn't know of it
	die1, die2 := b.heard("p-1"), b.heard("p-2")
	defer die1()
	b.wantSilent("p-2", true)
	b.wantSilent("p-1", true)
	die2()
	b.wantSilent("p-1", true, "p-2")
	b.wantSilent("p-2", false) // it asks, so it is alive
	b.wantSilent("p-1", true)
	die2 = b.heard("p-2")
	b.wantSilent("p-2", true)
	b.do("CLIENT", "KILL", "TYPE", "pubsub")
	b.subscribers("p-1", 1)
	b.subscribers("p-2", 1)
	b.wantSilent("p-1", true)
	die2()
	if err := b.Withdraw(b.ctx(), "p-2"); err != nil {
		t.Fatal(err)
	}
	b.wantSilent("p-1", true) // it left in order
	b.heard("p-3")()
	b.do("SADD", HeardKey(), "forgotten")
	b.wantSilent("p-1", true, "p-3")
	if got := b.rdb.SMembers(b.ctx(), HeardKey()).Val(); slices.Contains(got, "forgotten") {
		t.Errorf("heard are %v, want nobody whom the index of processes doesn't know", got)
	}
}

// TestSilentWithoutRights: who may not ask knows it.
func TestSilentWithoutRights(t *testing.T) {
	r := servertest.Redis(t, servers.WithConfig("user", "few", "on", "nopass", "~rq:*", "&*", "+@all", "-pubsub", "-subscribe"))
	rdb := redis.NewClient(&redis.Options{Addr: r.Addr, Username: "few", Password: "x", MaxRetries: -1})
	defer rdb.Close()
	d, err := ParseDialect("2.6.1")
	if err != nil {
		t.Fatal(err)
	}
	c := NewClient(rdb, d)
	if _, _, err := c.Silent(t.Context(), "p"); Judge(err) != Denied {
		t.Errorf("asked who is silent without the right: %v, want denied", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var lost error
	_ = c.BeHeard(ctx, "p", func(err error) {
		lost = err
		cancel()
	})
	if Judge(lost) != Denied {
		t.Errorf("be heard without the right: %v, want denied", lost)
	}
}

// TestRescueOfTheDead: their jobs are taken before their lease lapses, while they are silent, and nobody else's.
func TestRescueOfTheDead(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		var leases []Lease
		for _, id := range []string{"a", "b", "other"} {
			b.put("default", id)
			l := Lease{Queue: "default", ID: id, Worker: "p-1-" + id, ExecutionID: NewExecutionID(), StartedAt: time.Now()}
			if id == "other" {
				l.Worker = "p-12-0"
			}
			if got := b.tryClaim(l, true); got != Claimed {
				t.Fatalf("claim: %d", got)
			}
			leases = append(leases, l)
		}
		left, err := b.LeftBy(b.ctx(), "default", []string{"p-1"})
		if err != nil || len(left) != 2 || left[0].ID+left[1].ID != "ab" && left[0].ID+left[1].ID != "ba" {
			t.Fatalf("left by p-1: %+v, %v, want a and b", left, err)
		}
		die := b.heard("p-1")
		b.rescue(left[0], RescueNothing)
		b.wantRenew(leases[0], true, LeaseHeld)
		die()
		b.rescue(left[0], RescueRequeued)
		b.rescue(left[0], RescueNothing)
		b.wantMembers("rq:queue:default", left[0].ID)
		b.wantHash("rq:job:"+left[0].ID, map[string]string{"status": "queued", "worker_name": "", "bridge_kills": "1"})
		for _, l := range leases {
			want := LeaseHeld
			if l.ID == left[0].ID {
				want = LeaseLost
			}
			b.wantRenew(l, false, want)
		}
		// What another worker has by now isn't taken from it.
		again := Lease{Queue: "default", ID: left[0].ID, Worker: "p-2-0", ExecutionID: NewExecutionID(), StartedAt: time.Now()}
		if got := b.tryClaim(again, true); got != Claimed {
			t.Fatalf("claim: %d", got)
		}
		b.rescue(left[0], RescueNothing)
		b.wantRenew(again, true, LeaseHeld)
	})
}

// TestLeftByFindsAll of more jobs than one look returns.
func TestLeftByFindsAll(t *testing.T) {
	b := newBed(t, "1.15.1")
	for i := range 2*lapsedMost + 1 {
		id := fmt.Sprint("j", i)
		b.do("ZADD", WipKey("default"), time.Now().Unix()+int64(i%7), id)
		b.do("HSET", JobKey(id), "status", "started", "worker_name", fmt.Sprintf("p-%d-0", i%2))
	}
	left, err := b.LeftBy(b.ctx(), "default", []string{"p-0"})
	if err != nil || len(left) != lapsedMost+1 {
		t.Errorf("found %d jobs, %v, want %d", len(left), err, lapsedMost+1)
	}
	for _, l := range left {
		if !strings.HasPrefix(l.WorkerName, "p-0-") {
			t.Fatalf("found %+v, want none of another process", l)
		}
	}
}
