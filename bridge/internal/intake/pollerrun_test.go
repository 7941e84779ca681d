package intake

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// runPoller runs p in the background until the returned function is called.
func runPoller(t *testing.T, p *Poller) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		p.Run(ctx)
		close(done)
	}()
	return func() {
		cancel()
		<-done
	}
}

func TestHowOftenAListIsLookedAt(t *testing.T) {
	for own, want := range map[bool]int{true: 101, false: 41} {
		synctest.Test(t, func(t *testing.T) {
			l := newQueue("a")
			stop := runPoller(t, l.poller(own))
			time.Sleep(time.Second + time.Millisecond)
			synctest.Wait()
			stop()
			if l.syncs != want {
				t.Errorf("own=%v: a list with something in it was looked at %d times a second, want %d", own, l.syncs, want)
			}
			if l.closed != 1 || len(l.waited) > 0 {
				t.Errorf("own=%v: the waiter was closed %d times and waited for %v, want once and nothing", own, l.closed, l.waited)
			}
		})
	}
}

func TestAnEmptyListIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue()
		p := l.poller(true)
		stop := runPoller(t, p)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if l.syncs != 3 || !slices.Equal(l.waited, []time.Duration{longestWait, longestWait, longestWait}) {
			t.Errorf("an empty list was looked at %d times in 11 s and waited for %v, want 3 times, 5 s each", l.syncs, l.waited)
		}
		l.set([]string{"a"}, nil)
		l.arrived <- struct{}{}
		synctest.Wait()
		wantIDs(t, "as soon as a job arrives", idsOf(p.Fair.deal(9)), "a")
		stop()
	})
}

// TestTheClaimerIsHungry: a poller looks at once when nothing is left to deal.
func TestTheClaimerIsHungry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue("a")
		p := l.poller(false)
		stop := runPoller(t, p)
		synctest.Wait()
		l.set([]string{"a", "b"}, nil)
		p.hungry.Raise()
		synctest.Wait()
		wantIDs(t, "without waiting", idsOf(p.Fair.deal(9)), "a", "b")
		stop()
	})
}

// TestRedisIsAwayForAPoller: it slows down, keeps what it knows, and goes on.
func TestRedisIsAwayForAPoller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue("a")
		p := l.poller(true)
		l.err = errBroken
		stop := runPoller(t, p)
		time.Sleep(time.Minute)
		synctest.Wait()
		if l.syncs < 10 || l.syncs > 25 {
			t.Errorf("a Redis that is away was asked %d times in a minute, want ever less often", l.syncs)
		}
		l.set([]string{"a"}, nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantIDs(t, "when it is back", idsOf(p.Fair.deal(9)), "a")
		stop()
	})
}

// TestAPausedQueueIsLetGo: its waiting jobs can't be dealt, its list isn't looked at, and afterwards all is found again.
func TestAPausedQueueIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue("a", "b")
		p := l.poller(true)
		stop := runPoller(t, p)
		synctest.Wait()
		l.pause(true)
		time.Sleep(time.Second)
		synctest.Wait()
		before := l.syncs
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if p.Fair.Len() != 0 || l.syncs != before {
			t.Errorf("%d jobs of a paused queue could be dealt, and its list was looked at %d times, want neither", p.Fair.Len(), l.syncs-before)
		}
		l.pause(false)
		time.Sleep(time.Second)
		synctest.Wait()
		wantIDs(t, "a second after the pause", idsOf(p.Fair.deal(9)), "a", "b")
		stop()
	})
}
