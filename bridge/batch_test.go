package bridge

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBatcherJoinsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		b := &batcher[int, int]{limit: 40, do: func(_ context.Context, items []int) ([]int, error) {
			calls.Add(1)
			time.Sleep(10 * time.Millisecond)
			out := make([]int, len(items))
			for i, n := range items {
				out[i] = 2 * n
			}
			return out, nil
		}}
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				got, err := b.Do(t.Context(), n)
				if err != nil || got != 2*n {
					t.Errorf("Do(%d) = %d, %v", n, got, err)
				}
			})
		}
		wg.Wait()
		// The first item goes alone; the 99 behind it need three calls of 40.
		if got := calls.Load(); got > 4 {
			t.Errorf("%d calls for 100 items, want at most 4", got)
		}
	})
}

func TestBatcherGivesTheErrorToAll(t *testing.T) {
	boom := errors.New("boom")
	b := &batcher[int, int]{limit: 10, do: func(context.Context, []int) ([]int, error) { return nil, boom }}
	for range 3 {
		if _, err := b.Do(t.Context(), 1); !errors.Is(err, boom) {
			t.Errorf("error %v, want boom", err)
		}
	}
}
