package bridge

import "sync"

// tenant is whose turn it is: an organization of a site. Jobs without a row
// share the turn of their site's empty organization.
type tenant struct{ site, organization string }

// turns holds every job that could start now and deals them out: weighted
// turns over the tenants, then priority, then age. It sees whole queues, so ten
// thousand jobs of one tenant in front don't delay another's one.
type turns struct {
	weight func(tenant) int

	mu    sync.Mutex
	lines map[tenant]*line
	// ring holds the lines that have work, in the order of their turns; at is
	// whose turn it is, and spent how many jobs of this turn are dealt.
	ring      []*line
	at, spent int
	known     map[jobKey]*work
	// filled gets a token when work arrives.
	filled chan struct{}
}

// jobKey names a job on a queue.
type jobKey struct{ queue, id string }

// line is the waiting work of one tenant, a first-in-first-out list per priority.
type line struct {
	tenant tenant
	// waiting counts the jobs that are still to be dealt.
	waiting int
	lists   [len(priorities)][]*work
}

// priorities are the values of Background Job.priority, from the least.
var priorities = [...]string{"Low", "Normal", "High", "Critical"}

func priorityOf(name string) int {
	for i, p := range priorities {
		if p == name {
			return i
		}
	}
	return 1
}

func newTurns(weights map[string]int) *turns {
	return &turns{
		weight: func(t tenant) int { return max(weights[t.organization], 1) },
		lines:  map[tenant]*line{},
		known:  map[jobKey]*work{},
		filled: make(chan struct{}, 1),
	}
}

// add takes up work that may start from now on.
func (t *turns) add(ws ...*work) {
	if len(ws) == 0 {
		return
	}
	t.mu.Lock()
	for _, w := range ws {
		if _, dup := t.known[w.key()]; dup {
			continue
		}
		t.known[w.key()] = w
		l := t.lines[w.tenant()]
		if l == nil {
			l = &line{tenant: w.tenant()}
			t.lines[l.tenant] = l
		}
		if l.waiting == 0 {
			t.ring = append(t.ring, l)
		}
		l.waiting++
		l.lists[w.priority] = append(l.lists[w.priority], w)
	}
	t.mu.Unlock()
	signal(t.filled)
}

// drop forgets work that is no longer on its queue.
func (t *turns) drop(queue string, ids ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		w := t.known[jobKey{queue, id}]
		if w == nil {
			continue
		}
		// The entry stays in its list until it would be dealt; taking it out of the
		// middle would cost a search.
		delete(t.known, w.key())
		w.dropped = true
		l := t.lines[w.tenant()]
		if l.waiting--; l.waiting == 0 {
			t.retire(l)
		}
	}
}

// deal takes up to n jobs in turn.
func (t *turns) deal(n int) []*work {
	t.mu.Lock()
	defer t.mu.Unlock()
	dealt := make([]*work, 0, min(n, len(t.known)))
	for len(dealt) < n && len(t.ring) > 0 {
		if t.at >= len(t.ring) {
			t.at = 0
		}
		l := t.ring[t.at]
		w := l.next()
		delete(t.known, w.key())
		dealt = append(dealt, w)
		t.spent++
		if l.waiting--; l.waiting == 0 {
			t.retire(l)
			t.spent = 0
		} else if t.spent >= t.weight(l.tenant) {
			t.at++
			t.spent = 0
		}
	}
	return dealt
}

// empty reports whether nothing waits.
func (t *turns) empty() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.known) == 0
}

// rows lists the waiting work that delivers a Background Job.
func (t *turns) rows() (ws []*work) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.known {
		if w.rowName != "" {
			ws = append(ws, w)
		}
	}
	return ws
}

// retire takes a line without work out of the ring and forgets it.
func (t *turns) retire(l *line) {
	for i, other := range t.ring {
		if other == l {
			t.ring = append(t.ring[:i], t.ring[i+1:]...)
			if i < t.at {
				t.at--
			}
			break
		}
	}
	delete(t.lines, l.tenant)
}

// next takes the oldest job of the highest priority; the line must have one.
func (l *line) next() *work {
	for p := len(l.lists) - 1; p >= 0; p-- {
		for len(l.lists[p]) > 0 {
			w := l.lists[p][0]
			l.lists[p][0] = nil
			l.lists[p] = l.lists[p][1:]
			if !w.dropped {
				return w
			}
		}
	}
	panic("bridge: a line counts work it doesn't have")
}

// signal leaves a token in a channel of capacity one; a token that is there
// already says the same.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
