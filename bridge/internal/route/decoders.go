package route

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// Anybody who can enqueue writes what is decoded here, and may make it last. So each call is decoded on a goroutine of its
// own, at first within little time and memory: that is enough for nearly all, and a hundred hostile ones among them cost
// the others nothing that they notice. What needs more is looked at alone, see Router.Alone.
const (
	// A thousand rows of five fields are within them.
	quickWork   = 1_000_000
	quickMemory = 1 << 20
	quickInput  = 256 << 10
	// quickPatience is how long a decoder that doesn't heed its limits is waited for. It has to be enough for small calls on
	// a machine that has too much to do: alone they would take longer still.
	quickPatience = 2 * time.Second

	// aloneTime is a second line behind the limits of work, which don't depend on how busy the machine is.
	aloneTime = 10 * time.Second
	// alonePatience is the default of Params.Patience.
	alonePatience = 15 * time.Second
)

// quickly are the limits of a first attempt.
func quickly() pickle.Limits {
	return pickle.Limits{Work: quickWork, Memory: quickMemory, Input: quickInput}
}

// alone are the limits of a call that is looked at alone: the defaults.
func alone() pickle.Limits { return pickle.Limits{Deadline: time.Now().Add(aloneTime)} }

// errUnending is what a decoder leaves that was given up.
var errUnending = errors.New("decoding it doesn't end")

// Decode reads the call of a job within limits, see rqcompat.Job.CallWithin.
type Decode func(j *rqcompat.Job, l pickle.Limits) (*rqcompat.Call, error)

// quickTurns are as many as there are processors, and two at least, so that a call that lasts isn't the only one.
func quickTurns() wait.Turns { return wait.NewTurns(max(runtime.GOMAXPROCS(0), 2)) }

// sideBySide calls work for 0 to n-1, each on a goroutine of its own, and gives what they returned; late's word for those
// that took longer than patience, or than ctx lasts. These go on alone, and nobody waits for them or for their turn.
func sideBySide[T any](ctx context.Context, t wait.Turns, n int, patience time.Duration, work, late func(i int) T) []T {
	type answer struct {
		i int
		v T
	}
	out, answered := make([]T, n), make([]bool, n)
	answers := make(chan answer, n)
	begun := 0
	for begun < n && t.Take(ctx) {
		i := begun
		begun++
		end := func(v T) {
			t.GiveBack()
			answers <- answer{i, v}
		}
		giveUp := func() { end(late(i)) }
		// Who takes it answers. The runtime keeps a stopped timer for a while, and it must not keep the jobs.
		var open atomic.Pointer[func()]
		open.Store(&giveUp)
		clock := time.AfterFunc(patience, func() {
			if giveUp := open.Swap(nil); giveUp != nil {
				(*giveUp)()
			}
		})
		go func() {
			v := work(i)
			clock.Stop()
			if open.Swap(nil) != nil {
				end(v)
			}
		}()
	}
	for range begun {
		select {
		case a := <-answers:
			out[a.i], answered[a.i] = a.v, true
		case <-ctx.Done():
		}
	}
	for i := range out {
		if !answered[i] {
			out[i] = late(i)
		}
	}
	return out
}

// tooMuch reports whether a call could not be decoded quickly, which says nothing of whether it can be at all.
func tooMuch(err error) bool {
	_, limit := errors.AsType[*pickle.LimitError](err)
	return limit || errors.Is(err, rqcompat.ErrLarge) || errors.Is(err, errUnending)
}
