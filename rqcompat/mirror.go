package rqcompat

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// mirrorLimit is how many ids of one queue are read, and what comes is taken up beyond it to half as many again: a hundred
	// bytes each.
	mirrorLimit = 2_000_000
	// mirrorEnd is how many ids of either end are looked at for new ones; the tail grows with the rate of arrival. mirrorFirst is
	// how many the first look at a queue sees.
	mirrorEnd    = 8
	mirrorMaxEnd = 4096
	mirrorFirst  = 128
	// mirrorDrift is how long a difference in length may stay before the whole list is read again, plus a part
	// that grows with the list, so that reading it stays a small share of the server's time.
	mirrorDrift         = 2 * time.Second
	mirrorDriftPer25000 = time.Second
	mirrorAnyway        = time.Minute // when the list is read again although nothing looks wrong, plus that part
)

// Mirror is a copy of the ids in one queue, in order, kept up to date cheaply. It may lag: only Claim decides who
// gets a job. It belongs to one goroutine.
//
// Each Sync looks at both ends of the list, so what arrives is seen at once, however long it is. What stands in between is
// read in passes, one page at each ReadOn: all of it after the first Sync, and again when something doesn't add up.
type Mirror struct {
	c     *Client
	queue string

	ids        *idList
	listLen    int64 // LLEN at the last look
	extra      int64 // entries of the list that the mirror does not hold: second copies of an id
	synced     bool  // a look has been had
	tail       int64 // how many ids of the tail to ask for
	limit      int64
	page       int64 // how many ids a pass reads in one step, overlap of them once more
	overlap    int64
	pass       mirrorPass
	read       time.Time // when the last pass ended
	driftSince time.Time
}

// NewMirror returns an empty mirror of queue; the first Sync begins to fill it.
func (c *Client) NewMirror(queue string) *Mirror {
	m := &Mirror{c: c, queue: queue, limit: mirrorLimit, page: listPage, overlap: pageOverlap}
	m.Clear()
	return m
}

// Clear makes the mirror as it was before its first Sync.
func (m *Mirror) Clear() {
	m.ids = newIDList()
	m.listLen, m.extra, m.synced, m.tail, m.pass = 0, 0, false, mirrorEnd, mirrorPass{stamp: m.pass.stamp}
	m.driftSince = time.Time{}
}

// Len is the number of ids in the mirror. It is less than the length of the queue at the last Sync while that is being read,
// or when it holds an id twice.
func (m *Mirror) Len() int { return m.ids.count }

func (m *Mirror) has(id string) bool { return m.ids.find(id) > 0 }

// Place is a number for an id of the mirror, by which At finds it; 0 for one that isn't there.
func (m *Mirror) Place(id string) uint32 { return m.ids.find(id) }

// At is the id at a place, "" if none is there. It is another one than it was if that has left, and the place was given
// to one that came.
func (m *Mirror) At(place uint32) string {
	if place >= m.ids.used {
		return ""
	}
	return m.ids.text(place)
}

// Drop removes an id, typically because it was claimed or turned out to be gone.
func (m *Mirror) Drop(id string) {
	if place := m.ids.find(id); place > 0 {
		m.ids.remove(place)
		m.listLen--
	}
}

// insert puts an id that was found at an end behind a place, unless it is known.
func (m *Mirror) insert(behind uint32, id string, added []string) (uint32, []string) {
	if m.has(id) {
		return behind, added
	}
	return m.ids.insert(behind, id, m.pass.came()), append(added, id)
}

// Sync looks at both ends of the list: ids pushed at either end and ids popped from the head are found so. Ids that another
// process took out of the middle are noticed by the list's length and found by reading the list again, at most every
// few seconds. A list of one page is read at once, of a longer one Unread says that ReadOn has something to do. It returns
// the ids that are new and those that left by other hands than Drop. After an error the mirror is as it was, but for what is
// returned with it.
func (m *Mirror) Sync(ctx context.Context) (added, removed []string, err error) {
	now := time.Now()
	first, last := int64(mirrorEnd), m.tail
	if !m.synced {
		first, last = min(mirrorFirst, m.limit), min(mirrorFirst, m.limit)
	}
	length, head, tail, err := m.look(ctx, first, last)
	if err != nil {
		return nil, nil, err
	}
	if missing := m.missing(length, head, tail); missing > 0 && missing <= m.page && m.synced && !m.pass.begun {
		// More came than this, or somebody moved something: the end shows which.
		if length, head, tail, err = m.look(ctx, mirrorEnd, missing+mirrorEnd); err != nil {
			return nil, nil, err
		}
	}
	added, removed = m.ends(length, head, tail)
	if !m.pass.begun && (m.drifted(now) || now.Sub(m.read) > mirrorAnyway+m.part()) {
		m.pass.begin()
	}
	for m.Unread() && m.listLen <= m.page {
		more, gone, err := m.ReadOn(ctx)
		added, removed = append(added, more...), append(removed, gone...)
		if err != nil {
			if len(added)+len(removed) > 0 {
				err = nil // what the ends showed must be told now; the pass goes on with the next Sync
			}
			return added, removed, err
		}
	}
	return added, removed, nil
}

