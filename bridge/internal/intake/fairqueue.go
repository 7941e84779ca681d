package intake

import (
	"slices"
	"sync"
	"unique"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// FairQueue holds every job that could start now and deals them out: weighted turns over the tenants, then priority, then
// turns over the tenant's users, then age. It sees whole queues, so ten thousand jobs of one tenant in front don't delay
// another's one, nor those of one user a colleague's of the same priority. Of most jobs it has a note only.
//
// Nobody comes earlier by what he does to his own jobs: their priority counts among the tenant's own; one that failed, or
// waited for another job, stands where it would if it were new; a tenant that comes and goes waits for its turn each time.
type FairQueue struct {
	mu     sync.Mutex
	shares *shares
	room   *Room
	lines  map[job.Tenant]*line
	ring   turns[*line] // those that have jobs
	known  map[job.Key]*Note
	// kept is the sum of Memory of the jobs that need not be read again.
	kept int
	// first are those whose turn came while there was no room for them, by kind: the next of all of their kind.
	first [kinds]*Note
	// held says that all who wait have what they may have.
	held   bool
	filled wait.Flag // or a slot is free that one of them may have
}

// mostKept bounds the memory of waiting jobs that are kept as they were decoded, in bytes: so many that small jobs, which
// don't wait for long, are read once.
const mostKept = 16 << 20

// line has the waiting jobs of one tenant: per priority its users, in turn; those who have jobs of several kinds once for
// each.
type line struct {
	tenant job.Tenant
	// waiting counts the jobs that are still to be dealt.
	waiting int
	users   [job.Priorities]turns[*file]
	files   map[fileKey]*file
}

// file has the jobs of one kind and priority of one user, first in, first out.
type file struct {
	of      *line
	key     fileKey
	waiting int
	notes   []*Note
}

type fileKey struct {
	whose
	priority job.Priority
	kind     kind
}

// NewFairQueue makes an empty queue for so many slots in a room. weights are the shares of organizations, by name; others
// have 1.
func NewFairQueue(slots int, weights map[string]int, room *Room) *FairQueue {
	return &FairQueue{
		shares: newShares(slots, weights), room: room, lines: map[job.Tenant]*line{}, known: map[job.Key]*Note{}, filled: wait.NewFlag(),
	}
}

// Add takes up jobs that may start from now on.
func (f *FairQueue) Add(qs ...*job.Queued) {
	if len(qs) == 0 {
		return
	}
	f.mu.Lock()
	for _, q := range qs {
		if n := f.known[q.Key()]; n != nil {
			n.From, n.Before = q.From, brief(q.Before) // it may have left its queue since it was first seen
			continue
		}
		n := noteOf(q)
		if !q.Partly && f.kept+q.Memory <= mostKept {
			f.kept += q.Memory
			n.kept = q
		}
		f.known[n.key()] = n
		n.kind = f.room.kindOf(n.Load)
		f.queue(n)
	}
	f.mu.Unlock()
	f.filled.Raise()
}

// queue puts a note behind its user's others of the same priority and kind.
func (f *FairQueue) queue(n *Note) {
	w := n.whose.Value()
	l := f.lines[w.Tenant]
	if l == nil {
		l = &line{tenant: w.Tenant, files: map[fileKey]*file{}}
		f.lines[w.Tenant] = l
		f.ring.join(l)
	}
	key := fileKey{w, n.priority, n.kind}
	in := l.files[key]
	if in == nil {
		in = &file{of: l, key: key}
		l.files[key] = in
		l.users[n.priority].join(in)
	}
	n.in = in
	l.waiting++
	in.waiting++
	in.notes = append(in.notes, n)
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

// dropOne leaves the entry in its file until it would be dealt; taking it out of the middle would cost a search.
func (f *FairQueue) dropOne(n *Note) {
	f.forget(n)
	n.dropped, n.kept = true, nil
	if f.first[n.kind] == n {
		f.first[n.kind] = nil
		f.shares.free(n.whose.Value())
		return
	}
	f.unqueue(n)
}

// forget takes a note out of what is known and counted.
func (f *FairQueue) forget(n *Note) {
	delete(f.known, n.key())
	if n.kept != nil {
		f.kept -= n.Load.Memory
	}
}

// unqueue takes a note out of their turns whose last it was.
func (f *FairQueue) unqueue(n *Note) {
	in, l := n.in, n.in.of
	if in.waiting--; in.waiting == 0 {
		l.users[in.key.priority].leave(in)
		delete(l.files, in.key)
	}
	if l.waiting--; l.waiting == 0 {
		f.ring.leave(l)
		delete(f.lines, l.tenant)
	}
}

// deal takes up to n jobs in turn. Each has a slot and its room until it is let go. Whose turn comes while there is no room
// for it is the first of its kind from then on: no other one passes it, and no job of another kind waits for it.
func (f *FairQueue) deal(n int) []*Note {
	f.mu.Lock()
	defer f.mu.Unlock()
	dealt := make([]*Note, 0, min(n, len(f.known)))
	for kind, first := range f.first {
		if first != nil && len(dealt) < n && f.room.enter(first.Load) {
			f.first[kind] = nil
			f.forget(first)
			dealt = append(dealt, first)
		}
	}
	for len(dealt) < n {
		next := f.next()
		if next == nil {
			break
		}
		dealt = append(dealt, next)
	}
	f.held = len(dealt) < n && len(f.known) > 0
	return dealt
}

// next takes the job whose turn it is among those whose tenant and user may have a slot and for which there is room; nil if
// there is none.
func (f *FairQueue) next() *Note {
	for passed := 0; passed < len(f.ring.all); {
		l := f.ring.whose()
		in := l.next(f.shares, &f.first)
		if in == nil {
			f.ring.pass()
			passed++
			continue
		}
		f.ring.spend(f.shares.weight(l.tenant))
		l.users[in.key.priority].spend(1)
		n := in.take()
		f.shares.take(in.key.whose)
		f.unqueue(n)
		if f.room.enter(n.Load) {
			f.forget(n)
			return n
		}
		f.first[n.kind] = n // it keeps its share of the slots, which is its tenant's affair
		passed = 0
	}
	return nil
}

// next is the file whose turn it is; nil if the tenant has what it may have, or each of its users, or all its jobs are of
// kinds that have a first.
func (l *line) next(s *shares, first *[kinds]*Note) *file {
	left := s.left(l.tenant)
	if left <= 0 {
		return nil
	}
	for p := range slices.Backward(l.users[:]) {
		users := &l.users[p]
		for range users.all {
			if in := users.whose(); first[in.key.kind] == nil && s.allow(in.key.whose, left) {
				return in
			}
			users.pass()
		}
	}
	return nil
}

// take takes the oldest; the file must have one.
func (in *file) take() *Note {
	for {
		n := in.notes[0]
		in.notes[0] = nil
		in.notes = in.notes[1:]
		if !n.dropped {
			return n
		}
	}
}

// letGo gives back what a job got when it was dealt: it has ended, or isn't started.
func (f *FairQueue) letGo(w unique.Handle[whose], l *Load) {
	f.room.leave(l)
	f.mu.Lock()
	f.shares.free(w.Value())
	held := f.held
	f.held = false
	f.mu.Unlock()
	if held {
		f.filled.Raise()
	}
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
