package batch

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// done notes what lanes worked, as "lane:items".
type done struct {
	mu    sync.Mutex
	calls []string
	items map[string][]int
	slow  map[string]time.Duration
	// late counts the calls whose context had ended before they began.
	late int
}

func (d *done) work(ctx context.Context, lane string, items []int) {
	late := ctx.Err() != nil
	time.Sleep(d.slow[lane])
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, fmt.Sprint(lane, ":", items))
	if d.items == nil {
		d.items = map[string][]int{}
	}
	d.items[lane] = append(d.items[lane], items...)
	if late {
		d.late++
	}
}

// story is what was called so far.
func (d *done) story() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// run runs lanes in the background; the returned function ends and awaits them.
func run(t *testing.T, l *Lanes[string, int]) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		l.Run(ctx)
		close(ended)
	}()
	return func() {
		cancel()
		<-ended
	}
}

func noneDropped(t *testing.T) func(string, int) {
	return func(lane string, n int) { t.Errorf("lane %s drops %d items, want none", lane, n) }
}

func TestLanesKeepTheOrderWithinALane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &done{slow: map[string]time.Duration{"a": time.Second}}
		l := NewLanes(100, d.work, noneDropped(t))
		stop := run(t, l)
		for n := range 5 {
			l.Add("a", n)
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		// The first goes at once, the others together when it is done.
		if want := []string{"a:[0]", "a:[1 2 3 4]"}; !slices.Equal(d.story(), want) {
			t.Errorf("calls %v, want %v", d.story(), want)
		}
		stop()
	})
}

func TestASlowLaneDelaysItselfOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &done{slow: map[string]time.Duration{"slow": time.Hour}}
		l := NewLanes(100, d.work, noneDropped(t))
		stop := run(t, l)
		l.Add("slow", 1)
		synctest.Wait()
		for n := range 3 {
			l.Add("fast", n)
			synctest.Wait()
		}
		if want := []string{"fast:[0]", "fast:[1]", "fast:[2]"}; !slices.Equal(d.story(), want) {
			t.Errorf("while a lane is slow the other has done %v, want %v", d.story(), want)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		stop()
	})
}

func TestAFullLaneDropsWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &done{slow: map[string]time.Duration{"a": time.Hour}}
		var dropped []string
		l := NewLanes(3, d.work, func(lane string, n int) { dropped = append(dropped, fmt.Sprint(lane, n)) })
		stop := run(t, l)
		l.Add("a", 0)
		synctest.Wait() // it is being worked; what follows waits
		for n := 1; n <= 3; n++ {
			l.Add("a", n)
		}
		if len(dropped) > 0 {
			t.Errorf("a lane of 3 drops %v while it holds 3, want nothing", dropped)
		}
		l.Add("a", 4)
		l.Add("a", 5)
		if want := []string{"a3"}; !slices.Equal(dropped, want) {
			t.Errorf("told of dropped items: %v, want %v", dropped, want)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if want := []string{"a:[0]", "a:[4 5]"}; !slices.Equal(d.story(), want) {
			t.Errorf("worked %v, want %v", d.story(), want)
		}
		stop()
	})
}

func TestLanesWorkWhatIsLeftWhenTheyClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &done{slow: map[string]time.Duration{"a": time.Second}}
		l := NewLanes(100, d.work, noneDropped(t))
		stop := run(t, l)
		l.Add("a", 0)
		synctest.Wait()
		l.Add("a", 1)
		l.Add("b", 2)
		stop()
		if !slices.Equal(d.items["a"], []int{0, 1}) || !slices.Equal(d.items["b"], []int{2}) {
			t.Errorf("worked %v when Run returned, want 0 and 1 of a, 2 of b", d.items)
		}
		if d.late > 0 {
			t.Errorf("%d calls began with a context that had ended, in which nothing can be sent", d.late)
		}
	})
}

// TestTheLastWorkIsBounded: a server that is away must not hold a stop up, and has a context that can still be used.
func TestTheLastWorkIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var usable bool
		l := NewLanes(100, func(ctx context.Context, _ string, _ []int) {
			usable = ctx.Err() == nil
			<-ctx.Done()
		}, noneDropped(t))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		l.Add("a", 0)
		start := time.Now()
		l.Run(ctx)
		if took := time.Since(start); !usable || took != lastWork {
			t.Errorf("the last work got a usable context: %v, and ended after %s, want true and %s", usable, took, lastWork)
		}
	})
}

// TestIdleLanesCostNothing: synctest fails if a goroutine is left; an idle lane must not hold memory either.
func TestIdleLanesCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &done{}
		l := NewLanes(100, d.work, noneDropped(t))
		stop := run(t, l)
		for n := range 100 {
			l.Add(fmt.Sprint("lane", n), n)
		}
		synctest.Wait()
		l.mu.Lock()
		if len(l.waiting) > 0 || len(l.busy) > 0 {
			t.Errorf("idle lanes keep %d lists and %d marks, want none", len(l.waiting), len(l.busy))
		}
		l.mu.Unlock()
		if len(d.calls) != 100 {
			t.Errorf("%d lanes were worked, want 100", len(d.calls))
		}
		stop()
	})
}

// TestLanesLetWhatIsUnderWayEnd when they close, but not for ever.
func TestLanesLetWhatIsUnderWayEnd(t *testing.T) {
	for takes, want := range map[time.Duration]error{lastWork / 2: nil, 2 * lastWork: context.Canceled} {
		synctest.Test(t, func(t *testing.T) {
			var got error
			l := NewLanes(100, func(ctx context.Context, _ string, _ []int) {
				select {
				case <-time.After(takes):
				case <-ctx.Done():
				}
				got = ctx.Err()
			}, noneDropped(t))
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { l.Run(ctx) })
			l.Add("a", 1)
			synctest.Wait()
			cancel()
			running.Wait()
			if got != want {
				t.Errorf("work that takes %s has a context with %v, want %v", takes, got, want)
			}
		})
	}
}
