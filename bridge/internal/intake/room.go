package intake

import (
	"sync"
	"time"
)

// Load is what one job weighs on its process while it runs. A Room knows it by its address.
type Load struct {
	// Memory is about how many bytes the job takes.
	Memory int
	// Kills is how many processes died while it ran: above zero it is a suspect.
	Kills int
}

const (
	// suspectTurn is how long the first suspect runs before the next may start, if it doesn't end before. Each further one has half
	// as long, down to leastTurn: all that a process ran are started again within some two seconds, however many they are, and
	// one that kills at its start has few beside it.
	suspectTurn = 500 * time.Millisecond
	leastTurn   = 10 * time.Millisecond
	// trust is how long nobody has to have been suspected for the next one to have a whole turn.
	trust = 2 * time.Second
	// lastTurn is the same after one whose next death is the last.
	lastTurn = time.Minute
)

// Room is what the running jobs of a process share beside slots.
//
// One half of the memory is for small jobs: those of which as many as there are slots fit into it, so that none of them
// ever waits. Large ones share the other half; one that is larger than that runs when no other large one does.
//
// Of suspects, jobs that were running when a process died, one starts after the other, ever faster, and of those whose next death is
// their last only one runs at a time. So it takes a job that dies with its process itself to be found guilty: whoever ran
// beside it is given back as often, but is never on its last chance beside another one.
type Room struct {
	memory, slots, maxKills int

	mu sync.Mutex
	// small and large are what jobs of that size take.
	small, large int
	turnEnds     time.Time
	nextTurn     time.Duration
	turn, last   *Load
}

// NewRoom makes a room of so many bytes for as many jobs as there are slots, of which the maxKills-th death is the last.
func NewRoom(memory, slots, maxKills int) *Room {
	return &Room{memory: memory, slots: slots, maxKills: maxKills}
}

// isLarge reports whether a job may have to wait for memory.
func (r *Room) isLarge(l *Load) bool { return l.Memory > r.memory/2/r.slots }

// kindOf says what a job may have to wait for.
func (r *Room) kindOf(l *Load) kind {
	switch {
	case r.isLarge(l):
		return large
	case l.Kills > 0:
		return suspect
	}
	return ordinary
}

// enter takes up a job that is about to run; false means that it has to wait.
func (r *Room) enter(l *Load) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	large := r.isLarge(l)
	if large && r.large > 0 && r.large+l.Memory > r.memory/2 {
		return false
	}
	if l.Kills > 0 && !r.takeTurn(l) {
		return false
	}
	if large {
		r.large += l.Memory
	} else {
		r.small += l.Memory
	}
	return true
}

// takeTurn gives a suspect its turn. mu is held.
func (r *Room) takeTurn(l *Load) bool {
	now, isLast := time.Now(), l.Kills+1 >= r.maxKills
	if r.turn != nil && now.Before(r.turnEnds) || isLast && r.last != nil {
		return false
	}
	if now.Sub(r.turnEnds) > trust {
		r.nextTurn = suspectTurn
	}
	r.turn, r.turnEnds = l, now.Add(r.nextTurn)
	r.nextTurn = max(r.nextTurn/2, leastTurn)
	if isLast {
		r.last, r.turnEnds = l, now.Add(lastTurn)
	}
	return true
}

// leave ends what enter began.
func (r *Room) leave(l *Load) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isLarge(l) {
		r.large -= l.Memory
	} else {
		r.small -= l.Memory
	}
	if r.turn == l {
		r.turn = nil
	}
	if r.last == l {
		r.last = nil
	}
}

// untilTurn is how long it takes until a suspect's turn ends by itself; long if none is under way.
func (r *Room) untilTurn() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turn == nil {
		return lastTurn
	}
	return max(time.Until(r.turnEnds), time.Millisecond)
}

// Used is how many bytes the running jobs take, and how many there are for them.
func (r *Room) Used() (used, limit int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.small + r.large, r.memory
}