// look reads the list's length, its first ids and its last ones in one step.
func (m *Mirror) look(ctx context.Context, first, last int64) (length int64, head, tail []string, err error) {
	key := QueueKey(m.queue)
	var n *redis.IntCmd
	var h, t *redis.StringSliceCmd
	_, err = m.c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		n, h, t = p.LLen(ctx, key), p.LRange(ctx, key, 0, first-1), p.LRange(ctx, key, -last, -1)
		return nil
	})
	if err != nil {
		return 0, nil, nil, fmt.Errorf("look at queue %q: %w", clip(m.queue), err)
	}
	return n.Val(), h.Val(), t.Val(), nil
}

// seen is what both ends of the list show.
type seen struct {
	left   []uint32 // places before the first that is still there
	before []string // what stands before all that is known
	behind []string // what stands behind it
	lost   bool     // nothing that is known stands at the head
}

// compare says how the ends of the list differ from what is known.
func (m *Mirror) compare(head, tail []string) (s seen) {
	anchor := slices.IndexFunc(head, m.has)
	if s.lost = anchor < 0; s.lost {
		s.before = head
	} else {
		s.before = head[:anchor]
		for place, first := m.ids.node(0).next, m.ids.find(head[anchor]); place != first; place = m.ids.node(place).next {
			if s.left = append(s.left, place); m.Unread() && int64(len(s.left)) > m.page {
				s.left = nil // somebody may have moved one: the pass finds what has left
				break
			}
		}
	}
	last := len(tail) - 1
	for last >= 0 && !m.has(tail[last]) {
		last--
	}
	s.behind = tail[last+1:]
	return s
}

// missing is how many entries the list has beside those that are known or seen now.
func (m *Mirror) missing(length int64, head, tail []string) int64 {
	s := m.compare(head, tail)
	return length - m.extra - int64(m.ids.count-len(s.left)+len(s.before)+len(s.behind))
}

// ends takes up what both ends of the list show, and begins a pass if there must be more that isn't known. Nothing is taken
// for gone then which stood before what is at the head now: somebody may have moved that.
func (m *Mirror) ends(length int64, head, tail []string) (added, removed []string) {
	m.synced, m.listLen = true, length
	if length == 0 {
		if m.ids.count > 0 {
			removed = m.all()
		}
		m.Clear()
		m.synced, m.read = true, time.Now()
		return nil, removed
	}
	s := m.compare(head, tail)
	known := m.ids.count - len(s.left)
	if m.pass.begun {
		m.pass.again = m.pass.again || s.lost // what was pushed at the head is behind where the pass reads
	} else if int64(known+len(s.before)+len(s.behind))+m.extra < length || s.lost && m.ids.count > 0 {
		m.pass.begin()
		s.left = nil
	}
	for _, place := range s.left {
		removed = append(removed, m.ids.text(place))
		m.ids.remove(place)
	}
	place := uint32(0)
	for _, id := range s.before {
		place, added = m.insert(place, id, added)
	}
	m.tail = min(max(mirrorEnd, 2*int64(len(s.behind))), mirrorMaxEnd)
	for _, id := range s.behind {
		if int64(m.ids.count) < m.limit+m.limit/2 {
			_, added = m.insert(m.ids.node(0).prev, id, added)
		}
	}
	return added, removed
}

// all lists the mirror in the order of the queue.
func (m *Mirror) all() []string {
	all := make([]string, 0, m.ids.count)
	m.ids.each(func(place uint32) { all = append(all, m.ids.text(place)) })
	return all
}

// part is what a list of this length adds to the time between two passes.
func (m *Mirror) part() time.Duration { return time.Duration(m.listLen/25_000) * mirrorDriftPer25000 }

// drifted says whether the mirror has differed in length from the list for too long.
func (m *Mirror) drifted(now time.Time) bool {
	if int64(m.ids.count)+m.extra == m.listLen {
		m.driftSince = time.Time{}
		return false
	}
	if m.driftSince.IsZero() {
		m.driftSince = now
	}
	return now.Sub(m.driftSince) > mirrorDrift+m.part()
}
