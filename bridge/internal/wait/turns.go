package wait

import (
	"context"
	"runtime"
)

// Turns bound how many goroutines do something at once. They are given in the order of asking.
type Turns chan struct{}

// NewTurns returns n turns.
func NewTurns(n int) Turns { return make(Turns, n) }

// Take waits for a turn; false means that ctx ended first.
func (t Turns) Take(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case t <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// GiveBack ends a turn.
func (t Turns) GiveBack() { <-t }

// LargeItem is how many bytes something may have that is worked on at once and together with others.
const LargeItem = 64 << 10

// LargeTurns are this process's at what others can make large. They leave half of the processors to everybody else: small
// work would stand in line behind each large one, again and again on its way.
var LargeTurns = NewTurns(max(runtime.GOMAXPROCS(0)/2, 1))

// Large calls work, which reads or writes so many bytes, in a turn of LargeTurns if that is more than LargeItem. It must
// end by itself: no code of a handler's is called in it.
func Large(bytes int, work func()) {
	if turns := LargeTurns; bytes > LargeItem {
		turns <- struct{}{}
		defer turns.GiveBack()
	}
	work()
}
