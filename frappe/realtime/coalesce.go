package realtime

import (
	"context"
	"errors"
	"slices"
	"time"
)

// The desk waits for silence before it re-reads: 2 s after the last list_update of a DocType (list/list_view.js), 1 s after
// the last doc_update of a document (form/form.js). A steady stream would keep it from ever refreshing, so events are
// collected: the first goes out at once, further ones together when the interval is over.
const (
	listInterval = 3 * time.Second
	docInterval  = 2 * time.Second

	// maxWindows bounds the documents and DocTypes remembered at a time. At 200 bytes each it is some 10 MB.
	maxWindows = 50_000
	// maxListNames bounds the rows one list_update burst names, the newest: a list page shows 20 to 500.
	maxListNames = 500
)

// ListUpdate tells open lists that rows of a DocType changed, at most every 3 s per DocType and site. It never blocks.
func (p *Publisher) ListUpdate(site, doctype string, names ...string) {
	if len(names) > 0 {
		p.collect(&p.lists, windowKey{site: site, doctype: doctype}, names)
	}
}

// DocUpdate tells the open form of a document that its row changed, at most every 2 s per document, with the newest
// modified, spelled as Python's str(datetime). It never blocks; without a name there is no such form and nothing to do.
func (p *Publisher) DocUpdate(site, doctype, name, modified string) {
	if name != "" {
		p.collect(&p.docs, windowKey{site: site, doctype: doctype, name: name}, []string{modified})
	}
}

func (p *Publisher) collect(l *lane, key windowKey, values []string) {
	p.mu.Lock()
	ready := l.add(key, values)
	p.mu.Unlock()
	if ready {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// sendDue sends what is due, or everything, and puts back what wasn't taken.
func (p *Publisher) sendDue(ctx context.Context, everything bool) (sent bool, err error) {
	now := time.Now()
	p.mu.Lock()
	taken := append(p.lists.take(now, everything), p.docs.take(now, everything)...)
	dropped := p.lists.dropped + p.docs.dropped
	p.lists.dropped, p.docs.dropped = 0, 0
	p.mu.Unlock()
	if dropped > 0 {
		p.log.Warn("more desk updates than can be remembered", "dropped", dropped)
	}
	for len(taken) > 0 {
		n, events := 0, []Event(nil)
		for ; n < len(taken) && len(events) < publishBatch; n++ {
			events = taken[n].appendEvents(events)
		}
		if err := p.Publish(ctx, events...); errors.Is(err, ErrAway) {
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, t := range taken {
				t.restore()
			}
			return sent, err
		}
		taken, sent = taken[n:], true
	}
	return sent, nil
}

func (p *Publisher) untilDue() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	return min(p.lists.untilDue(now), p.docs.untilDue(now))
}

// windowKey is what updates are collected by; name is empty for lists.
type windowKey struct{ site, doctype, name string }

// window is the time after a key's last event in which further ones wait.
type window struct {
	key    windowKey
	until  time.Time
	values []string // names of a list, the newest modified of a document
	seen   map[string]bool
}

// takenWindow is what a window held when it was its turn.
type takenWindow struct {
	window *window
	values []string
}

func (t takenWindow) appendEvents(events []Event) []Event {
	key := t.window.key
	if key.name != "" {
		return append(events, Event{
			Name: "doc_update", Site: key.site, Rooms: []string{RoomDoc(key.doctype, key.name)},
			Message: map[string]any{"doctype": key.doctype, "name": key.name, "modified": t.values[0]},
		})
	}
	// The desk collects the names itself and re-reads them in one request.
	for _, name := range t.values {
		events = append(events, Event{
			Name: "list_update", Site: key.site, Rooms: []string{RoomDocType(key.doctype)},
			Message: map[string]any{"doctype": key.doctype, "name": name, "user": "Administrator"},
		})
	}
	return events
}

// restore puts values back that couldn't be sent, as older than those that came meanwhile. Their window has just begun.
func (t takenWindow) restore() {
	newer := t.window.empty()
	t.window.merge(t.values)
	if len(newer) > 0 {
		t.window.merge(newer)
	}
}

// lane holds the windows of one interval. All last equally long and end in the order they began: no search.
type lane struct {
	interval time.Duration
	windows  map[windowKey]*window
	ready    []*window // first updates, to be sent at once
	order    []*window // running windows, the one that ends next first
	dropped  int
}

func newLane(interval time.Duration) lane {
	return lane{interval: interval, windows: map[windowKey]*window{}}
}

// add collects values and reports whether they can be sent at once.
func (l *lane) add(key windowKey, values []string) (ready bool) {
	w := l.windows[key]
	if w == nil {
		if len(l.windows) >= maxWindows {
			l.dropped++
			return false
		}
		w = &window{key: key}
		l.windows[key] = w
		l.ready = append(l.ready, w)
		ready = true
	}
	w.merge(values)
	return ready
}

// merge adds newer values to what the window holds: a document needs only its newest modified, a list each name once.
func (w *window) merge(newer []string) {
	if w.key.name != "" {
		w.values = newer[len(newer)-1:]
		return
	}
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	for _, name := range newer {
		if !w.seen[name] {
			w.seen[name] = true
			w.values = append(w.values, name)
		}
	}
	if excess := len(w.values) - 2*maxListNames; excess > 0 {
		for _, name := range w.values[:excess+maxListNames] {
			delete(w.seen, name)
		}
		w.values = slices.Clone(w.values[excess+maxListNames:])
	}
}

func (w *window) empty() []string {
	values := w.values
	w.values, w.seen = nil, nil
	return values[max(0, len(values)-maxListNames):]
}

// take removes the values that are due and starts their windows anew. One that ended without an update is forgotten.
func (l *lane) take(now time.Time, everything bool) (taken []takenWindow) {
	due := l.ready
	l.ready = nil
	for len(l.order) > 0 && (everything || !l.order[0].until.After(now)) {
		due = append(due, l.order[0])
		l.order[0] = nil
		l.order = l.order[1:]
	}
	for _, w := range due {
		if len(w.values) == 0 {
			delete(l.windows, w.key)
			continue
		}
		taken = append(taken, takenWindow{w, w.empty()})
		w.until = now.Add(l.interval)
		l.order = append(l.order, w)
	}
	return taken
}

func (l *lane) untilDue(now time.Time) time.Duration {
	switch {
	case len(l.ready) > 0:
		return 0
	case len(l.order) > 0:
		return max(0, l.order[0].until.Sub(now))
	}
	return time.Hour
}
