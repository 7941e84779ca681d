package intake

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// far is a job of a backlog.
type far struct {
	number uint64 // of the fair queue, 0 if it never was there
	// row is the hash of the row that it names, 0 if it names none.
	row uint64
	// place is that of its id in the copy of the list, seen is when it was first seen, in seconds from the backlog's start.
	place, seen uint32
}

// farBlock is how many jobs are kept in one piece.
const farBlock = 512

// farList has jobs in order.
type farList struct {
	blocks [][]far
	taken  int // of the first block
}

func (l *farList) add(j far) {
	last := len(l.blocks) - 1
	if last < 0 || len(l.blocks[last]) == farBlock {
		l.blocks = append(l.blocks, make([]far, 0, 8)) // most are short
		last++
	}
	l.blocks[last] = append(l.blocks[last], j)
}

// take takes the first; there must be one.
func (l *farList) take() far {
	j := l.blocks[0][l.taken]
	if l.taken++; l.taken == len(l.blocks[0]) {
		l.blocks[0] = nil
		l.blocks, l.taken = l.blocks[1:], 0
	}
	return j
}

func (l *farList) each(yield func(far)) {
	for i, block := range l.blocks {
		if i == 0 {
			block = block[l.taken:]
		}
		for _, j := range block {
			yield(j)
		}
	}
}

// backlog has the jobs of a queue whose turn is far. It is its poller's, but for Len and Rows.
type backlog struct {
	start time.Time
	seed  maphash.Seed

	mu   sync.Mutex
	by   map[behind]*farList // written under mu
	size int
}

func newBacklog() *backlog {
	return &backlog{start: time.Now(), seed: maphash.MakeSeed(), by: map[behind]*farList{}}
}

func (b *backlog) add(key behind, j far) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.by[key]
	if l == nil {
		l = &farList{}
		b.by[key] = l
	}
	l.add(j)
	b.size++
}

// has reports whether some wait behind the same already.
func (b *backlog) has(key behind) bool { return b.by[key] != nil }

// take takes out so many of each kind as are wanted.
func (b *backlog) take(wanted func(behind) int) (all []far) {
	for key, l := range b.by {
		n := wanted(key)
		if n <= 0 {
			continue
		}
		b.mu.Lock()
		for ; n > 0 && len(l.blocks) > 0; n-- {
			all = append(all, l.take())
			b.size--
		}
		if len(l.blocks) == 0 {
			delete(b.by, key)
		}
		b.mu.Unlock()
	}
	return all
}

func (b *backlog) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.by, b.size = map[behind]*farList{}, 0
}

func (b *backlog) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size
}

// since is when a job was seen, in seconds from the start; seen is the reverse.
func (b *backlog) since(seen time.Time) uint32 {
	return uint32((max(seen.Sub(b.start), 0) + time.Second - 1) / time.Second)
}

func (b *backlog) seen(j far) time.Time { return b.start.Add(time.Duration(j.seen) * time.Second) }

// row is the hash of a row that a job names.
func (b *backlog) row(site, name string) uint64 {
	if name == "" {
		return 0
	}
	return maphash.Comparable(b.seed, [2]string{site, name})
}

// rows gives a function that says whether a job names a row.
func (b *backlog) rows() func(site, name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []uint64
	for _, l := range b.by {
		l.each(func(j far) {
			if j.row > 0 {
				all = append(all, j.row)
			}
		})
	}
	slices.Sort(all)
	return func(site, name string) bool {
		_, found := slices.BinarySearch(all, b.row(site, name))
		return found
	}
}

// keep puts a job into the backlog; false if its id isn't on the list.
func (p *Poller) keep(key behind, q *job.Queued, number uint64) bool {
	place := p.List.Place(q.ID)
	if place > 0 {
		p.backlog.add(key, far{number: number, row: p.backlog.row(q.Site, q.RowName), place: place, seen: p.backlog.since(q.Seen)})
	}
	return place > 0
}

// offer hands jobs that are ours to the fair queue, and keeps the places of those whose turn is far.
func (p *Poller) offer(mine []*job.Queued) {
	all := make([]arrival, len(mine))
	for i, q := range mine {
		all[i] = arrival{q, p.recalled[q.ID].number}
	}
	for _, l := range p.Fair.offer(all, p.backlog.has) {
		if !p.keep(l.behind, l.Queued, l.number) {
			p.Fair.Add(l.Queued)
		}
	}
}

// recall lists jobs of the backlog whose turn comes nearer.
func (p *Poller) recall() (ids []string) {
	if len(p.recalled) > 0 {
		return nil // those come first
	}
	for _, j := range p.backlog.take(p.wanted) {
		if id := p.List.At(j.place); id != "" {
			p.recalled[id] = j
			ids = append(ids, id)
		}
	}
	return ids
}

// wanted is how many more jobs of a kind may come nearer.
func (p *Poller) wanted(key behind) int {
	if !key.undecided() {
		return p.Fair.wants(key)
	}
	if n := p.alike[key]; n <= p.mostAlike/2 {
		return p.mostAlike - n
	}
	return 0
}

// Far is how many jobs of the queue are ours, or will be, of which only their place is kept, as their turn is far.
func (p *Poller) Far() int { return p.backlog.len() }

// Rows gives a function that says whether one of those names a row.
func (p *Poller) Rows() func(site, name string) bool { return p.backlog.rows() }
