package rqcompat

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	mirrorLimit = 100_000 // what one mirror holds: the head of a longer queue
	// mirrorEnd is how many ids of either end are looked at for new ones. The tail grows with the rate of arrival.
	mirrorEnd    = 8
	mirrorMaxEnd = 4096
	// mirrorDrift is how long a difference in length may stay before the whole list is read again, plus a part
	// that grows with the list, so that reading it stays a small share of the server's time.
	mirrorDrift         = 2 * time.Second
	mirrorDriftPer10000 = time.Second
	mirrorAnyway        = time.Minute // when the list is read again although nothing looks wrong
)

// Mirror is a copy of the ids in one queue, in order, kept up to date cheaply. It may lag: only Claim decides who
// gets a job. It belongs to one goroutine.
type Mirror struct {
	c     *Client
	queue string

	nodes      map[string]*mirrorNode
	root       mirrorNode // ring: root.next is the head of the queue
	listLen    int64      // LLEN at the last Sync
	extra      int64      // entries of the list that the mirror does not hold: second copies of an id
	truncated  bool       // the list is longer than the limit
	synced     bool
	tail       int64 // how many ids of the tail to ask for
	limit      int64
	lastFull   time.Time
	driftSince time.Time
}

type mirrorNode struct {
	id         string
	prev, next *mirrorNode
}

// NewMirror returns an empty mirror of queue; the first Sync fills it.
func (c *Client) NewMirror(queue string) *Mirror {
	m := &Mirror{c: c, queue: queue, limit: mirrorLimit}
	m.Clear()
	return m
}

func (m *Mirror) reset() {
	m.nodes = map[string]*mirrorNode{}
	m.root.prev, m.root.next = &m.root, &m.root
}

// Clear makes the mirror as it was before its first Sync.
func (m *Mirror) Clear() {
	m.reset()
	m.listLen, m.extra, m.truncated, m.synced, m.tail = 0, 0, false, false, mirrorEnd
	m.driftSince = time.Time{}
}

// Len is the number of ids in the mirror. It is less than the length of the queue at the last Sync when the queue
// is longer than what a mirror holds (its first 100,000 ids) or holds an id twice.
func (m *Mirror) Len() int { return len(m.nodes) }

func (m *Mirror) has(id string) bool { return m.nodes[id] != nil }

// Drop removes an id, typically because it was claimed or turned out to be gone.
func (m *Mirror) Drop(id string) {
	if n := m.nodes[id]; n != nil {
		m.unlink(n)
		m.listLen--
	}
}

func (m *Mirror) unlink(n *mirrorNode) {
	n.prev.next, n.next.prev = n.next, n.prev
	delete(m.nodes, n.id)
}

// insertBefore puts a new id before at, and reports whether it was new.
func (m *Mirror) insertBefore(at *mirrorNode, id string) bool {
	if m.nodes[id] != nil {
		return false
	}
	n := &mirrorNode{id: id, prev: at.prev, next: at}
	at.prev.next, at.prev = n, n
	m.nodes[id] = n
	return true
}

