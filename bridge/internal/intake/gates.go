package intake

import (
	"container/heap"
	"math/rand/v2"
	"time"
	"unique"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// gate is what this process knows of a limit that waiting or running jobs have, so that jobs that would be held are passed
// over. The limit itself is kept by the claim: what a gate lets through may be held nevertheless.
type gate struct {
	limit rqcompat.Limit
	// users counts what names it: series that wait, and jobs that were dealt.
	users int
	// here is how many of the jobs that run are this process's; of a limit of starts always 0.
	here int
	// room is how many more may be dealt until again, when one is tried.
	room  int
	again time.Time
	// passed are the series that wait for it, of a gate that is theirs alone.
	passed []*series
	place  int // in the heap of those that have some, from 1
}

const (
	// leastPause and mostPause are between which times a limit is tried again that jobs of other processes fill: nobody tells
	// when one of those ends.
	leastPause = 100 * time.Millisecond
	mostPause  = 250 * time.Millisecond
)

func (g *gate) counts() bool { return g.limit.Window == 0 }

// isOpen reports whether a job may be dealt.
func (g *gate) isOpen(now time.Time) bool {
	if g.counts() && g.here >= g.limit.Most {
		return false
	}
	if g.room <= 0 && !now.Before(g.again) {
		g.room = 1
	}
	return g.room > 0
}

// opens is when it opens by itself; false if only the end of a job here opens it.
func (g *gate) opens() (time.Time, bool) {
	return g.again, !g.counts() || g.here < g.limit.Most
}

// deal notes that a job was dealt. What becomes of the last that there was room for is known in a moment.
func (g *gate) deal(now time.Time) {
	g.users++
	if g.room--; g.room <= 0 {
		g.again = now.Add(leastPause)
	}
	if g.counts() {
		g.here++
	}
}

// claimed notes that a job got through: if others did as well, there is room for one more.
func (g *gate) claimed() {
	if g.counts() {
		g.room = min(g.room+1, g.limit.Most-g.here)
	} else {
		g.room = min(g.room+2, g.limit.Most)
	}
}

// shut notes that the limit is used up, and when something of it frees at the latest.
func (g *gate) shut(now time.Time, after time.Duration) {
	g.room = 0
	if g.counts() {
		after = min(after, leastPause+rand.N(mostPause-leastPause))
	}
	g.again = now.Add(after)
}

// end notes that a job that was dealt runs no more.
func (g *gate) end() {
	if g.users--; g.counts() {
		g.here--
		g.room++
	}
}

// gates are those of a fair queue, by key.
type gates struct {
	by map[string]*gate
	// shut are those that are passed over by series of their own, the next to open first.
	shut placedHeap[*gate]
}

// get finds or makes the gate of a limit. What the limit is now counts.
func (a *gates) get(l rqcompat.Limit) *gate {
	g := a.by[l.Key]
	if g == nil {
		g = &gate{limit: l, room: l.Most}
		a.by[l.Key] = g
	}
	g.room += max(l.Most-g.limit.Most, 0)
	g.limit = l
	return g
}

// forget drops a gate that nothing names.
func (a *gates) forget(g *gate) {
	if g.users == 0 {
		a.take(g)
		delete(a.by, g.limit.Key)
	}
}

// pass notes that a series waits for a gate.
func (a *gates) pass(g *gate, s *series) {
	g.passed = append(g.passed, s)
	if g.place == 0 {
		heap.Push(&a.shut, g)
		return
	}
	a.moved(g)
}

// moved puts a gate in its place that opens at another time than before.
func (a *gates) moved(g *gate) {
	if g.place > 0 {
		heap.Fix(&a.shut, g.place-1)
	}
}

// take gives back the series that wait for a gate.
func (a *gates) take(g *gate) []*series {
	passed := g.passed
	if g.passed = nil; g.place > 0 {
		heap.Remove(&a.shut, g.place-1)
	}
	return passed
}

// part takes a series out of everything that knows it. f.mu is held.
func (f *FairQueue) part(s *series) {
	in := s.in
	last := len(in.all) - 1
	in.all[s.at] = in.all[last]
	in.all[s.at].at = s.at
	in.all[last] = nil
	in.all = in.all[:last]
	delete(in.of.series, s.key)
	f.series--
	s.gone = true
	f.eachGate(s.key.limits, func(g *gate) { g.users-- })
}

// passable reports whether jobs of a gate may be dealt, and notes when those that may not could be. f.mu is held.
func (f *FairQueue) passable(g *gate, now time.Time) bool {
	if g.isOpen(now) {
		return true
	}
	f.notice(g)
	return false
}

func (f *FairQueue) notice(g *gate) {
	if at, byItself := g.opens(); byItself && (f.opens.IsZero() || at.Before(f.opens)) {
		f.opens = at
	}
}

// open takes up what waited for gates whose time has come. f.mu is held.
func (f *FairQueue) open(now time.Time) {
	f.opens = time.Time{}
	for len(f.gates.shut) > 0 && f.gates.shut[0].isOpen(now) {
		f.resume(f.gates.shut[0])
	}
	if len(f.gates.shut) > 0 {
		f.notice(f.gates.shut[0])
	}
}

// resume takes up what waited for a gate.
func (f *FairQueue) resume(g *gate) {
	for _, s := range f.gates.take(g) {
		if !s.gone {
			heap.Push(&s.in.open, s)
		}
	}
}

// dealLimits notes that a job with such limits was dealt, and endLimits that it runs no more. f.mu is held.
func (f *FairQueue) dealLimits(limits unique.Handle[job.Limits], now time.Time) {
	f.eachGate(limits, func(g *gate) { g.deal(now) })
}

func (f *FairQueue) endLimits(limits unique.Handle[job.Limits]) {
	f.eachGate(limits, func(g *gate) {
		g.end()
		f.resume(g)
	})
}

// eachGate does something with the gates of some limits, and forgets those that nothing names afterwards.
func (f *FairQueue) eachGate(limits unique.Handle[job.Limits], do func(*gate)) {
	if limits == none {
		return
	}
	all := limits.Value()
	for i := range all {
		if g := f.gates.by[all[i].Key]; all[i].Most > 0 && g != nil {
			do(g)
			f.gates.moved(g)
			f.gates.forget(g)
		}
	}
}

// claimed notes that a job's limits let it through.
func (f *FairQueue) claimed(n *Note) {
	if n.limits == none {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.eachGate(n.limits, (*gate).claimed)
}

// heldBy notes that the nth of a job's limits is used up, and after how long something of it frees at the latest.
func (f *FairQueue) heldBy(n *Note, nth int, after time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := n.limits.Value()
	limits, _ := all.List()
	if g := f.gates.by[limits[nth].Key]; g != nil {
		g.shut(time.Now(), after)
		f.gates.moved(g)
	}
}

// untilOpen is how long it takes until a gate opens by itself that the last deal met; long if none does.
func (f *FairQueue) untilOpen() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.opens.IsZero() {
		return lastTurn
	}
	return max(time.Until(f.opens), time.Millisecond)
}

// before has the gate first that opens first; those that don't open by themselves are last.
func (g *gate) before(other *gate) bool {
	a, byItself := g.opens()
	b, others := other.opens()
	if byItself != others {
		return byItself
	}
	return a.Before(b)
}

func (g *gate) stands() *int { return &g.place }
