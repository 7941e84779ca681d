package rqcompat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// idleWorker is a Python worker as Redis sees it: a connection that is blocked on the queue's list. (RQ gives the
// worker's name to another one.)
type idleWorker struct {
	mu  sync.Mutex
	got []string
	at  map[string]time.Time
}

func (b *bed) idleWorker() *idleWorker {
	b.t.Helper()
	w := &idleWorker{at: map[string]time.Time{}}
	own := redis.NewClient(&redis.Options{Addr: b.rdb.(*redis.Client).Options().Addr, MaxRetries: -1, PoolSize: 1})
	conn := own.Conn()
	ctx, cancel := context.WithCancel(b.ctx())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			v, err := conn.BLPop(ctx, 400*time.Second, QueueKey("q")).Result()
			if err != nil {
				continue // unblocked: RQ's DequeueTimeout
			}
			w.mu.Lock()
			w.got = append(w.got, v[1])
			w.at[v[1]] = time.Now()
			w.mu.Unlock()
		}
	}()
	b.t.Cleanup(func() {
		cancel()
		_ = conn.Close()
		_ = own.Close()
		<-done
	})
	return w
}

func (w *idleWorker) has() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got)
}

// first runs a First that keeps ids that start with "go" and gives them to claim; the returned function stops it.
func (b *bed) first(claim func(id string)) (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.ctx())
	done := make(chan error, 1)
	go func() {
		done <- b.NewFirst("q", 8).Run(ctx, func(ctx context.Context, popped []string) (back []string, err error) {
			for _, id := range popped {
				switch {
				case !strings.HasPrefix(id, "go"):
					back = append(back, id)
				case b.rdb.LRem(ctx, FirstKey("q"), 1, id).Val() == 1:
					claim(id)
				}
			}
			return back, nil
		})
	}()
	b.eventually(func() bool { return b.blockedClients() >= 8 }, "eight waiters are blocked")
	return func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run ended with %v", err)
		}
	}
}

// displaced counts those that aren't where they should be; all, if some are missing.
func displaced(got, want []string) (n int) {
	if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		return len(want)
	}
	for i := range got {
		if got[i] != want[i] {
			n++
		}
	}
	return n
}

func (b *bed) blockedClients() (n int) {
	return strings.Count(b.rdb.ClientList(b.ctx()).Val(), " flags=b")
}

func (b *bed) eventually(ok func() bool, what string) {
	b.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("not within 10 s: %s\nclients:\n%s", what, b.rdb.ClientList(b.ctx()).Val())
		}
	}
}

// TestFirstIsAheadOfIdleWorkers: however often its waiters are served, an idle worker gets nothing that is ours, and all
// that isn't, in order. (Where pushes come faster than this process is scheduled, one in a while may slip through, or ahead of the
// one before it.)
func TestFirstIsAheadOfIdleWorkers(t *testing.T) {
	b := newBed(t, "1.15.1")
	var mu sync.Mutex
	var ours []string
	stop := b.first(func(id string) {
		mu.Lock()
		ours = append(ours, id)
		mu.Unlock()
	})
	python := b.idleWorker()
	b.eventually(func() bool { return b.blockedClients() >= 9 }, "the idle worker is blocked too")
	var theirs, all []string
	for i := range 60 {
		id := fmt.Sprintf("go-%d", i)
		if i%3 == 2 {
			id = fmt.Sprintf("py-%d", i)
			theirs = append(theirs, id)
		} else {
			all = append(all, id)
		}
		b.do("RPUSH", QueueKey("q"), id)
		time.Sleep(50 * time.Millisecond)
	}
	// As quickly as a Python process can enqueue, the order must hold as well.
	for i := range 30 {
		id := fmt.Sprintf("py-burst-%d", i)
		theirs = append(theirs, id)
		b.do("RPUSH", QueueKey("q"), id)
		time.Sleep(3 * time.Millisecond)
	}
	b.eventually(func() bool { return slices.Contains(python.has(), theirs[len(theirs)-1]) }, "the worker has everything that is its own")
	got := python.has()
	slipped := len(got)
	got = slices.DeleteFunc(got, func(id string) bool { return strings.HasPrefix(id, "go") })
	if slipped -= len(got); slipped > 3 || displaced(got, theirs) > 4 {
		t.Errorf("the idle worker got %d of %d of ours, and of its own\n%v\nwant, in order,\n%v", slipped, len(all), got, theirs)
	}
	stop()
	if len(ours)+slipped != len(all) {
		t.Errorf("ours are\n%v\nwant\n%v", ours, all)
	}
	if n := b.rdb.Exists(b.ctx(), FirstKey("q"), FirstWaitersKey("q")).Val(); n != 0 {
		t.Errorf("%d keys are left behind, want none", n)
	}
}

