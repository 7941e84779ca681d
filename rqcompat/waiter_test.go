package rqcompat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/redis/go-redis/v9"
)

func (b *bed) waiter() *Waiter {
	w := b.NewWaiter()
	b.t.Cleanup(func() { _ = w.Close() })
	return w
}

// blocked waits until n clients are blocked.
func (b *bed) blocked(n int) {
	b.t.Helper()
	for range 500 {
		if strings.Contains(b.do("INFO", "clients").(string), fmt.Sprintf("\nblocked_clients:%d\r", n)) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	b.t.Fatalf("never saw %d blocked clients", n)
}

type waited struct {
	found bool
	err   error
	took  time.Duration
}

func startWait(ctx context.Context, w *Waiter, most time.Duration) chan waited {
	done := make(chan waited, 1)
	go func() {
		begin := time.Now()
		found, err := w.Wait(ctx, "default", most)
		done <- waited{found, err, time.Since(begin)}
	}()
	return done
}

// Two waiters and a blocked Python-style BLPOP on one list: each gets what it is there for, and nothing moves.
func TestWaitLeavesTheQueueAlone(t *testing.T) {
	b := newBed(t, "2.6.1")
	first := startWait(b.ctx(), b.waiter(), 10*time.Second)
	second := startWait(b.ctx(), b.waiter(), 10*time.Second)
	b.blocked(2)
	b.do("RPUSH", "rq:queue:default", "a", "b", "c")
	for _, done := range []chan waited{first, second} {
		if got := <-done; !got.found || got.err != nil || got.took > 5*time.Second {
			t.Errorf("waited while three jobs were pushed: got %+v, want them found", got)
		}
	}
	b.wantMembers("rq:queue:default", "a", "b", "c")

	b.do("DEL", "rq:queue:default")
	first = startWait(b.ctx(), b.waiter(), 10*time.Second)
	b.blocked(1)
	popped := make(chan []string, 1)
	go func() {
		v, _ := b.rdb.BLPop(b.ctx(), 10*time.Second, "rq:queue:default").Result()
		popped <- v
	}()
	b.blocked(2)
	b.do("RPUSH", "rq:queue:default", "x")
	if got := <-first; !got.found {
		t.Errorf("the waiter got %+v", got)
	}
	if got := <-popped; !slices.Equal(got, []string{"rq:queue:default", "x"}) {
		t.Errorf("BLPOP got %q", got)
	}
}

func TestWaitEnds(t *testing.T) {
	b := newBed(t, "2.6.1")
	w := b.waiter()
	if got := <-startWait(b.ctx(), w, 50*time.Millisecond); got.found || got.err != nil || got.took > time.Second {
		t.Errorf("timeout: %+v", got)
	}
	ctx, cancel := context.WithCancel(b.ctx())
	done := startWait(ctx, w, time.Minute)
	b.blocked(1)
	cancel()
	if got := <-done; got.found || !errors.Is(got.err, context.Canceled) {
		t.Errorf("cancel: %+v", got)
	}
	b.blocked(0)
	b.do("RPUSH", "rq:queue:default", "a")
	if got := <-startWait(b.ctx(), w, time.Minute); !got.found || got.err != nil {
		t.Errorf("the waiter is of no use after a cancel: %+v", got)
	}
}

// A bench's ACL denies CLIENT UNBLOCK; waiting still ends, only a little later.
func TestWaitWithoutUnblock(t *testing.T) {
	r := servertest.Redis(t, servers.WithConfig("user", "bridge", "on", ">pw", "~*", "&*", "+@all", "-client"))
	o := testOptions(r.Addr)
	o.Username, o.Password = "bridge", "pw"
	rdb := redis.NewClient(o)
	defer rdb.Close()
	d, _ := ParseDialect("1.15.1")
	b := &bed{t: t, Client: NewClient(rdb, d)}
	ctx, cancel := context.WithCancel(b.ctx())
	done := startWait(ctx, b.waiter(), time.Minute)
	b.blocked(1)
	cancel()
	if got := <-done; !errors.Is(got.err, context.Canceled) || got.took > 3*time.Second {
		t.Errorf("canceled a wait without CLIENT UNBLOCK: got %+v, want the context's error within 3 s", got)
	}
}

func TestWaitAfterLostConnection(t *testing.T) {
	b := newBed(t, "2.6.1")
	w := b.waiter()
	done := startWait(b.ctx(), w, 10*time.Second)
	b.blocked(1)
	b.do("CLIENT", "KILL", "TYPE", "normal")
	if got := <-done; got.err == nil {
		t.Errorf("got %+v, want the error of the connection", got)
	}
	b.do("RPUSH", "rq:queue:default", "a")
	if got := <-startWait(b.ctx(), w, 10*time.Second); !got.found || got.err != nil {
		t.Errorf("after the connection was lost: %+v", got)
	}
}

// On a queue with jobs for others, only changes wake.
