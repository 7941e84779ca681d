// Package sites reaches the rows of a bench's sites: each site's database while it can be used, batches that join the
// writes of jobs that move at the same time, moves applied and told to observers, and the delivery of a row.
//
// Loops that serve all sites (pollers, maintenance) must not be kept by one database that is away, least of all by one
// that takes connections and answers nothing: they Look, which gives up soon and then leaves the site alone for a
// while. A job waits for its own site as long as it takes.
package sites

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/redis/go-redis/v9"
)

// DocType is the DocType whose rows the engine moves.
const DocType = "Background Job"

// Params are what Sites needs.
type Params struct {
	Bench *frappe.Bench
	Pool  *rows.Pool
	// Cache is redis_cache, whose document caches show old rows otherwise. May be nil.
	Cache redis.UniversalClient
	// Schedule says when rows are due. May be nil: then none is.
	Schedule *Schedule
	Log      *slog.Logger
}

// Sites are the sites of a bench. Safe for concurrent use.
type Sites struct {
	Params
	observers []Observer
	documents documents
	released  released

	mu      sync.Mutex
	writers map[string]*writer
	known   map[string]lookedUp
	absent  map[string]absence
}

// New prepares the sites; databases are opened on first use.
func New(p Params) *Sites {
	s := &Sites{Params: p, writers: map[string]*writer{}, known: map[string]lookedUp{}, absent: map[string]absence{}}
	s.documents = documents{log: p.Log, remove: func(ctx context.Context, database string, names []string) error {
		return rows.InvalidateDocument(ctx, p.Cache, database, DocType, names...)
	}}
	return s
}

// Observe adds an observer. It must be called before the first move.
func (s *Sites) Observe(o Observer) { s.observers = append(s.observers, o) }

// lookedUp is a site, or why it can't be opened, at a time.
type lookedUp struct {
	site *frappe.Site
	err  error
	at   time.Time
}

// lookEvery is how often a site's files are looked at for changes; at a thousand jobs a second, each time is too often.
const lookEvery = time.Second

// Site finds a site of the bench.
func (s *Sites) Site(name string) (*frappe.Site, error) {
	if len(name) > frappe.MaxSiteName {
		return s.Bench.Site(name) // an error that isn't worth remembering
	}
	now := time.Now()
	s.mu.Lock()
	k, ok := s.known[name]
	s.mu.Unlock()
	if ok && now.Sub(k.at) < lookEvery {
		return k.site, k.err
	}
	k = lookedUp{at: now}
	k.site, k.err = s.Bench.Site(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.err != nil && len(s.known) > 1000 {
		clear(s.known) // jobs may name any number of sites that don't exist
	}
	s.known[name] = k
	return k.site, k.err
}

// Names lists the sites of the bench, and those in use that Frappe leaves out of its list: behind a symlink.
func (s *Sites) Names() ([]string, error) {
	names, err := s.Bench.Sites()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	used := slices.Collect(maps.Keys(s.writers))
	s.mu.Unlock()
	for _, name := range used {
		if _, gone := s.Site(name); gone == nil && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Maintenance reports whether a site's tables may be altered right now.
func (s *Sites) Maintenance(name string) bool {
	site, err := s.Site(name)
	return err == nil && site.MaintenanceMode()
}

// DB gives a site's database, waiting for it as long as ctx lasts.
func (s *Sites) DB(ctx context.Context, name string) (*rows.DB, error) {
	w, err := s.writer(ctx, name)
	if err != nil {
		return nil, err
	}
	return w.db, nil
}

// Found are a site's Job Types and the rows that a batch of jobs names, or why they can't be read.
type Found struct {
	Types  map[string]*rows.JobType
	ByName map[string]*rows.BackgroundJob
	Err    error
}

// Find reads the Job Types and the named rows of several sites; of rows that don't run next large parameters are left out.
func (s *Sites) Find(ctx context.Context, names map[string][]string, runNext bool) map[string]Found {
	return eachSite(names, func(site string) (f Found) {
		f.Err = s.Look(ctx, site, func(ctx context.Context, db *rows.DB) (err error) {
			f.Types, err = jobTypes(ctx, db)
			switch {
			case err != nil || len(names[site]) == 0:
			case runNext:
				f.ByName, err = db.BackgroundJobs(ctx, names[site])
			default:
				f.ByName, err = db.Brief(ctx, names[site])
			}
			return err
		})
		return f
	})
}

// Identified are the callers of a batch of jobs, or why they can't be looked up.
type Identified struct {
	By  map[access.Caller]access.Identity
	Err error
}

// Identify looks up the callers of several sites.
func (s *Sites) Identify(ctx context.Context, callers map[string][]access.Caller) map[string]Identified {
	return eachSite(callers, func(site string) (id Identified) {
		id.Err = s.Look(ctx, site, func(ctx context.Context, _ *rows.DB) error {
			w, err := s.writer(ctx, site)
			if err == nil {
				id.By, err = w.access.Identify(ctx, callers[site])
			}
			return err
		})
		return id
	})
}

// eachSite asks several sites side by side.
func eachSite[Q, A any](sites map[string]Q, ask func(site string) A) map[string]A {
	var mu sync.Mutex
	out := make(map[string]A, len(sites))
	Each(maps.Keys(sites), func(site string) {
		answer := ask(site)
		mu.Lock()
		out[site] = answer
		mu.Unlock()
	})
	return out
}
