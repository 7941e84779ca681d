package intake

import "github.com/opensoft/dartwing-bridge/bridge/internal/job"

// shares says who may have another slot. Turns alone decide who is next when a slot is free; with jobs that run for long, all
// of them could be one tenant's by the time that another comes.
//
// A tenant has at most seven times as many slots as it leaves free. So an eighth is left by one that is alone; two who take
// what they can have 7/15 each, three 7/22; and of what is left nobody takes all, so that whoever comes finds a slot. The
// users of a tenant share what it may have in the same way. With fewer than eight slots nothing is kept free.
type shares struct {
	slots   int
	weights map[string]int // by organization; a tenant may have so many times as much

	busy  int
	held  map[job.Tenant]int
	users map[whose]int
}

// mostHeld is how many slots somebody may have for each one that is left.
const mostHeld = 7

// whose job it is.
type whose struct {
	job.Tenant
	user string
}

func newShares(slots int, weights map[string]int) *shares {
	return &shares{slots: slots, weights: weights, held: map[job.Tenant]int{}, users: map[whose]int{}}
}

// weight is how many jobs a tenant has in a turn.
func (s *shares) weight(t job.Tenant) int { return max(s.weights[t.Organization], 1) }

// left is how many more slots a tenant could have if so many were free.
func (s *shares) left(t job.Tenant) int {
	free, held := s.slots-s.busy, s.held[t]
	if held > 0 && free == 1 && s.slots > mostHeld {
		return 0 // whatever its weight
	}
	return mostHeld*s.weight(t)*free - held
}

// allow says whether a user may have one of the slots that are left for his tenant.
func (s *shares) allow(w whose, left int) bool { return s.users[w] < mostHeld*left }

// take notes that a job got a slot.
func (s *shares) take(w whose) {
	s.busy++
	s.held[w.Tenant]++
	s.users[w]++
}

// free notes that its slot is free again.
func (s *shares) free(w whose) {
	s.busy--
	if s.held[w.Tenant]--; s.held[w.Tenant] == 0 {
		delete(s.held, w.Tenant)
	}
	if s.users[w]--; s.users[w] == 0 {
		delete(s.users, w)
	}
}
