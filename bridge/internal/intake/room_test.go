package intake

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// tryEnter takes up a load, and says so if that isn't what was wanted.
func tryEnter(t *testing.T, r *Room, l *Load, want bool) {
	t.Helper()
	if got := r.enter(l); got != want {
		t.Errorf("a load of %d MiB and %d kills enters: %v, want %v", l.Memory/mb, l.Kills, got, want)
	}
}

func TestRoomForLargeAndSmall(t *testing.T) {
	r := NewRoom(200*mb, 100, 3) // a hundred jobs of 1 MiB are small
	first, second, third := &Load{Memory: 60 * mb}, &Load{Memory: 40 * mb}, &Load{Memory: 2 * mb}
	tryEnter(t, r, first, true)
	tryEnter(t, r, second, true)
	tryEnter(t, r, third, false)
	for range 100 {
		tryEnter(t, r, &Load{Memory: mb}, true) // however many
	}
	if used, limit := r.Used(); used != 200*mb || limit != 200*mb {
		t.Errorf("%d of %d MiB are used, want all", used/mb, limit/mb)
	}
	r.leave(second)
	tryEnter(t, r, third, true)
}

func TestALoadBeyondTheRoomIsTheOnlyLargeOne(t *testing.T) {
	r := NewRoom(200*mb, 100, 3)
	small, huge, other := &Load{Memory: mb}, &Load{Memory: 900 * mb}, &Load{Memory: 2 * mb}
	tryEnter(t, r, small, true)
	tryEnter(t, r, huge, true)
	tryEnter(t, r, other, false)
	r.leave(huge)
	tryEnter(t, r, other, true)
	tryEnter(t, r, huge, false)
	r.leave(other)
	tryEnter(t, r, huge, true)
}

// TestRoomIsGivenBack: whatever comes and goes, what is used is what is there, and within the bound.
func TestRoomIsGivenBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewRoom(100*mb, 10, 3)
		var inside []*Load
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			l := &Load{Memory: rapid.IntRange(0, 120*mb).Draw(t, "memory")}
			if r.enter(l) {
				inside = append(inside, l)
			} else if len(inside) > 0 {
				r.leave(inside[0])
				inside = inside[1:]
			}
			sum, largest, number := 0, 0, 0
			for _, l := range inside {
				if sum += l.Memory; r.isLarge(l) {
					largest = max(largest, l.Memory)
					number++
				}
			}
			if used, _ := r.Used(); used != sum {
				t.Fatalf("%d bytes are used, want %d", used, sum)
			}
			if number > 1 && largest > 50*mb {
				t.Fatalf("%d large jobs run beside one of %d MiB", number, largest/mb)
			}
		}
		for _, l := range inside {
			r.leave(l)
		}
		if used, _ := r.Used(); used != 0 {
			t.Fatalf("%d bytes are used when nothing runs", used)
		}
	})
}

func TestSuspectsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRoom(200*mb, 100, 3)
		first, second, third := &Load{Kills: 1}, &Load{Kills: 1}, &Load{Kills: 1}
		tryEnter(t, r, first, true)
		tryEnter(t, r, second, false)
		tryEnter(t, r, &Load{}, true) // nobody suspects it
		r.leave(first)
		tryEnter(t, r, second, true) // after the end of the first
		time.Sleep(suspectTurn/2 - 1)
		tryEnter(t, r, third, false)
		if left := r.untilTurn(); left != time.Millisecond {
			t.Errorf("the turn ends in %s, want a moment", left)
		}
		time.Sleep(time.Nanosecond)
		tryEnter(t, r, third, true) // or when it has run for its turn
		r.leave(second)             // which doesn't end the third's
		tryEnter(t, r, first, false)
	})
}

// TestManySuspectsAreBackSoon: what a process ran is started again within two seconds, however much it was, and the next time anew.
func TestManySuspectsAreBackSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRoom(200*mb, 1000, 3)
		for range 2 {
			begin := time.Now()
			for range 100 {
				for l := (&Load{Kills: 1}); !r.enter(l); {
					time.Sleep(r.untilTurn())
				}
			}
			if took := time.Since(begin); took < suspectTurn || took > 2*time.Second {
				t.Errorf("a hundred suspects started within %s, want more than %s and at most 2 s", took, suspectTurn)
			}
			time.Sleep(trust + time.Second)
		}
	})
}

// TestTheLastChance is never given to two at once, however long the first one runs.
func TestTheLastChance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRoom(200*mb, 100, 3)
		first, second, other := &Load{Kills: 2}, &Load{Kills: 2}, &Load{Kills: 1}
		tryEnter(t, r, first, true)
		tryEnter(t, r, other, false)
		time.Sleep(lastTurn)
		tryEnter(t, r, second, false)
		tryEnter(t, r, other, true) // who is not on its last chance need not wait for hours
		time.Sleep(time.Hour)
		tryEnter(t, r, second, false)
		r.leave(first)
		tryEnter(t, r, second, true)
	})
}
