package batch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowly doubles its items, each call in ten milliseconds, and notes the sizes of its batches.
func slowly(sizes *[]int) func(context.Context, []int) ([]int, error) {
	return func(_ context.Context, items []int) ([]int, error) {
		*sizes = append(*sizes, len(items)) // calls don't overlap
		time.Sleep(10 * time.Millisecond)
		out := make([]int, len(items))
		for i, n := range items {
			out[i] = 2 * n
		}
		return out, nil
	}
}

func TestBatcherJoinsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		b := &Batcher[int, int]{Limit: 40, Call: slowly(&sizes)}
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				got, err := b.Do(t.Context(), n)
				if err != nil || got != 2*n {
					t.Errorf("Do(%d) = %d, %v, want %d", n, got, err, 2*n)
				}
			})
		}
		wg.Wait()
		// The first item may go alone; the 99 behind it need three calls.
		if len(sizes) > 4 || slices.Max(sizes) > 40 {
			t.Errorf("100 items at once go in calls of %v, want at most 4 of at most 40", sizes)
		}
	})
}

// TestBatcherKeepsTheOrderOfOneCaller: what he hands over together is joined by others' behind it, and the large ones of it keep
// neither him nor them.
func TestBatcherKeepsTheOrderOfOneCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var calls [][]int
		b := &Batcher[int, int]{Limit: 4, Large: func(n int) bool { return n >= 100 }, Call: func(_ context.Context, items []int) ([]int, error) {
			mu.Lock()
			calls = append(calls, slices.Clone(items))
			mu.Unlock()
			if items[0] >= 100 {
				time.Sleep(time.Second)
				return []int{-1}, nil
			}
			time.Sleep(10 * time.Millisecond)
			return items, nil
		}}
		first := make(chan []Answer[int])
		go func() { first <- b.DoAll(t.Context(), []int{0, 1, 100, 2, 3, 4}) }()
		synctest.Wait()
		began := time.Now()
		second := b.DoAll(t.Context(), []int{5, 6})
		if took := time.Since(began); took != 20*time.Millisecond || second[0].Result != 5 || second[1].Result != 6 {
			t.Errorf("behind six of another caller two are answered %v after %s, want them in the second batch", second, took)
		}
		var got []int
		for _, a := range <-first {
			got = append(got, a.Result)
		}
		if !slices.Equal(got, []int{0, 1, -1, 2, 3, 4}) {
			t.Errorf("six are answered %v", got)
		}
		calls = slices.DeleteFunc(calls, func(c []int) bool { return c[0] == 100 })
		if len(calls) != 2 || !slices.Equal(calls[0], []int{0, 1, 2, 3}) || !slices.Equal(calls[1], []int{4, 5, 6}) {
			t.Errorf("the calls were %v", calls)
		}
		if none := b.DoAll(t.Context(), nil); len(none) != 0 {
			t.Errorf("nothing is answered %v", none)
		}
	})
}

func TestBatcherServesALoneItemAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		b := &Batcher[int, int]{Limit: 40, Call: slowly(&sizes)}
		for n := range 3 {
			start := time.Now()
			if got, err := b.Do(t.Context(), n); err != nil || got != 2*n || time.Since(start) != 10*time.Millisecond {
				t.Errorf("Do(%d) = %d, %v after %s, want the time of one call", n, got, err, time.Since(start))
			}
			synctest.Wait()
		}
		if !slices.Equal(sizes, []int{1, 1, 1}) {
			t.Errorf("three items one after the other go in calls of %v, want one each", sizes)
		}
	})
}

// TestBatcherDoesNotKeepItsLeader: who started a batch must not wait for those that came meanwhile.
func TestBatcherDoesNotKeepItsLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		b := &Batcher[int, int]{Limit: 1, Call: slowly(&sizes)}
		start := time.Now()
		var others sync.WaitGroup
		lead := make(chan time.Duration)
		go func() {
			_, _ = b.Do(t.Context(), 0)
			lead <- time.Since(start)
		}()
		synctest.Wait()
		for n := range 5 {
			others.Go(func() { _, _ = b.Do(t.Context(), n) })
		}
		if got := <-lead; got != 10*time.Millisecond {
			t.Errorf("the first caller waits %s, want its own call's 10ms", got)
		}
		others.Wait()
	})
}

