package rqcompat

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// mirrorPass is one reading of a list from its head to its end, in pages that overlap, while others push and pop. It finds what
// stands there all the time; what isn't met on the way, and hasn't come meanwhile, has left.
type mirrorPass struct {
	begun bool
	// again says that one more is to follow: something may have come where this one was already.
	again bool
	start int64 // the place in the list of the next page
	// stamp is what the pass puts on what it meets; what comes at an end meanwhile gets one more, and all else has less.
	stamp uint32
}

func (p *mirrorPass) begin() { *p = mirrorPass{begun: true, stamp: p.stamp + 2} }

// came is the stamp of what is found at an end.
func (p *mirrorPass) came() uint32 { return p.stamp + 1 }

// Unread reports whether ReadOn has something to do: the list is read, and there is room for what is found.
func (m *Mirror) Unread() bool { return m.pass.begun && int64(m.ids.count) < m.limit }

// ReadOn reads one more page of the list, some thousand ids, and returns as Sync does what is new and what has left. After an
// error the mirror is as it was.
func (m *Mirror) ReadOn(ctx context.Context) (added, removed []string, err error) {
	if !m.Unread() {
		return nil, nil, nil
	}
	key, start := QueueKey(m.queue), m.pass.start
	size := min(m.page, m.limit-int64(m.ids.count)+m.overlap)
	var n *redis.IntCmd
	var page *redis.StringSliceCmd
	_, err = m.c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		n, page = p.LLen(ctx, key), p.LRange(ctx, key, start, start+size-1)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read queue %q: %w", clip(m.queue), err)
	}
	ids := page.Val()
	if start > 0 && (len(ids) == 0 || !m.met(ids[0])) {
		// Too much has left before it: something in between may not have been seen.
		m.pass.start = max(start-m.page, 0)
		return nil, nil, nil
	}
	added = m.meet(ids)
	if int64(len(ids)) == size {
		m.pass.start += max(size-m.overlap, 1)
		return added, nil, nil
	}
	m.listLen = n.Val()
	return added, m.passed(), nil
}

// met reports whether the pass has come by an id.
func (m *Mirror) met(id string) bool {
	place := m.ids.find(id)
	return place > 0 && m.ids.node(place).stamp == m.pass.stamp
}

// meet puts the ids of a page where they stand.
func (m *Mirror) meet(page []string) (added []string) {
	before := uint32(0)
	for i, id := range page {
		place := m.ids.find(id)
		switch {
		case place == 0:
			place = m.ids.insert(before, id, m.pass.stamp)
			added = append(added, id)
		case m.ids.node(place).stamp == m.pass.stamp:
			// Of the page before, or a second copy, which stands where the first does.
			if i > 0 && m.ids.node(before).next != place {
				continue
			}
		case m.ids.node(before).next != place:
			m.ids.move(place, before)
		}
		m.ids.node(place).stamp = m.pass.stamp
		before = place
	}
	return added
}

// passed ends a pass, and returns what it didn't meet.
func (m *Mirror) passed() (removed []string) {
	m.ids.each(func(place uint32) {
		if m.ids.node(place).stamp < m.pass.stamp {
			removed = append(removed, m.ids.text(place))
			m.ids.remove(place)
		}
	})
	again := m.pass.again
	m.pass.begun, m.read, m.driftSince = false, time.Now(), time.Time{}
	m.extra = max(m.listLen-int64(m.ids.count), 0)
	if again {
		m.pass.begin()
	}
	return removed
}
