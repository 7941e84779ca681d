package intake

import (
	"slices"
	"sync"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// FairQueue holds every job that could start now and deals them out: weighted turns over the tenants, then priority,
// then age. It sees whole queues, so ten thousand jobs of one tenant in front don't delay another's one. Of most jobs it
// has a note only.
type FairQueue struct {
	weights map[string]int
	room    *workers.Room

	mu    sync.Mutex
	lines map[job.Tenant]*line
	// ring holds the lines that have jobs, in turn; at is whose turn it is, and spent how many jobs of it are dealt.
	ring      []*line
	at, spent int
	known     map[job.Key]*Note
	// held are those whose turn came, by kind, and that have to wait for room. They are next of all of their kind.
	held [kinds]*Note
	seen int // how many notes were made
	// kept is the sum of Memory of the jobs that need not be read again.
	kept   int
	filled wait.Flag
}

// mostKept bounds the memory of waiting jobs that are kept as they were decoded, in bytes: so many that small jobs, which
// don't wait for long, are read once.
const mostKept = 16 << 20

// line has the waiting jobs of one tenant, a first-in-first-out list per kind and priority.
type line struct {
	tenant job.Tenant
	// waiting counts the jobs that are still to be dealt.
	waiting int
	lists   [kinds][job.Priorities][]*Note
}

// NewFairQueue makes an empty queue. weights are the shares of organizations, by name; others have 1. What it deals has
// entered room.
func NewFairQueue(weights map[string]int, room *workers.Room) *FairQueue {
	return &FairQueue{weights: weights, room: room, lines: map[job.Tenant]*line{}, known: map[job.Key]*Note{}, filled: wait.NewFlag()}
}

// Add takes up jobs that may start from now on.
func (f *FairQueue) Add(qs ...*job.Queued) {
	if len(qs) == 0 {
		return
	}
	f.mu.Lock()
	for _, q := range qs {
		if n := f.known[q.Key()]; n != nil {
			n.From, n.Before = q.From, q.Before // it may have left its queue since it was first seen
			continue
		}
		n := noteOf(q)
		if !q.Partly && f.kept+q.Memory <= mostKept {
			f.kept += q.Memory
			n.kept = q
		}
		f.known[n.key()] = n
		n.kind, n.age = f.kindOf(n.Load), f.seen
		f.seen++
		tenant := n.Tenant()
		l := f.lines[tenant]
		if l == nil {
			l = &line{tenant: tenant}
			f.lines[tenant] = l
		}
		if l.waiting == 0 {
			f.ring = append(f.ring, l)
		}
		l.waiting++
		l.lists[n.kind][n.priority] = append(l.lists[n.kind][n.priority], n)
	}
	f.mu.Unlock()
	f.filled.Raise()
}

func (f *FairQueue) kindOf(l *workers.Load) kind {
	switch {
	case f.room.Large(l.Memory):
		return large
	case l.Kills > 0:
		return suspect
	}
	return ordinary
}

// drop forgets jobs that are no longer on their queue.
func (f *FairQueue) drop(queue string, ids ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		if n := f.known[job.Key{Queue: queue, ID: id}]; n != nil && n.From == rqcompat.FromQueue {
			f.dropOne(n)
		}
	}
}

// dropQueue forgets all jobs of a queue, wherever they stand.
func (f *FairQueue) dropQueue(queue string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, n := range f.known {
		if key.Queue == queue {
			f.dropOne(n)
		}
	}
}

// dropOne leaves the entry in its list until it would be dealt; taking it out of the middle would cost a search.
func (f *FairQueue) dropOne(n *Note) {
	f.forget(n)
	n.dropped, n.kept = true, nil
	if f.held[n.kind] == n {
		f.held[n.kind] = nil
		return
	}
	l := f.lines[n.Tenant()]
	if l.waiting--; l.waiting == 0 {
		f.retire(l)
	}
}

// forget takes a note out of what is known and counted.
func (f *FairQueue) forget(n *Note) {
	delete(f.known, n.key())
	if n.kept != nil {
		f.kept -= n.Load.Memory
	}
}

// deal takes up to n jobs in turn. Whose turn comes while there is no room for it is held, and is the next of its kind:
// no other one passes it, and no job of another kind waits for it.
func (f *FairQueue) deal(n int) []*Note {
	f.mu.Lock()
	defer f.mu.Unlock()
	dealt := make([]*Note, 0, min(n, len(f.known)))
	for k, h := range f.held {
		if h != nil && len(dealt) < n && f.room.Enter(h.Load) {
			f.held[k] = nil
			f.forget(h)
			dealt = append(dealt, h)
		}
	}
	for passed := 0; len(dealt) < n && passed < len(f.ring); {
		if f.at >= len(f.ring) {
			f.at = 0
		}
		l := f.ring[f.at]
		next := l.next(&f.held)
		switch {
		case next == nil: // all that it has is of a kind that waits
			f.at++
			f.spent = 0
			passed++
			continue
		case f.room.Enter(next.Load):
			f.forget(next)
			dealt = append(dealt, next)
			f.spent++
		default:
			f.held[next.kind] = next
		}
		passed = 0
		if l.waiting--; l.waiting == 0 {
			f.retire(l)
		} else if f.spent >= max(f.weights[l.tenant.Organization], 1) {
			f.at++
			f.spent = 0
		}
	}
	return dealt
}

// has reports whether a job waits.
func (f *FairQueue) has(key job.Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known[key] != nil
}

// Len is how many jobs wait.
func (f *FairQueue) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.known)
}

// Rows calls yield for each waiting job that names a Background Job.
func (f *FairQueue) Rows(yield func(site, name string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.known {
		if n.RowName != "" {
			yield(n.Tenant().Site, n.RowName)
		}
	}
}

// retire takes a line without jobs out of the ring and forgets it.
func (f *FairQueue) retire(l *line) {
	i := slices.Index(f.ring, l)
	f.ring = slices.Delete(f.ring, i, i+1)
	if i < f.at {
		f.at--
	} else if i == f.at {
		f.spent = 0
	}
	delete(f.lines, l.tenant)
}

// next takes the oldest job of the highest priority that is of no kind of which one is held; nil if there is none.
func (l *line) next(held *[kinds]*Note) *Note {
	for p := job.Priorities - 1; p >= 0; p-- {
		var oldest *[]*Note
		for k := range l.lists {
			list := &l.lists[k][p]
			for len(*list) > 0 && (*list)[0].dropped {
				shift(list)
			}
			if held[k] == nil && len(*list) > 0 && (oldest == nil || (*list)[0].age < (*oldest)[0].age) {
				oldest = list
			}
		}
		if oldest != nil {
			return shift(oldest)
		}
	}
	return nil
}

func shift(list *[]*Note) *Note {
	first := (*list)[0]
	(*list)[0] = nil
	*list = (*list)[1:]
	return first
}
