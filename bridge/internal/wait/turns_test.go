package wait

import (
	"context"
	"testing"
	"testing/synctest"
)

// TestLargeWorkTakesTurns: what is large waits for the others that are; what is small is done at once.
func TestLargeWorkTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer func(turns Turns) { LargeTurns = turns }(LargeTurns)
		LargeTurns = NewTurns(1)
		if !LargeTurns.Take(t.Context()) {
			t.Fatal("the first turn isn't given")
		}
		var large, small bool
		go Large(LargeItem+1, func() { large = true })
		Large(LargeItem, func() { small = true })
		synctest.Wait()
		if large || !small {
			t.Errorf("while the turn is taken: large %v, small %v; want the small one only", large, small)
		}
		LargeTurns.GiveBack()
		if synctest.Wait(); !large {
			t.Error("the turn is free, and the large one still waits")
		}
	})
}

func TestNobodyWaitsForATurnLongerThanItsContext(t *testing.T) {
	turns := NewTurns(1)
	ctx, cancel := context.WithCancel(t.Context())
	if !turns.Take(ctx) {
		t.Fatal("the first turn isn't given")
	}
	cancel()
	if turns.Take(ctx) {
		t.Error("a turn was given twice")
	}
	turns.GiveBack()
	if turns.Take(ctx) {
		t.Error("a turn was given to somebody whose context has ended")
	}
}