// TestALargeItemKeepsNobody: large ones go one by one, beside the others.
func TestALargeItemKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var calls [][]int
		b := &Batcher[int, int]{
			Limit: 10, Shared: func(error) bool { return true }, Large: func(item int) bool { return item >= 100 },
			Call: func(_ context.Context, items []int) ([]int, error) {
				if items[0] >= 100 {
					time.Sleep(time.Hour)
				}
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, items)
				return items, nil
			},
		}
		for _, large := range []int{100, 101} {
			go b.Do(t.Context(), large)
		}
		synctest.Wait()
		for i := range 3 {
			if got, err := b.Do(t.Context(), i); got != i || err != nil {
				t.Fatalf("item %d is answered %d, %v", i, got, err)
			}
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if len(calls) != 5 || len(calls[3]) != 1 || len(calls[4]) != 1 {
			t.Errorf("calls %v, want three of small ones before the large ones end, and these one by one", calls)
		}
	})
}

// TestBatcherGivesTheErrorToAll has ten callers wait in one batch that meets a server which is away.
func TestBatcherGivesTheErrorToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		begin, fail := make(chan int, 2), make(chan struct{})
		b := &Batcher[int, int]{Limit: 10, Shared: always, Call: func(_ context.Context, items []int) ([]int, error) {
			begin <- len(items)
			<-fail
			return make([]int, len(items)), boom
		}}
		errs := make(chan error, 11)
		do := func() {
			_, err := b.Do(t.Context(), 1)
			errs <- err
		}
		go do()
		synctest.Wait()
		for range 10 {
			go do()
		}
		synctest.Wait()
		close(fail)
		for i := range 11 {
			if err := <-errs; !errors.Is(err, boom) {
				t.Errorf("caller %d gets the error %v, want boom", i, err)
			}
		}
		if first, second := <-begin, <-begin; first != 1 || second != 10 {
			t.Fatalf("batches of %d and %d, want 1 and 10: the test shows nothing else", first, second)
		}
	})
}

func always(error) bool { return true }

// TestBatcherLeavesNobodyWithoutAnAnswer: a panic is an error, of the item that it comes with.
func TestBatcherLeavesNobodyWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Batcher[int, int]{Limit: 40, Shared: isAway, Call: func(_ context.Context, items []int) ([]int, error) {
			time.Sleep(10 * time.Millisecond)
			if slices.Contains(items, 7) {
				panic("at the disco")
			}
			return items, nil
		}}
		var wg sync.WaitGroup
		for n := range 30 {
			wg.Go(func() {
				got, err := b.Do(t.Context(), n)
				switch {
				case n != 7 && (err != nil || got != n):
					t.Errorf("Do(%d) = %d, %v beside an item that makes the call panic", n, got, err)
				case n == 7 && (err == nil || !strings.Contains(err.Error(), "at the disco")):
					t.Errorf("Do of the item that makes the call panic: %v, want the panic as an error", err)
				}
			})
		}
		wg.Wait()
	})
}

// TestBatcherIsNotInterrupted: one caller that leaves must not take the others' batch with it, and the values of the
// first one's context go along.
func TestBatcherIsNotInterrupted(t *testing.T) {
	type key struct{}
	var seen context.Context
	b := &Batcher[int, int]{Limit: 10, Call: func(ctx context.Context, items []int) ([]int, error) {
		seen = ctx
		return items, ctx.Err()
	}}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "first"))
	cancel()
	if got, err := b.Do(ctx, 7); err != nil || got != 7 {
		t.Errorf("Do with an ended context = %d, %v, want the answer all the same", got, err)
	}
	if got := seen.Value(key{}); got != "first" {
		t.Errorf("the call's context has the value %v, want that of the first caller", got)
	}
}
