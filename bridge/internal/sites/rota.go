package sites

import "time"

// Rota says when the sites of a bench are looked at. Their times are spread: they keep the distances that they got when
// first seen. The zero Rota is ready; it is one goroutine's.
type Rota struct {
	// Spread is over what time the first looks are spread, if that is longer than the pause between two.
	Spread time.Duration

	next map[string]time.Time
}

// OfMany is how often each of n sites is looked at of which nobody waits for anything: as often as it says, but of more than
// a hundred less often, so that their looks together don't become more.
func OfMany(n int, often time.Duration) time.Duration {
	return max(often, often/100*time.Duration(n))
}

// FirstLooks is over what time the first looks at n sites are spread after the start.
func FirstLooks(n int) time.Duration { return 500 * time.Millisecond * time.Duration(n) }

// Due lists those of all sites whose time has come; every is how often one is looked at.
func (r *Rota) Due(now time.Time, all []string, every func(site string) time.Duration) (due []string) {
	if r.next == nil {
		r.next = map[string]time.Time{}
	}
	for i, site := range all {
		pause := every(site)
		switch next, known := r.next[site]; {
		case !known:
			r.next[site] = now.Add(max(pause, r.Spread) * time.Duration(i) / time.Duration(len(all)))
		case next.After(now.Add(max(pause, r.Spread))): // it is looked at more often now
			r.next[site] = now.Add(pause)
		}
		if !now.Before(r.next[site]) {
			r.next[site] = now.Add(pause)
			due = append(due, site)
		}
	}
	return due
}
