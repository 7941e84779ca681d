package rows

import (
	"context"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/internal/memo"
)

// DB is a site's database: a small pool of connections, and the rows read and written there. Safe for concurrent use.
type DB struct {
	conn
	tables        tableCache
	jobTypes      memo.Memo[map[string]*JobType]
	organizations memo.Memo[*Organization]
}

// Open connects to a site's database. The errors are those of Pool.DB.
func Open(ctx context.Context, site *frappe.Site) (*DB, error) {
	cfg, err := siteDatabase(site)
	if err != nil {
		return nil, err
	}
	return openDB(ctx, site, cfg)
}

// openDB fails here, and not in the middle of a job, when a password is wrong or a server absent.
func openDB(ctx context.Context, site *frappe.Site, cfg databaseConfig) (*DB, error) {
	d := &DB{conn: conn{site: site.Name, major: site.Bench.Major, where: cfg.driver.Addr, log: site.Bench.Log}}
	d.tables.conn = &d.conn
	if err := d.open(ctx, cfg); err != nil {
		return nil, err
	}
	if err := d.readZone(ctx); err != nil {
		d.x.Close()
		return nil, err
	}
	return d, nil
}

// Close waits for the statements that are running and ends the connections.
func (d *DB) Close() error { return d.x.Close() }

// Site is the name of the site.
func (d *DB) Site() string { return d.site }

// Strings reads one column, which is never NULL, of a table that this package doesn't know; what says in errors what is
// being done. It is read again when it met a deadlock, a lock or a broken connection.
func (d *DB) Strings(ctx context.Context, what, query string, args ...any) (list []string, err error) {
	list, err = selectAll[string](ctx, &d.conn, what, query, args...)
	return list, d.tables.notice(err)
}
