package intake

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

func (l *queue) first(fair *FairQueue) *First {
	return NewFirst(First{Queue: job.Queue{Name: "q"}, Fetch: l.Fetch, Router: l, Ask: l.ask, Fair: fair, Paused: l.isPaused, Log: slog.New(slog.DiscardHandler)})
}

// TestWhatIsPoppedIsJudged: ours is taken up where it stands, Python's goes back, and what policy lets wait stays.
func TestWhatIsPoppedIsJudged(t *testing.T) {
	l := newQueue()
	l.verdict["theirs"], l.verdict["theirs too"] = route.Routed{Verdict: route.Foreign}, route.Routed{Verdict: route.Foreign}
	l.verdict["held"] = route.Routed{Verdict: route.Held}
	l.hashes["gone"], l.verdict["gone"] = &rqcompat.FetchResult{Err: rqcompat.ErrNoSuchJob}, route.Routed{Verdict: route.Foreign}
	fair := NewFairQueue(1_000_000, nil, plenty(), 0)
	f := l.first(fair)
	back, err := f.judge(t.Context(), []string{"theirs", "ours", "held", "gone", "theirs too"})
	if err != nil || !slices.Equal(back, []string{"theirs", "gone", "theirs too"}) {
		t.Errorf("back go %v, %v, want Python's and what has no hash, in order", back, err)
	}
	dealt := fair.deal(9)
	if len(dealt) != 1 || dealt[0].ID != "ours" || dealt[0].From != rqcompat.FirstKey("q") {
		t.Errorf("taken up are %v, want ours, from the list of what was popped", idsOf(dealt))
	}
	l.verdict["held"] = route.Routed{Verdict: route.Ours}
	if back, err := f.judge(t.Context(), []string{"held"}); err != nil || len(back) > 0 || !slices.Equal(idsOf(fair.deal(9)), []string{"held"}) {
		t.Errorf("when policy lets it go: back %v, %v, want it taken up", back, err)
	}
	l.fetchErr[len(l.fetched)] = errBroken
	if _, err := f.judge(t.Context(), []string{"x"}); !errors.Is(err, errBroken) {
		t.Errorf("a fetch that fails: %v, want its error", err)
	}
}

// TestWhatWaitsForASlotIsNotJudgedAgain.
func TestWhatWaitsForASlotIsNotJudgedAgain(t *testing.T) {
	l := newQueue()
	f := l.first(NewFairQueue(1_000_000, nil, plenty(), 0))
	for range 3 {
		if _, err := f.judge(t.Context(), []string{"ours"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.fetched) != 1 {
		t.Errorf("a job that waits for a slot was read %d times, want once", len(l.fetched))
	}
}

// TestAnUndecidedJobGoesBackAfterASecond: its row may be committed meanwhile; but it may be Python's.
func TestAnUndecidedJobGoesBackAfterASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue()
		l.verdict["a"] = route.Routed{Verdict: route.Unready}
		f := l.first(NewFairQueue(1_000_000, nil, plenty(), 0))
		begin := time.Now()
		for {
			back, err := f.judge(t.Context(), []string{"a"})
			if err != nil {
				t.Fatal(err)
			}
			if len(back) > 0 {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if took := time.Since(begin); took != undecidedFor {
			t.Errorf("it went back after %s, want %s", took, undecidedFor)
		}
		if _, err := f.judge(t.Context(), []string{"b"}); err != nil || len(f.undecided) != 0 {
			t.Errorf("%v, remembered are %v, want only what is there", err, f.undecided)
		}
	})
}

// TestFirstGoesOnAfterAnError, slower, and ends with its context.
func TestFirstGoesOnAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls int
		f := newQueue().first(NewFairQueue(1_000_000, nil, plenty(), 0))
		f.Pop = func(ctx context.Context, _ func(context.Context, []string) ([]string, error)) error {
			if calls++; calls < 4 {
				return errBroken
			}
			<-ctx.Done()
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		begin := time.Now()
		go func() {
			f.Run(ctx)
			close(done)
		}()
		time.Sleep(time.Second)
		synctest.Wait()
		cancel()
		<-done
		if calls != 4 || time.Since(begin) != time.Second {
			t.Errorf("popped %d times, ended after %s, want four times and at once", calls, time.Since(begin))
		}
	})
}

// TestAJobThatLeftItsQueueIsStillTaken: a poller may have seen it before a waiter popped it.
func TestAJobThatLeftItsQueueIsStillTaken(t *testing.T) {
	f := NewFairQueue(1_000_000, nil, plenty(), 0)
	f.Add(waitingJob("s", "o", "a", "Normal"), waitingJob("s", "o", "b", "Normal"))
	popped := waitingJob("s", "o", "a", "Normal")
	popped.From = rqcompat.FirstKey("q")
	f.Add(popped)
	f.drop("q", "a", "b") // the list has neither any more
	got := f.deal(9)
	if len(got) != 1 || got[0].ID != "a" || got[0].From != rqcompat.FirstKey("q") {
		t.Errorf("dealt %v, want a, from where it stands now", idsOf(got))
	}
}

// TestAPausedQueueIsNobodysFirst: what waiters pop goes back.
func TestAPausedQueueIsNobodysFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue()
		pops := 0
		f := l.first(NewFairQueue(1_000_000, nil, plenty(), 0))
		f.Pop = func(ctx context.Context, judge func(context.Context, []string) ([]string, error)) error {
			pops++
			l.pause(true)
			_, err := judge(ctx, []string{"a"})
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		f.Run(ctx)
		if pops != 1 || f.Fair.Len() != 0 {
			t.Errorf("waited %d times for a queue that was paused meanwhile, and kept %d jobs, want once and none", pops, f.Fair.Len())
		}
	})
}
