package desk

import (
	"context"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
)

// floodWindow is the time in which a flood writes a few, and at whose end it tells of the rest.
const floodWindow = time.Minute

// flood bounds what is written of things that may happen very often: of each kind a few in a minute, then only their
// number. Safe for concurrent use; make it with newFlood.
type flood[K comparable] struct {
	each  int // how many of a kind are written
	kinds int // how many kinds a site has: anybody who can enqueue can make names up
	rest  K   // the kind of those beyond

	mu      sync.Mutex
	windows map[string]map[K]*window // by site
}

// window is what happened of one kind in a minute.
type window struct {
	begin          time.Time
	written, count int
}

func newFlood[K comparable](each, kinds int, rest K) *flood[K] {
	return &flood[K]{each: each, kinds: kinds, rest: rest, windows: map[string]map[K]*window{}}
}

// admits counts one of a kind and says whether it is written.
func (f *flood[K]) admits(site string, kind K) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	kinds := f.windows[site]
	if kinds == nil {
		kinds = map[K]*window{}
		f.windows[site] = kinds
	}
	if kinds[kind] == nil && len(kinds) >= f.kinds {
		kind = f.rest
	}
	w := kinds[kind]
	if w == nil {
		w = &window{begin: time.Now()}
		kinds[kind] = w
	}
	w.count++
	if w.written == f.each {
		return false
	}
	w.written++
	return true
}

// run has lanes write until ctx ends, and the rest then; more adds to them what a window that ends didn't write.
func (f *flood[K]) run(ctx context.Context, lanes func(context.Context), more func(site string, kind K, n int, since time.Time)) {
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	all.Go(func() { lanes(writing) })
	wait.Every(ctx, time.Second, func(now time.Time) { f.end(now.Add(-floodWindow), more) })
	f.end(time.Now(), more)
	stop()
	all.Wait()
}

// end ends the windows that began by then, and calls more for each of which some weren't written.
func (f *flood[K]) end(then time.Time, more func(site string, kind K, n int, since time.Time)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for site, kinds := range f.windows {
		for kind, w := range kinds {
			if w.begin.After(then) {
				continue
			}
			delete(kinds, kind)
			if n := w.count - w.written; n > 0 {
				more(site, kind, n, w.begin)
			}
		}
		if len(kinds) == 0 {
			delete(f.windows, site)
		}
	}
}