// TestFirstLeavesNothingBehind: what was popped and not claimed goes back, in order, at the end of the last process, or by
// the next one if that one died.
func TestFirstLeavesNothingBehind(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.do("RPUSH", FirstKey("q"), "a", "b", "c")
	b.do("RPUSH", QueueKey("q"), "d")
	b.do("ZADD", FirstWaitersKey("q"), time.Now().UnixMilli(), "1")
	if got, err := b.ReturnPopped(b.ctx(), "q", false); err != nil || len(got) > 0 {
		t.Errorf("while a waiter is alive: %v, %v, want nothing returned", got, err)
	}
	b.do("ZADD", FirstWaitersKey("q"), time.Now().Add(-3*time.Second).UnixMilli(), "1")
	if got, err := b.ReturnPopped(b.ctx(), "q", false); err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("when no waiter is alive: %v, %v, want a, b, c returned", got, err)
	}
	b.wantMembers(QueueKey("q"), "a", "b", "c", "d")
	b.do("LMOVE", QueueKey("q"), FirstKey("q"), "LEFT", "RIGHT")
	b.do("ZADD", FirstWaitersKey("q"), time.Now().UnixMilli(), "1")
	if got, err := b.ReturnPopped(b.ctx(), "q", true); err != nil || !slices.Equal(got, []string{"a"}) {
		t.Errorf("anyway: %v, %v, want a returned", got, err)
	}
	b.do("RPUSH", FirstKey("q"), "py-left", "go-left")
	python := b.idleWorker()
	b.eventually(func() bool { return len(python.has()) == 4 }, "the worker has taken the queue")
	claimed := make(chan string, 1)
	stop := b.first(func(id string) { claimed <- id })
	if id := <-claimed; id != "go-left" {
		t.Errorf("claimed %s of what a dead process left, want go-left", id)
	}
	b.eventually(func() bool { return slices.Equal(python.has(), []string{"a", "b", "c", "d", "py-left"}) }, "the worker has py-left")
	stop()
}

