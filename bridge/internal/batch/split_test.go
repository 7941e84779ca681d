package batch

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var errAway = errors.New("away")

func isAway(err error) bool { return errors.Is(err, errAway) }

// ill is what is wrong with an item.
type ill int

const (
	healthy ill = iota
	refused     // the call fails with an error that says nothing of the item, as a transaction's
	panics
	short // there are fewer answers than items
)

// TestEachItemFailsAlone: whatever is wrong with whichever items of a batch, they fail and no other does, in few calls.
func TestEachItemFailsAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(rapid.SampledFrom([]ill{healthy, healthy, healthy, healthy, refused, panics, short}), 0, 300).Draw(t, "items")
		calls, bad := 0, 0
		for _, item := range items {
			if item != healthy {
				bad++
			}
		}
		places := make([]int, len(items))
		for i := range places {
			places[i] = i
		}
		done := map[int]int{}
		answers := Split(context.Background(), places, isAway, func(_ context.Context, batch []int) ([]string, error) {
			calls++
			var results []string
			for _, i := range batch {
				switch items[i] {
				case refused:
					return nil, errors.New("refused")
				case panics:
					panic("at the disco")
				case healthy:
					results = append(results, fmt.Sprint(i))
				}
			}
			if len(results) == len(batch) {
				for _, i := range batch {
					done[i]++
				}
			}
			return results, nil
		})
		says := map[ill]string{refused: "refused", panics: "at the disco", short: "a batch of 1 has 0 answers"}
		for i, a := range answers {
			switch why := says[items[i]]; {
			case why == "" && (a.Err != nil || a.Result != fmt.Sprint(i) || done[i] != 1):
				t.Fatalf("healthy item %d of %d: %q, %v, done %d times", i, len(items), a.Result, a.Err, done[i])
			case why != "" && (a.Err == nil || !strings.Contains(a.Err.Error(), why)):
				t.Fatalf("item %d: %v, want an error that says %q", i, a.Err, why)
			}
		}
		if most := 1 + 2*bad*bits.Len(uint(len(items))); calls > most {
			t.Fatalf("%d of %d items are bad: %d calls, want at most %d", bad, len(items), calls, most)
		}
	})
}

// TestAServerThatIsAwayIsNotAskedAgain, neither at once nor in the middle of a search.
func TestAServerThatIsAwayIsNotAskedAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 100).Draw(t, "n")
		bad := rapid.IntRange(0, n-1).Draw(t, "bad")
		until := rapid.IntRange(0, 20).Draw(t, "calls until it is away")
		items := make([]int, n)
		for i := range items {
			items[i] = i
		}
		calls, done := 0, map[int]bool{}
		answers := Split(context.Background(), items, isAway, func(_ context.Context, batch []int) ([]int, error) {
			if calls++; calls > until {
				return nil, fmt.Errorf("call %d: %w", calls, errAway)
			}
			if slices.Contains(batch, bad) {
				return nil, errors.New("refused")
			}
			for _, i := range batch {
				done[i] = true
			}
			return batch, nil
		})
		if calls > until+1 {
			t.Fatalf("%d calls more of a server that is away", calls-until-1)
		}
		for i, a := range answers {
			switch {
			case done[i] && (a.Err != nil || a.Result != i):
				t.Fatalf("item %d was done and is told %v", i, a.Err)
			case !done[i] && a.Err == nil:
				t.Fatalf("item %d was not done and is told nothing", i)
			case i != bad && a.Err != nil && !isAway(a.Err):
				t.Fatalf("item %d of a server that is away is told %v", i, a.Err)
			}
		}
	})
}
