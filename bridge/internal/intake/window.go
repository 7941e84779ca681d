package intake

import (
	"unique"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
)

// The fair queue needs few of the jobs that wait for the same turns, the first ones. Of what stands behind them its poller keeps
// only the place, until those have been dealt.

// behind is what jobs wait for of which only their place is kept: that others of their series or of their tenant are dealt;
// or that few are left of those that policy holds for the same reason, or that name what can't be read. They are read again
// then.
type behind struct {
	series seriesKey
	tenant bool // whatever their series
	held   unique.Handle[policy.Question]
	unread whose
	// unready is set together with unread.
	unready bool
}

// undecided reports whether these jobs can't start, whoever is dealt.
func (b behind) undecided() bool { return b.unready || b.held != (unique.Handle[policy.Question]{}) }

// arrival is a job that was found, and its number if it has been here before.
type arrival struct {
	*job.Queued
	number uint64
}

// later is a job whose turn is far, and what it waits behind.
type later struct {
	arrival
	behind
}

// Add takes up jobs that may start from now on.
func (f *FairQueue) Add(qs ...*job.Queued) {
	all := make([]arrival, len(qs))
	for i, q := range qs {
		all[i].Queued = q
	}
	f.offer(all, nil)
}

// offer takes up jobs as Add does, but for those that have enough before them: these are returned, with their numbers. waits
// says whether others stay behind the same already; nil is for that all are taken up.
func (f *FairQueue) offer(all []arrival, waits func(behind) bool) (far []later) {
	if len(all) == 0 {
		return nil
	}
	f.mu.Lock()
	for _, a := range all {
		q := a.Queued
		if n := f.known[q.Key()]; n != nil {
			n.From, n.Before = q.From, brief(q.Before) // it may have left its queue since it was first seen
			continue
		}
		n, isNew := noteOf(q), a.number == 0
		n.kind = f.room.kindOf(n.Load)
		if n.number = a.number; isNew {
			f.found++
			n.number = f.found
		}
		if key, isFar := f.isFar(n, isNew, waits); isFar {
			far = append(far, later{arrival{q, n.number}, key})
			continue
		}
		if !q.Partly && f.kept+q.Memory <= mostKept {
			f.kept += q.Memory
			n.kept = q
		}
		f.known[n.key()] = n
		f.queue(n)
	}
	f.mu.Unlock()
	f.filled.Raise()
	return far
}

// isFar says whether a note has enough before it, and what that is. New ones don't pass those that wait.
func (f *FairQueue) isFar(n *Note, isNew bool, waits func(behind) bool) (key behind, is bool) {
	if waits == nil {
		return key, false
	}
	series := behind{series: n.seriesKey()}
	tenant := behind{series: seriesKey{whose: whose{Tenant: n.Tenant()}}, tenant: true}
	for _, key := range []behind{series, tenant} {
		if has, most := f.before(key); has >= most || isNew && waits(key) {
			return key, true
		}
	}
	return key, false
}

// before is how many notes stand before those that wait behind key, and how many may. f.mu is held.
func (f *FairQueue) before(key behind) (has, most int) {
	l := f.lines[key.series.Tenant]
	if most = max(1, min(f.seriesNotes, f.mostNotes/max(f.series, 1))); key.tenant {
		most = f.mostNotes
	}
	switch {
	case l == nil:
	case key.tenant:
		has = l.waiting
	case l.series[key.series] != nil:
		has = l.series[key.series].waiting
	}
	return has, most
}

// wants is how many more jobs may be offered of those that wait behind key.
func (f *FairQueue) wants(key behind) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	has, most := f.before(key)
	if has > most/2 {
		return 0
	}
	return min(most-has, f.seriesNotes)
}
