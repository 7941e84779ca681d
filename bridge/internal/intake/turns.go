package intake

import "slices"

// turns is a circle of those who wait. The zero value is an empty one.
type turns[T comparable] struct {
	all []T
	// at is whose turn it is, and spent how much of it is used.
	at, spent int
}

// join lets somebody in, behind all others.
func (t *turns[T]) join(who T) { t.all = append(t.all, who) }

// whose turn it is; somebody must wait.
func (t *turns[T]) whose() T { return t.all[t.at] }

// spend uses a part of the turn, which has this many.
func (t *turns[T]) spend(parts int) {
	if t.spent++; t.spent >= parts {
		t.pass()
	}
}

// pass gives the turn to the next.
func (t *turns[T]) pass() { t.at, t.spent = (t.at+1)%len(t.all), 0 }

// leave takes somebody out. If it is his turn, it goes with him.
func (t *turns[T]) leave(who T) {
	i := slices.Index(t.all, who)
	t.all = slices.Delete(t.all, i, i+1)
	switch {
	case i < t.at:
		t.at--
	case i == t.at:
		t.spent = 0
	}
	if t.at == len(t.all) {
		t.at = 0
	}
}
