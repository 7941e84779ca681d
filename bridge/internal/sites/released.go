package sites

import "sync"

// released remembers rows whose parents have all completed: that doesn't change any more.
type released struct {
	mu    sync.Mutex
	known map[rowOf]bool
}

type rowOf struct{ site, name string }

// mostReleased bounds what is remembered; who is forgotten is read again.
const mostReleased = 10_000

func (r *released) has(site, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[rowOf{site, name}]
}

func (r *released) add(site, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= mostReleased {
		r.known = map[rowOf]bool{}
	}
	r.known[rowOf{site, name}] = true
}
