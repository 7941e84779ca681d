package byhand

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

const (
	// lookEvery is how often a site is looked at for what nobody told of.
	lookEvery = 4 * time.Second
	// usedFor is how long a site is used after something was heard of it; of many that nobody uses each is looked at less often.
	usedFor = 5 * time.Minute
	// bareEvery is how often a site is looked at that has no Background Jobs: of the first that is inserted somebody tells.
	bareEvery = time.Minute
	// overlap is how long a change may take from its `modified` to its commit, with clocks that differ.
	overlap = 10 * time.Second
	// markEvery is how often it is written down up to when a site was looked at.
	markEvery = 30 * time.Second
	// longestGap is how far a look goes back at most, firstGap one that doesn't know of an earlier one.
	longestGap, firstGap = 7 * 24 * time.Hour, 24 * time.Hour
)

// Look finds what the channel lost or is silent about, at the sites whose time has come: rows that wait to be submitted,
// rows whose status their log doesn't know, and those that couldn't be dealt with before.
func (h *Hands) Look(ctx context.Context) error {
	all, err := h.Rows.Names()
	if err != nil {
		return err
	}
	quiet := h.quiet(all)
	h.rota.Spread = sites.FirstLooks(len(all))
	due := h.rota.Due(time.Now(), all, func(site string) time.Duration {
		switch {
		case h.bare[site]:
			return bareEvery
		case quiet[site]:
			return sites.OfMany(len(quiet), lookEvery)
		}
		return lookEvery
	})
	var mu sync.Mutex
	return sites.Visit(due, h.Rows.IsNoted, func(site string) error {
		err := h.lookAt(ctx, site, quiet[site])
		mu.Lock()
		defer mu.Unlock()
		if h.bare[site] = errors.Is(err, rows.ErrTableMissing); h.bare[site] {
			return nil
		}
		return err
	})
}

// quiet has those of the sites of which nothing was heard for a while.
func (h *Hands) quiet(all []string) map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	quiet := map[string]bool{}
	for _, site := range all {
		if time.Since(h.used[site]) > usedFor {
			quiet[site] = true
		}
	}
	return quiet
}

// lookAt looks at one site. Where its last look ended is kept for whoever looks next, after a stop of all bridges too.
func (h *Hands) lookAt(ctx context.Context, site string, quiet bool) error {
	if h.Rows.Maintenance(site) {
		return nil
	}
	now := time.Now()
	h.mu.Lock()
	since, marked, behind := h.looked[site].until, h.looked[site].marked, h.looked[site].behind
	for name := range h.open[site] {
		h.lanes.Add(site, name)
	}
	h.mu.Unlock()
	if since.IsZero() {
		since = now.Add(-firstGap)
		if last, err := h.Marks.Last(ctx, site); err == nil && last.After(now.Add(-longestGap)) && last.Before(now) {
			since = last
		}
	}
	behind, err := h.Rows.FindWritten(ctx, site, sites.Search{
		Since: since.Add(-overlap), Behind: behind, Rest: quiet,
		Written: func(name string) { h.lanes.Add(site, name) }, Ended: func(name string) { h.ended.Add(site, name) },
	})
	if err == nil && now.Sub(marked) >= markEvery {
		err, marked = h.Marks.Note(ctx, site, now), now
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.looked[site] = looked{now, marked, behind}
	h.mu.Unlock()
	return nil
}

// looked is up to when a site was looked at, when that was written down, and up to where the Pending rows were walked through.
type looked struct {
	until, marked time.Time
	behind        rows.Place
}

// Marks keep in Redis up to when each site was looked at.
type Marks struct{ Redis redis.UniversalClient }

// marksKey is the HASH of when sites were looked at, in microseconds of Unix time.
const marksKey = "rq:bridge:looked"

// Last is up to when a site was looked at, by any process; zero if that isn't known.
func (m Marks) Last(ctx context.Context, site string) (time.Time, error) {
	text, err := m.Redis.HGet(ctx, marksKey, site).Result()
	if errors.Is(err, redis.Nil) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	micros, err := strconv.ParseInt(text, 10, 64)
	return time.UnixMicro(micros), err
}

// Note takes down up to when a site was looked at.
func (m Marks) Note(ctx context.Context, site string, at time.Time) error {
	return m.Redis.HSet(ctx, marksKey, site, at.UnixMicro()).Err()
}
