package bridge

import (
	"context"
	"errors"
	"sync"

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
}

// siteRowsWriter moves the rows of one site.
type siteRowsWriter struct {
	site *frappe.Site
	db   *frappe.DB
	// moves and arrivals join what several jobs write at once.
	moves    *batcher[frappe.Transition, frappe.TransitionResult]
	arrivals *batcher[frappe.NewJob, *frappe.BackgroundJob]
}

// siteRows are the rows a batch of jobs names, or why they can't be read.
type siteRows struct {
	byName map[string]*frappe.BackgroundJob
	err    error
}

// rowBatch is how many rows share one transaction at most: enough that the
// price of a commit disappears, few enough that locks are short.
const rowBatch = 100

// of opens a site's rows on first use.
func (s *sites) of(ctx context.Context, name string) (*siteRowsWriter, error) {
	site, err := s.bench.Site(name)
	if err != nil {
		return nil, err
	}
	db, err := site.DB(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A changed site_config.json makes a new Site with a new pool.
	if w := s.open[name]; w != nil && w.db == db {
		return w, nil
	}
	w := &siteRowsWriter{site: site, db: db}
	w.moves = &batcher[frappe.Transition, frappe.TransitionResult]{limit: rowBatch, do: func(ctx context.Context, ts []frappe.Transition) ([]frappe.TransitionResult, error) {
		results, err := db.Transition(ctx, ts)
		s.forget(ctx, site, ts, results)
		return results, err
	}}
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
func (s *sites) jobTypes(ctx context.Context, name string) (map[string]*frappe.JobType, error) {
	w, err := s.of(ctx, name)
	if err != nil {
		return nil, err
	}
	types, err := w.db.JobTypes(ctx)
	if errors.Is(err, frappe.ErrTableMissing) {
		return nil, nil
	}
	return types, err
}

// rows reads the named rows of several sites.
func (s *sites) rows(ctx context.Context, names map[string][]string) map[string]siteRows {
	out := make(map[string]siteRows, len(names))
	for site, rows := range names {
		w, err := s.of(ctx, site)
		if err != nil {
			out[site] = siteRows{err: err}
			continue
		}
		byName, err := w.db.BackgroundJobs(ctx, rows)
		out[site] = siteRows{byName: byName, err: err}
	}
	return out
}
