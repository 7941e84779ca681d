package intake

import (
	"container/heap"
	"slices"
	"time"
	"unique"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// line has the waiting jobs of one tenant.
type line struct {
	tenant job.Tenant
	// waiting counts the jobs that are still to be dealt.
	waiting int
	levels  [job.Priorities]level
	series  map[seriesKey]*series
	// gate is that of the tenant's own limit, nil if it has none.
	gate *gate
	// overtaken says that the last job that was dealt had aged past others of a higher priority.
	overtaken bool
}

// level has those of one priority: their users, in turn.
type level struct {
	users turns[*user]
	// oldest is since when the oldest has waited, in milliseconds, as it was found at looked.
	oldest, looked int64
}

// user has those of one user: a file for each kind, and each Job Type with limits.
type user struct {
	of       *level
	whose    whose
	priority job.Priority
	files    []*file
}

// file has those of one user's jobs that are alike but for their keys.
type file struct {
	of     *line
	user   *user
	kind   kind
	shared [2]*gate // of the Job Type, and of it in the organization; nil for none
	// waiting counts the jobs, all are their series, open those that aren't passed over, the oldest first.
	waiting int
	all     []*series
	open    placedHeap[*series]
}

// series has the jobs of a file with the same limits, first in, first out.
type series struct {
	in   *file
	key  seriesKey
	own  [2]*gate // of what the Job Type's limit_key names: running jobs, and starts
	at   int      // among all of its file
	gone bool
	// place is where it stands among the open ones, from 1; 0 if it is passed over.
	place int

	waiting int
	notes   []*Note
	// ahead are those that were dealt and held, the next last.
	ahead []*Note
	// number and since are those of its first, when that was looked at.
	number uint64
	since  int64
}

type seriesKey struct {
	whose
	priority job.Priority
	kind     kind
	limits   unique.Handle[job.Limits]
}

// none are the limits of a job that has none.
var none unique.Handle[job.Limits]

// of finds or makes the series for a note.
func (l *line) of(a *gates, n *Note) *series {
	key := n.seriesKey()
	if s := l.series[key]; s != nil {
		return s
	}
	s := &series{key: key, number: n.number, since: n.since}
	var shared [2]*gate
	if key.limits != none {
		limits := key.limits.Value()
		find := func(place int) *gate {
			if limits[place].Most == 0 {
				return nil
			}
			g := a.get(limits[place])
			g.users++
			return g
		}
		if g := find(job.LimitOrganization); g != nil {
			l.gate = g
		}
		shared = [2]*gate{find(job.LimitJobType), find(job.LimitJobTypeInOrganization)}
		s.own = [2]*gate{find(job.LimitKeyRunning), find(job.LimitKeyRate)}
	}
	in := l.file(key.whose, n.priority, n.kind, shared)
	s.in, s.at = in, len(in.all)
	l.series[key] = s
	in.all = append(in.all, s)
	heap.Push(&in.open, s)
	return s
}

// file finds or makes a user's file.
func (l *line) file(w whose, p job.Priority, k kind, shared [2]*gate) *file {
	users := &l.levels[p].users
	at := slices.IndexFunc(users.all, func(u *user) bool { return u.whose == w })
	if at < 0 {
		at = len(users.all)
		users.join(&user{of: &l.levels[p], whose: w, priority: p})
	}
	u := users.all[at]
	for _, in := range u.files {
		if in.kind == k && in.shared == shared {
			return in
		}
	}
	in := &file{of: l, user: u, kind: k, shared: shared}
	u.files = append(u.files, in)
	return in
}

// next is the series whose turn it is; nil if the tenant has what it may have, or each of its users, or all its jobs are of
// kinds that have a first, or held by limits.
func (l *line) next(f *FairQueue, now time.Time) *series {
	left := f.shares.left(l.tenant)
	if left <= 0 || l.gate != nil && !f.passable(l.gate, now) {
		return nil
	}
	order, aged := l.order(f.ageing, now)
	for i, p := range order {
		users := &l.levels[p].users
		for range users.all {
			if u := users.whose(); f.shares.allow(u.whose, left) {
				if s := u.next(f, now); s != nil {
					l.overtaken = aged && i == 0
					return s
				}
			}
			users.pass()
		}
	}
	return nil
}

// order is in which order the priorities have their turn: the highest first. One whose oldest job has waited for so long
// that it counts as much as another's goes before that, but not twice in a row: what has aged starves nobody in its turn.
func (l *line) order(ageing time.Duration, now time.Time) (order [job.Priorities]job.Priority, aged bool) {
	top, waiting := job.Priority(-1), 0
	for p := range order {
		order[len(order)-1-p] = job.Priority(p)
		if len(l.levels[p].users.all) > 0 {
			top, waiting = job.Priority(p), waiting+1
		}
	}
	if ageing <= 0 || waiting < 2 || l.overtaken {
		return order, false
	}
	first, most, oldest := top, int64(-1), int64(0)
	for _, p := range order {
		if len(l.levels[p].users.all) == 0 {
			continue
		}
		since := l.levels[p].since(ageing, now)
		counts := min(int64(p)+(now.UnixMilli()-since)/max(ageing.Milliseconds(), 1), job.Priorities-1)
		if counts > most || counts == most && since < oldest {
			first, most, oldest = p, counts, since
		}
	}
	if first == top {
		return order, false
	}
	at := slices.Index(order[:], first)
	copy(order[1:at+1], order[:at])
	order[0] = first
	return order, true
}

// since is since when the oldest job of a level has waited, of those that could be dealt. It is looked for now and then
// only: users wait by the thousand.
func (v *level) since(ageing time.Duration, now time.Time) int64 {
	at := now.UnixMilli()
	if v.looked > 0 && at-v.looked < min(1000, ageing.Milliseconds()/10) {
		return v.oldest
	}
	v.oldest, v.looked = at, at
	for _, u := range v.users.all {
		for _, in := range u.files {
			if len(in.open) > 0 {
				v.oldest = min(v.oldest, in.open[0].since)
			}
		}
	}
	return v.oldest
}

// next is the user's series with the job that was found first of those that may be dealt, nil if there is none.
func (u *user) next(f *FairQueue, now time.Time) (oldest *series) {
	for _, in := range u.files {
		if f.first[in.kind] != nil || in.shared[0] != nil && !f.passable(in.shared[0], now) || in.shared[1] != nil && !f.passable(in.shared[1], now) {
			continue
		}
		if s := in.head(f, now); s != nil && (oldest == nil || s.number < oldest.number) {
			oldest = s
		}
	}
	return oldest
}

// head is the first of the series that aren't held by a limit of their own.
func (in *file) head(f *FairQueue, now time.Time) *series {
	for len(in.open) > 0 {
		s := in.open[0]
		switch g := s.shut(f, now); {
		case s.waiting == 0:
			heap.Pop(&in.open)
			f.part(s)
		case g != nil:
			heap.Pop(&in.open)
			f.gates.pass(g, s)
		default:
			return s
		}
	}
	return nil
}

// shut is the gate of its own for which the series has to wait; nil for none.
func (s *series) shut(f *FairQueue, now time.Time) *gate {
	for _, g := range s.own {
		if g != nil && !f.passable(g, now) {
			return g
		}
	}
	return nil
}

// take takes the first; the series must have one, and be the first of its file.
func (s *series) take() *Note {
	var n *Note
	for n == nil || n.dropped {
		if last := len(s.ahead) - 1; last >= 0 {
			n, s.ahead = s.ahead[last], s.ahead[:last]
			continue
		}
		n = s.notes[0]
		s.notes[0] = nil
		s.notes = s.notes[1:]
	}
	switch {
	case len(s.ahead) > 0:
		s.begin(s.ahead[len(s.ahead)-1])
	case len(s.notes) > 0:
		s.begin(s.notes[0])
	}
	return n
}

// begin notes that a job is the first.
func (s *series) begin(n *Note) {
	s.number, s.since = n.number, n.since
	if s.place > 0 {
		heap.Fix(&s.in.open, s.place-1)
	}
}

// before has the series first whose first was found first.
func (s *series) before(other *series) bool { return s.number < other.number }
func (s *series) stands() *int              { return &s.place }
