package bridge

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// sites keeps what the engine needs of each site: its rows, through batchers
// that join the writes of jobs that move at the same time.
type sites struct {
	bench *frappe.Bench
	cache redis.UniversalClient // redis_cache, for document caches; may be nil
	log   zerolog.Logger

	mu   sync.Mutex
	open map[string]*siteRowsWriter
	// known are the sites as they were looked up lately.
	known map[string]lookedUp
	// absent are the sites whose database can't be used now, see glance.go.
	absent map[string]absent
}

// lookedUp is a site, or why it can't be opened, at a time.
type lookedUp struct {
	site *frappe.Site
	err  error
	at   time.Time
}

// lookEvery is how often a site's files are looked at for changes; a bench with
// a thousand jobs a second would do little else otherwise.
const lookEvery = time.Second

// site finds a site of the bench.
func (s *sites) site(name string) (*frappe.Site, error) {
	now := time.Now()
	s.mu.Lock()
	k, ok := s.known[name]
	s.mu.Unlock()
	if ok && now.Sub(k.at) < lookEvery {
		return k.site, k.err
	}
	k = lookedUp{at: now}
	k.site, k.err = s.bench.Site(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.err != nil && len(s.known) > 1000 {
		clear(s.known) // jobs may name any number of sites that don't exist
	}
	s.known[name] = k
	return k.site, k.err
}

// siteRowsWriter moves the rows of one site.
type siteRowsWriter struct {
	site *frappe.Site
	db   *frappe.DB
	// checked is when db was last compared with the configuration; sites.mu.
	checked time.Time
	// starts, ends and arrivals join what several jobs write at once. Starts and
	// ends are batches of their own, so that two commits overlap.
	starts   *batcher[frappe.Transition, frappe.TransitionResult]
	ends     *batcher[frappe.Transition, frappe.TransitionResult]
	arrivals *batcher[frappe.NewJob, *frappe.BackgroundJob]
}

// siteRows are a site's Job Types and the rows a batch of jobs names, or why
// they can't be read.
type siteRows struct {
	types  map[string]*frappe.JobType
	byName map[string]*frappe.BackgroundJob
	err    error
}

// rowBatch is how many rows share one transaction at most: enough that the
// price of a commit disappears, few enough that locks are short.
const rowBatch = 100

// move hands one transition to the next batch of its kind.
func (w *siteRowsWriter) move(ctx context.Context, t frappe.Transition) (frappe.TransitionResult, error) {
	lane := w.ends
	if t.To == frappe.StatusRunning {
		lane = w.starts
	}
	result, err := lane.Do(ctx, t)
	if err == nil {
		err = result.Err
	}
	return result, err
}

// of opens a site's rows on first use.
func (s *sites) of(ctx context.Context, name string) (*siteRowsWriter, error) {
	site, err := s.site(name)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	s.mu.Lock()
	w := s.open[name]
	fresh := w != nil && now.Sub(w.checked) < lookEvery
	s.mu.Unlock()
	if fresh {
		return w, nil
	}
	db, err := site.DB(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A changed site_config.json makes a new pool.
	if w := s.open[name]; w != nil && w.db == db {
		w.checked = now
		return w, nil
	}
	w = &siteRowsWriter{site: site, db: db, checked: now}
	write := func(ctx context.Context, ts []frappe.Transition) ([]frappe.TransitionResult, error) {
		results, err := db.Transition(ctx, ts)
		s.forget(ctx, site, ts, results)
		return results, err
	}
	w.starts = &batcher[frappe.Transition, frappe.TransitionResult]{limit: rowBatch, do: write}
	w.ends = &batcher[frappe.Transition, frappe.TransitionResult]{limit: rowBatch, do: write}
	w.arrivals = &batcher[frappe.NewJob, *frappe.BackgroundJob]{limit: rowBatch, do: db.CreateOrFindJobs}
	s.open[name] = w
	return w, nil
}

// isOpen reports whether the engine has used the site's rows already.
func (s *sites) isOpen(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[name] != nil
}

// forget removes the moved rows from Frappe's document cache, which would show
// the old ones otherwise: for ever in version 15.
func (s *sites) forget(ctx context.Context, site *frappe.Site, ts []frappe.Transition, results []frappe.TransitionResult) {
	if s.cache == nil {
		return
	}
	var names []string
	for i, r := range results {
		if r.Applied {
			names = append(names, ts[i].Name)
		}
	}
	if len(names) == 0 {
		return
	}
	if err := frappe.InvalidateDocument(ctx, s.cache, site.DBName(), doctype, names...); err != nil {
		s.log.Warn().Err(err).Str("site", site.Name).Msg("document cache not invalidated; Frappe code may see old rows for a while")
	}
}

// doctype is the DocType whose rows the engine moves.
const doctype = "Background Job"

// jobTypes reads a site's Job Types; a site without these tables has none.
func (s *sites) jobTypes(ctx context.Context, name string) (types map[string]*frappe.JobType, err error) {
	err = s.glance(ctx, name, func(ctx context.Context, w *siteRowsWriter) (err error) {
		types, err = w.jobTypes(ctx)
		return err
	})
	return types, err
}

func (w *siteRowsWriter) jobTypes(ctx context.Context) (map[string]*frappe.JobType, error) {
	types, err := w.db.JobTypes(ctx)
	if errors.Is(err, frappe.ErrTableMissing) {
		return nil, nil
	}
	return types, err
}

// rows reads the Job Types and the named rows of several sites.
func (s *sites) rows(ctx context.Context, names map[string][]string) map[string]siteRows {
	var mu sync.Mutex
	out := make(map[string]siteRows, len(names))
	atOnce(maps.Keys(names), func(site string) {
		var r siteRows
		r.err = s.glance(ctx, site, func(ctx context.Context, w *siteRowsWriter) (err error) {
			r.types, err = w.jobTypes(ctx)
			if err == nil && len(names[site]) > 0 {
				r.byName, err = w.db.BackgroundJobs(ctx, names[site])
			}
			return err
		})
		mu.Lock()
		out[site] = r
		mu.Unlock()
	})
	return out
}
