package intake

import (
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// FairQueue holds every job that could start now and deals them out: weighted turns over the tenants, then priority, then
// turns over the tenant's users, then age. It sees whole queues, so ten thousand jobs of one tenant in front don't delay
// another's one, nor those of one user a colleague's of the same priority. Of most jobs it has a note only.
//
// Nobody comes earlier by what he does to his own jobs: their priority counts among the tenant's own, and so does what they
// gain by waiting; one that failed, or waited for another job, stands where it would if it were new; a tenant that comes and
// goes waits for its turn each time.
//
// Jobs that a limit holds are passed over, and nobody waits for them: neither their tenant nor their user with what is not
// of that limit.
type FairQueue struct {
	mu     sync.Mutex
	shares *shares
	room   *Room
	ageing time.Duration
	lines  map[job.Tenant]*line
	ring   turns[*line] // those that have jobs
	known  map[job.Key]*Note
	found  uint64
	series int // of all lines
	// kept is the sum of Memory of the jobs that need not be read again.
	kept int
	// first are those whose turn came while there was no room for them, by kind: the next of all of their kind.
	first [kinds]*Note
	gates gates
	// seriesNotes is how many notes a series has at most, mostNotes how many a tenant has, and how many all series share.
	seriesNotes, mostNotes int
	// opens is when the first gate opens that the last deal met; zero if none does by itself.
	opens time.Time
	// held says that all who wait have what they may have.
	held   bool
	filled wait.Flag // or a slot is free that one of them may have
}

// mostKept bounds the memory of waiting jobs that are kept as they were decoded, in bytes: so many that small jobs, which
// don't wait for long, are read once.
const mostKept = 16 << 20

const (
	// So many notes are kept: of jobs that have more before them the poller keeps less. Half of them have to be dealt before more come.
	seriesNotes = 2000
	mostNotes   = 100_000
)

// NewFairQueue makes an empty queue for so many slots in a room. weights are the shares of organizations, by name; others
// have 1. After each ageing a job that waits counts as one of the next higher priority; 0 is never.
func NewFairQueue(slots int, weights map[string]int, room *Room, ageing time.Duration) *FairQueue {
	return &FairQueue{
		shares: newShares(slots, weights), room: room, ageing: ageing, lines: map[job.Tenant]*line{}, known: map[job.Key]*Note{},
		gates: gates{by: map[string]*gate{}}, seriesNotes: seriesNotes, mostNotes: mostNotes, filled: wait.NewFlag(),
	}
}

// queue puts a note behind its user's others of the same priority and kind, with the same limits.
func (f *FairQueue) queue(n *Note) {
	s := f.seriesOf(n)
	s.notes = append(s.notes, n)
}

// seriesOf finds or makes the series of a note, and counts it there.
func (f *FairQueue) seriesOf(n *Note) *series {
	t := n.Tenant()
	l := f.lines[t]
	if l == nil {
		l = &line{tenant: t, series: map[seriesKey]*series{}}
		f.lines[t] = l
		f.ring.join(l)
	}
	before := len(l.series)
	s := l.of(&f.gates, n)
	f.series += len(l.series) - before
	n.in = s
	if s.waiting == 0 {
		s.begin(n)
	}
	l.waiting++
	s.in.waiting++
	s.waiting++
	return s
}

// putBack takes up again jobs that were dealt and that a limit holds: first of their series, as they were.
func (f *FairQueue) putBack(ns ...*Note) {
	for _, n := range ns {
		f.letGo(n.holds())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range slices.Backward(ns) {
		if f.known[n.key()] != nil {
			continue // it was found again meanwhile
		}
		f.known[n.key()] = n
		if n.kept != nil {
			f.kept += n.Load.Memory
		}
		s := f.seriesOf(n)
		s.ahead = append(s.ahead, n)
		s.begin(n)
	}
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
		f.endLimits(n.limits)
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
	s, in := n.in, n.in.in
	l, u := in.of, in.user
	s.waiting--
	if in.waiting--; in.waiting == 0 {
		for len(in.all) > 0 {
			f.part(in.all[0])
		}
		if u.files = slices.DeleteFunc(u.files, func(other *file) bool { return other == in }); len(u.files) == 0 {
			u.of.users.leave(u)
		}
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
	now := time.Now()
	f.open(now)
	dealt := make([]*Note, 0, min(n, len(f.known)))
	for kind, first := range f.first {
		if first != nil && len(dealt) < n && f.room.enter(first.Load) {
			f.first[kind] = nil
			f.forget(first)
			dealt = append(dealt, first)
		}
	}
	for len(dealt) < n {
		next := f.next(now)
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
func (f *FairQueue) next(now time.Time) *Note {
	for passed := 0; passed < len(f.ring.all); {
		l := f.ring.whose()
		s := l.next(f, now)
		if s == nil {
			f.ring.pass()
			passed++
			continue
		}
		f.ring.spend(f.shares.weight(l.tenant))
		s.in.user.of.users.spend(1)
		n := s.take()
		f.shares.take(s.key.whose)
		f.dealLimits(n.limits, now)
		f.unqueue(n)
		if f.room.enter(n.Load) {
			f.forget(n)
			return n
		}
		f.first[n.kind] = n // it keeps its share of the slots and of its limits, which is its tenant's affair
		passed = 0
	}
	return nil
}

// letGo gives back what a job got when it was dealt: it has ended, or isn't started.
func (f *FairQueue) letGo(h holding) {
	f.room.leave(h.load)
	f.mu.Lock()
	f.shares.free(h.whose.Value())
	f.endLimits(h.limits)
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