// Sync brings the mirror up to date in one round trip that looks at both ends of the list: ids pushed at either
// end and ids popped from the head are found so. Ids that another process took out of the middle are noticed by
// the list's length and found by reading the list again, at most every few seconds. It returns the ids that are
// new and those that left by other hands than Drop. After an error the mirror is as it was.
func (m *Mirror) Sync(ctx context.Context) (added, removed []string, err error) {
	now := time.Now()
	if !m.synced || now.Sub(m.lastFull) > mirrorAnyway {
		return m.full(ctx, now)
	}
	length, head, tail, err := m.look(ctx, mirrorEnd, m.tail)
	if err != nil {
		return nil, nil, err
	}
	added, removed, ok := m.ends(length, head, tail)
	if !ok || m.drifted(now) {
		more, gone, err := m.full(ctx, now)
		if ok {
			// What the ends showed must be told now; the drift that is left makes the next Sync read the list again.
			err = nil
		}
		return append(added, more...), append(removed, gone...), err
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

// ends applies what both ends of the list show. It reports false, and changes nothing, when they don't connect to
// what is known or when the list must hold ids the mirror does not know.
func (m *Mirror) ends(length int64, head, tail []string) (added, removed []string, ok bool) {
	if length == 0 {
		removed = m.ids()
		m.reset()
		m.listLen, m.extra, m.truncated = 0, 0, false
		return nil, removed, true
	}
	if len(m.nodes) == 0 {
		if length > int64(len(tail)) {
			return nil, nil, false
		}
		added = m.append(tail)
		m.listLen, m.extra, m.truncated = length, length-int64(len(added)), false
		return added, nil, true
	}
	anchor := slices.IndexFunc(head, m.has)
	if anchor < 0 {
		return nil, nil, false
	}
	first := m.nodes[head[anchor]]
	for n := m.root.next; n != first; n = n.next {
		removed = append(removed, n.id)
	}
	fresh := m.behind(tail)
	left := len(m.nodes) - len(removed) + anchor + len(fresh)
	if m.truncated && int64(left) < min(m.limit/2, length) || !m.truncated && int64(left)+m.extra < length {
		return nil, nil, false
	}
	for _, id := range removed {
		m.unlink(m.nodes[id])
	}
	for _, id := range head[:anchor] {
		if m.insertBefore(first, id) {
			added = append(added, id)
		}
	}
	m.listLen = length
	return append(added, m.append(fresh)...), removed, true
}

// behind returns what of the list's tail is behind all that is known, and decides how much of the tail to ask for.
// The tail of a list that is too long for the mirror is nothing to it.
func (m *Mirror) behind(tail []string) []string {
	if m.truncated {
		return nil
	}
	last := len(tail) - 1
	for last >= 0 && !m.has(tail[last]) {
		last--
	}
	fresh := tail[last+1:]
	m.tail = min(max(mirrorEnd, 2*int64(len(fresh))), mirrorMaxEnd)
	return fresh
}

// ids lists the mirror in the order of the queue.
func (m *Mirror) ids() []string {
	ids := make([]string, 0, len(m.nodes))
	for n := m.root.next; n != &m.root; n = n.next {
		ids = append(ids, n.id)
	}
	return ids
}

func (m *Mirror) append(ids []string) (added []string) {
	for _, id := range ids {
		if m.insertBefore(&m.root, id) {
			added = append(added, id)
		}
	}
	return added
}

// drifted says whether the mirror has differed in length from the list for too long.
func (m *Mirror) drifted(now time.Time) bool {
	if m.truncated || int64(len(m.nodes))+m.extra == m.listLen {
		m.driftSince = time.Time{}
		return false
	}
	if m.driftSince.IsZero() {
		m.driftSince = now
	}
	return now.Sub(m.driftSince) > mirrorDrift+time.Duration(m.listLen/10_000)*mirrorDriftPer10000
}

// full reads the list from the start and replaces the mirror.
func (m *Mirror) full(ctx context.Context, now time.Time) (added, removed []string, err error) {
	var list []string
	length, err := m.c.eachWaiting(ctx, m.queue, m.limit, func(ids []string) { list = append(list, ids...) })
	if err != nil {
		return nil, nil, err
	}
	old, oldest := m.nodes, m.ids()
	m.reset()
	for _, id := range list {
		if m.insertBefore(&m.root, id) && old[id] == nil {
			added = append(added, id)
		}
	}
	for _, id := range oldest {
		if m.nodes[id] == nil {
			removed = append(removed, id)
		}
	}
	m.listLen = length
	m.truncated = m.listLen > m.limit
	m.extra = max(m.listLen-int64(len(m.nodes)), 0)
	m.synced, m.lastFull, m.driftSince = true, now, time.Time{}
	return added, removed, nil
}
