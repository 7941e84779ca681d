package rows

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/internal/memo"
)

// DB is a site's database: connections that are made when they are used and end half a second later, and the rows read and
// written there. Safe for concurrent use.
type DB struct {
	conn
	tables        tableCache
	jobTypes      memo.Memo[map[string]*JobType]
	organizations memo.Memo[*Organization]
	ofApp         memo.Memo[bool]
	tenant        memo.Memo[string] // under the key ""
	attachments   memo.Memo[[]attachment]
	pauses        memo.Memo[*Pauses]
	breakers      memo.Memo[[]*Breaker]
	spelled       memo.Memo[string] // names by DocType and how they were asked for; "" for one that isn't there
	// strangeStatuses are the organizations' statuses that were warned about.
	strangeStatuses sync.Map
}

// Open connects to a site's database. The errors are those of Pool.DB.
func Open(ctx context.Context, site *frappe.Site) (*DB, error) {
	cfg, err := siteDatabase(site)
	if err != nil {
		return nil, err
	}
	return openDB(ctx, site, cfg, newBound(defaultConnections))
}

// openDB fails here, and not in the middle of a job, when a password is wrong or a server absent.
func openDB(ctx context.Context, site *frappe.Site, cfg databaseConfig, b *bound) (*DB, error) {
	d := &DB{conn: conn{database: database{site: site.Name, bound: b}, major: site.Bench.Major, where: cfg.driver.Addr, log: site.Bench.Log}}
	d.tables.conn = &d.conn
	err := d.open(ctx, cfg)
	if err == nil {
		err = d.readZone(ctx)
	}
	if err != nil {
		_ = d.Close() // the error that matters is the first
		return nil, err
	}
	return d, nil
}

// Close ends the connections, those in use after the statement or transaction that runs there.
func (d *DB) Close() error { return d.bound.shut(&d.database) }

// Site is the name of the site.
func (d *DB) Site() string { return d.site }

// Strings reads one column, which is never NULL, of a table that this package doesn't know; what says in errors what is
// being done. It is read again when it met a deadlock, a lock or a broken connection.
func (d *DB) Strings(ctx context.Context, what, query string, args ...any) (list []string, err error) {
	list, err = selectAll[string](ctx, &d.conn, what, query, args...)
	return list, d.tables.notice(err)
}

// reconnectPause keeps a hundred jobs of one site from waiting in turn for a server that is away.
const reconnectPause = time.Second

// Pool is the databases of a bench's sites, each opened on first use, with one bound for the connections of all together.
// Safe for concurrent use.
type Pool struct {
	bench *frappe.Bench
	bound *bound

	mu     sync.Mutex
	sites  map[string]*pooled
	closed bool
}

type pooled struct {
	// turn is taken while a connection is made, apart from the pool's lock: a silent server must hold up no other site.
	turn     chan struct{}
	db       *DB
	key      string // what db was opened with
	failed   error  // the last attempt to connect
	failedAt time.Time
	closed   bool
}

// NewPool makes a pool that has nothing open yet, and may have 16 connections. Close it.
func NewPool(bench *frappe.Bench) *Pool {
	return &Pool{bench: bench, bound: newBound(defaultConnections), sites: map[string]*pooled{}}
}

// SetMaxConnections sets how many connections all databases may have together, at least one. It must be called before
// the first use.
func (p *Pool) SetMaxConnections(n int) { p.bound = newBound(max(1, n)) }

// DB is a site's database, opened on first use and again after the configuration named another one. It stays the pool's
// to close. The errors are frappe.ErrNoSuchSite, ErrUnavailable, ErrAccessDenied or ErrNoDatabase, wrapped with what to
// do; a failed attempt to connect isn't repeated for a second.
func (p *Pool) DB(ctx context.Context, site string) (*DB, error) {
	s, err := p.bench.Site(site)
	if err != nil {
		return nil, err
	}
	cfg, err := siteDatabase(s)
	if err != nil {
		return nil, err
	}
	e, err := p.entry(site)
	if err != nil {
		return nil, err
	}
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("site %s: open the database: %w", site, context.Cause(ctx))
	}
	defer func() { <-e.turn }()
	return e.open(ctx, s, cfg, p.bound)
}

func (p *Pool) entry(site string) (*pooled, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("site %s: %w", site, errPoolClosed)
	}
	e := p.sites[site]
	if e == nil {
		e = &pooled{turn: make(chan struct{}, 1)}
		p.sites[site] = e
	}
	return e, nil
}

// open needs e.turn.
func (e *pooled) open(ctx context.Context, site *frappe.Site, cfg databaseConfig, b *bound) (*DB, error) {
	same := e.key == cfg.key()
	switch {
	case e.closed:
		return nil, fmt.Errorf("site %s: %w", site.Name, errPoolClosed)
	case same && e.db != nil:
		e.db.refreshZone(ctx)
		return e.db, nil
	case same && e.failed != nil && time.Since(e.failedAt) < reconnectPause:
		return nil, e.failed
	}
	db, err := openDB(ctx, site, cfg, b)
	if e.db != nil {
		go e.db.Close()
	}
	e.db, e.key = db, cfg.key()
	if ctx.Err() == nil && !errors.Is(err, ErrConnections) {
		e.failed, e.failedAt = err, time.Now()
	}
	return db, err
}

// Close closes the databases of all sites. The pool can't be used afterwards.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, e := range p.sites {
		e.turn <- struct{}{}
		e.closed = true
		if e.db != nil {
			errs = append(errs, e.db.Close())
		}
		<-e.turn
	}
	clear(p.sites)
	return errors.Join(errs...)
}

// attachment is a table of Frappe's that keeps rows about any document, in columns that name its DocType and itself.
type attachment struct{ table, doctype, name string }
