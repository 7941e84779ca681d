package intake

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestAHeavyJobKeepsNobody: the poller goes on while it is looked at, and does then what was decided.
func TestAHeavyJobKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue("ours", "python's", "held", "small", "gone")
		for _, id := range []string{"ours", "python's", "held", "gone"} {
			l.verdict[id] = route.Routed{Verdict: route.Heavy}
		}
		p := l.poller(true)
		stop := runPoller(t, p)
		defer stop()
		synctest.Wait()
		wantIDs(t, "while heavy ones are looked at", idsOf(p.Fair.deal(9)), "small")
		l.set([]string{"ours", "python's", "held", "small", "later"}, nil)
		time.Sleep(time.Second)
		synctest.Wait()
		wantIDs(t, "what comes meanwhile", idsOf(p.Fair.deal(9)), "later")
		l.alone <- route.Routed{}
		l.alone <- route.Routed{Verdict: route.Foreign}
		l.alone <- route.Routed{Verdict: route.Held, Again: time.Hour}
		synctest.Wait()
		wantIDs(t, "at once when it is decided", idsOf(p.Fair.deal(9)), "ours")
		time.Sleep(time.Second)
		synctest.Wait()
		if len(p.undecided) != 1 || p.undecided["held"].seen.IsZero() {
			t.Errorf("undecided are %v, want the one that is held, with the time at which it was first seen", p.undecided)
		}
		if len(l.fetched) != 2 {
			t.Errorf("fetched %v, want no heavy job again", l.fetched)
		}
	})
}

// TestAPausedQueueForgetsItsHeavyJobs, and finds them again.
func TestAPausedQueueForgetsItsHeavyJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue("a")
		l.verdict["a"] = route.Routed{Verdict: route.Heavy}
		p := l.poller(true)
		stop := runPoller(t, p)
		defer stop()
		synctest.Wait()
		l.pause(true)
		time.Sleep(time.Second)
		l.alone <- route.Routed{}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := p.Fair.Len(); n > 0 {
			t.Errorf("%d jobs of a paused queue wait", n)
		}
		l.pause(false)
		time.Sleep(time.Second)
		l.alone <- route.Routed{}
		synctest.Wait()
		wantIDs(t, "after the pause", idsOf(p.Fair.deal(9)), "a")
	})
}

// TestAHeavyJobThatWasPopped stays until it is decided, and is read once.
func TestAHeavyJobThatWasPopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue()
		for _, id := range []string{"ours", "python's"} {
			l.verdict[id] = route.Routed{Verdict: route.Heavy}
		}
		fair := NewFairQueue(1_000_000, nil, plenty(), 0)
		f := l.first(fair)
		judge := func() []string {
			back, err := f.judge(t.Context(), []string{"ours", "python's"})
			if err != nil {
				t.Fatal(err)
			}
			return back
		}
		go f.aside.Run(t.Context())
		for range 3 {
			if back := judge(); len(back) > 0 || fair.Len() > 0 {
				t.Errorf("before it is decided: back %v, %d wait", back, fair.Len())
			}
		}
		l.alone <- route.Routed{}
		l.alone <- route.Routed{Verdict: route.Foreign}
		synctest.Wait()
		if back := judge(); !slices.Equal(back, []string{"python's"}) {
			t.Errorf("back %v, want Python's", back)
		}
		if dealt := fair.deal(9); len(dealt) != 1 || dealt[0].ID != "ours" || dealt[0].From != rqcompat.FirstKey("q") {
			t.Errorf("taken up are %v, want ours", idsOf(dealt))
		}
		if len(l.fetched) != 1 {
			t.Errorf("fetched %v, want once", l.fetched)
		}
	})
}

// TestAHeavyJobIsReadAgainAlone, and its batch doesn't wait for it.
func TestAHeavyJobIsReadAgainAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &claims{}
		l := newQueue()
		l.verdict["heavy"] = route.Routed{Verdict: route.Heavy}
		l.verdict["python's"] = route.Routed{Verdict: route.Heavy}
		c := r.rereads(l, "heavy", "a", "python's")
		r.claimAll(t, t.Context(), c)
		if q := r.again[1](t.Context()); q == nil || q.ID != "a" {
			t.Errorf("beside a heavy one: %+v, want it read", q)
		}
		go func() {
			l.alone <- route.Routed{}
			l.alone <- route.Routed{}
		}()
		if q := r.again[0](t.Context()); q == nil || q.ID != "heavy" || q.Before != "before heavy" || q.Memory != mostKept+1 {
			t.Errorf("a heavy one: %+v, want it read", q)
		}
		if q := r.again[2](t.Context()); q == nil || q.ID != "python's" {
			t.Errorf("the other heavy one: %+v, want it read", q)
		}
		for _, f := range l.found {
			if !f.Whole {
				t.Errorf("%s is not read in whole, though it runs next", f.Job.ID)
			}
		}
	})
}
