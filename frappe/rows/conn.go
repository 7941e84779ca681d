package rows

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	lockWait         = 5 * time.Second  // Frappe's own is 50 s: a sidecar that waits so long for a desk save holds up others
	statementTimeout = 60 * time.Second // for one attempt at one operation; DDL is exempt
	zoneRefresh      = time.Minute
	maxDeadlocks     = 8
	maxLockWaits     = 2
	maxReconnects    = 2
)

// conn is connections to a site's database within a bound, and what is known of its server.
type conn struct {
	database
	major int    // Frappe's, 0 when unknown
	where string // address, for messages
	log   *slog.Logger

	loc      atomic.Pointer[time.Location]
	zoneRead atomic.Int64 // unix seconds of the last look
}

// open connects, and looks what kind of server is there.
func (d *conn) open(ctx context.Context, cfg databaseConfig) error {
	if err := d.connectAs(cfg.driver); err != nil {
		return err
	}
	var server struct {
		Version string `db:"version"`
		Binlog  string `db:"binlog"`
	}
	err := d.use(ctx, func(ctx context.Context) error {
		return d.x.GetContext(ctx, &server, "SELECT VERSION() AS version, IF(@@log_bin, @@binlog_format, '') AS binlog")
	})
	if err == nil {
		err = d.checkVersion(server.Version)
	} else {
		err = d.explain(ctx, "connect", err)
	}
	if err != nil || server.Binlog != "STATEMENT" {
		return err
	}
	// Such a server refuses writes without gap locks (1665); with them there are more deadlocks, which are tried again.
	as := cfg.driver.Clone()
	as.Params["tx_isolation"] = "'REPEATABLE-READ'"
	d.bound.rest(&d.database)
	return d.connectAs(as)
}

// connectAs says how connections are made from now on.
func (d *conn) connectAs(cfg *mysql.Config) error {
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return fmt.Errorf("site %s: database settings: %w", d.site, err)
	}
	d.connector = connector
	return nil
}

// use runs op, which may use d.x, for statementTimeout at most, when d's turn has come.
func (d *conn) use(ctx context.Context, op func(context.Context) error) error {
	leave, err := d.bound.enter(ctx, &d.database)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return op(ctx)
}

// checkVersion refuses servers that lack INSERT … RETURNING (10.5) or SKIP LOCKED (10.6). Frappe 15 asks for 10.6 too.
func (d *conn) checkVersion(version string) error {
	var major, minor int
	_, err := fmt.Sscanf(strings.TrimPrefix(version, "5.5.5-"), "%d.%d", &major, &minor)
	if err != nil || !strings.Contains(version, "MariaDB") || major < 10 || (major == 10 && minor < 6) {
		return fmt.Errorf("site %s: the database server at %s is %q; MariaDB 10.6 or later is needed", d.site, d.where, version)
	}
	return nil
}

// readZone takes over System Settings time_zone. A database that has no such table yet keeps Frappe's default.
func (d *conn) readZone(ctx context.Context) error {
	var name sql.NullString
	err := d.use(ctx, func(ctx context.Context) error {
		return d.x.GetContext(ctx, &name, "SELECT value FROM tabSingles WHERE doctype='System Settings' AND field='time_zone' LIMIT 1")
	})
	if err != nil && !errors.Is(err, sql.ErrNoRows) && errorNumber(err) != errNoSuchTable {
		return d.explain(ctx, "read the time zone", err)
	}
	zone := cmp.Or(strings.TrimSpace(name.String), defaultZone)
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return fmt.Errorf("site %s: System Settings time_zone %q is not a time zone; choose one in the desk: %w", d.site, zone, err)
	}
	d.loc.Store(loc)
	d.zoneRead.Store(time.Now().Unix())
	return nil
}

// refreshZone looks again once a minute; what it can't read stays as it was.
func (d *conn) refreshZone(ctx context.Context) {
	last := d.zoneRead.Load()
	now := time.Now().Unix()
	if now-last < int64(zoneRefresh/time.Second) || !d.zoneRead.CompareAndSwap(last, now) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := d.readZone(ctx); err != nil {
		d.log.Warn("time zone not refreshed", "site", d.site, "error", err)
	}
}

// Now is the current time in the site's zone, to the microsecond and never on a full second.
func (d *conn) Now() time.Time { return siteNow(d.Location()) }

// Location is the site's time zone.
func (d *conn) Location() *time.Location { return d.loc.Load() }

// retry uses d with op, which must be repeatable and must not use d again, until it succeeds or met too much trouble. An
// error it explained is final.
func (d *conn) retry(ctx context.Context, what string, op func(context.Context) error) error {
	var deadlocks, waits, reconnects int
	for {
		err := d.use(ctx, op)
		switch n := errorNumber(err); {
		case err == nil || ctx.Err() != nil || isExplained(err):
			return d.explain(ctx, what, err)
		case n == errDeadlock || n == errRowChanged:
			deadlocks++
		case n == errLockWaitTimeout:
			waits++
		case isConnectionError(err):
			reconnects++
		default:
			return d.explain(ctx, what, err)
		}
		if deadlocks > maxDeadlocks || waits >= maxLockWaits || reconnects > maxReconnects {
			return d.explain(ctx, what, err)
		}
		pause(ctx, deadlocks+waits+reconnects)
	}
}

func (d *conn) exec(ctx context.Context, what, query string, args ...any) (n int64, err error) {
	err = d.retry(ctx, what, func(ctx context.Context) error {
		result, err := d.x.ExecContext(ctx, query, args...)
		if err == nil {
			n, err = result.RowsAffected()
		}
		return err
	})
	return n, err
}

func selectAll[T any](ctx context.Context, d *conn, what, query string, args ...any) (list []T, err error) {
	err = d.retry(ctx, what, func(ctx context.Context) error {
		list = nil
		return d.x.SelectContext(ctx, &list, query, args...)
	})
	return list, err
}

// pause waits a few milliseconds, more at each turn, and never the same for two who collided.
func pause(ctx context.Context, turn int) {
	longest := 4 * time.Millisecond << min(turn, 6)
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(longest))) + time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// ErrOutcomeUnknown says that the connection broke while COMMIT was under way: the transaction may have happened.
var ErrOutcomeUnknown = errors.New("connection lost during commit")

func (d *conn) inTx(ctx context.Context, fn func(context.Context, *sql.Tx) error) error {
	tx, err := d.x.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // also of a panic; after COMMIT it does nothing, and a broken connection does it by itself
	if err := fn(ctx, tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		if isConnectionError(err) || ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
		}
		return err
	}
	return nil
}