// TestFirstPopsNoMoreThanCanBeJudged: every look reads all that was popped.
func TestFirstPopsNoMoreThanCanBeJudged(t *testing.T) {
	b := newBed(t, "1.15.1")
	for i := range firstMost {
		b.do("RPUSH", FirstKey("q"), fmt.Sprint("held-", i))
	}
	ctx, cancel := context.WithCancel(b.ctx())
	defer cancel()
	var looks atomic.Int64
	done := make(chan error, 1)
	go func() {
		done <- b.NewFirst("q", 8).Run(ctx, func(context.Context, []string) ([]string, error) {
			looks.Add(1)
			return nil, nil
		})
	}()
	looked := func(what string) {
		t.Helper()
		before := looks.Load()
		b.eventually(func() bool { return looks.Load() >= before+3 }, what)
	}
	looked("what stands there at the start is judged")
	if n := b.blockedClients(); n > 0 {
		t.Errorf("%d waiters are blocked", n)
	}
	b.do("RPUSH", QueueKey("q"), "stays")
	looked("it is judged again")
	b.wantMembers(QueueKey("q"), "stays")
	b.do("DEL", QueueKey("q"))
	b.do("LPOP", FirstKey("q"))
	b.eventually(func() bool { return b.blockedClients() >= 8 }, "eight waiters are blocked once there is room")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestFirstWithoutTheRightToUnblock still loses nothing.
func TestFirstWithoutTheRightToUnblock(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.do("ACL", "SETUSER", "u", "on", ">p", "~*", "&*", "+@all", "-client|unblock", "-client|list")
	admin := b.rdb
	restricted := redis.NewClient(&redis.Options{Addr: admin.(*redis.Client).Options().Addr, Username: "u", Password: "p", MaxRetries: -1})
	defer restricted.Close()
	b.Client = NewClient(restricted, b.d)
	ctx, cancel := context.WithCancel(b.ctx())
	done := make(chan error, 1)
	go func() {
		done <- b.NewFirst("q", 3).Run(ctx, func(_ context.Context, popped []string) ([]string, error) { return popped, nil })
	}()
	time.Sleep(200 * time.Millisecond)
	for i := range 20 {
		admin.RPush(b.ctx(), QueueKey("q"), fmt.Sprint(i))
	}
	time.Sleep(100 * time.Millisecond)
	begin := time.Now()
	cancel()
	if err := <-done; err != nil || time.Since(begin) > 3*time.Second {
		t.Errorf("Run ended with %v after %s, want nil, soon", err, time.Since(begin))
	}
	got := admin.LRange(b.ctx(), QueueKey("q"), 0, -1).Val()
	slices.Sort(got)
	if len(got) != 20 || len(slices.Compact(got)) != 20 {
		t.Errorf("%d ids are in the queue, want the twenty: %v", len(got), got)
	}
}

// TestClaimFromElsewhere takes a job that a Python worker failed, and one that a First popped.
func TestClaimFromElsewhere(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		claim := func(id, from string) ClaimResult {
			t.Helper()
			got, err := b.Claim(b.ctx(), []Claim{{Queue: "default", ID: id, Worker: b.worker, Register: true, ExecutionID: NewExecutionID(), From: from}}, time.Now(), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			return done(t, got)[0]
		}
		b.put("default", "a")
		b.settle(Outcome{Lease: b.claim("default", "a"), Kind: OutcomeFailed, Exc: "boom", EndedAt: time.Now()}, Settled)
		if got := claim("a", FromQueue); got != ClaimGone {
			t.Errorf("a failed job from its queue: %d, want gone", got)
		}
		if got := claim("a", FromFailed); got != Claimed {
			t.Fatalf("a failed job from the failed registry: %d, want claimed", got)
		}
		h := b.hash(JobKey("a"))
		if h["status"] != string(StatusStarted) || h["ended_at"] != "" || b.rdb.TTL(b.ctx(), JobKey("a")).Val() != -1 {
			t.Errorf("its hash is %v with a TTL of %s, want started, not ended, without expiry", h, b.rdb.TTL(b.ctx(), JobKey("a")).Val())
		}
		b.wantMembers(RegistryKey(Failed, "default"))
		if got := claim("a", FromFailed); got != ClaimGone {
			t.Errorf("once more: %d, want gone", got)
		}
		b.put("default", "stopped")
		b.settle(Outcome{Lease: b.claim("default", "stopped"), Kind: OutcomeStopped, EndedAt: time.Now()}, Settled)
		if got := claim("stopped", FromFailed); got != ClaimGone {
			t.Errorf("a stopped job: %d, want gone", got)
		}
		b.wantMembers(RegistryKey(Failed, "default"), "stopped")
		b.put("default", "b")
		b.do("LMOVE", QueueKey("default"), FirstKey("default"), "LEFT", "RIGHT")
		if got := claim("b", FirstKey("default")); got != Claimed {
			t.Errorf("a popped job: %d, want claimed", got)
		}
		b.wantMembers(FirstKey("default"))
	})
}

// TestWaitersTakeNoConnectionFromOthers: with as many as a bridge of several queues has, the pool would be empty.
func TestWaitersTakeNoConnectionFromOthers(t *testing.T) {
	b := newBed(t, "2.6.1")
	small := redis.NewClient(&redis.Options{Addr: b.rdb.(*redis.Client).Options().Addr, MaxRetries: -1, PoolSize: 1, PoolTimeout: time.Second})
	defer small.Close()
	b.Client = NewClient(small, b.d)
	stop := b.first(func(string) {})
	defer stop()
	for range 20 {
		if err := small.Ping(b.ctx()).Err(); err != nil {
			t.Fatalf("beside eight waiters: %v, want the pool's only connection free", err)
		}
	}
}
