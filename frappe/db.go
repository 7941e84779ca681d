package frappe

import (
	"errors"
	"time"
)

var errNotBuilt = errors.New("not built yet")

// DB is a site's database: a small pool of connections, and the rows the bridge reads and writes. Safe for concurrent use.
type DB struct{ loc *time.Location }

// Errors of the database, told apart by the server's error number. They are wrapped with what was being done.
var (
	// ErrTableMissing: a table the bridge needs isn't there (1146).
	ErrTableMissing = errors.New("table missing")
	// ErrUnavailable: the server can't be reached, or went away.
	ErrUnavailable = errors.New("database unavailable")
	// ErrAccessDenied: the server refused user, password or rights (1044, 1045, 1142, 1143).
	ErrAccessDenied = errors.New("database access denied")
)

// IsTransient reports whether trying the same again later may succeed: connection trouble, deadlock, lock wait timeout,
// too many connections, server shutting down.
func IsTransient(err error) bool { return errors.Is(err, ErrUnavailable) }

// Now is the current time in the site's zone, to the microsecond and never on a full second.
func (d *DB) Now() time.Time { return time.Now().In(d.loc) }

// Location is the site's time zone.
func (d *DB) Location() *time.Location { return d.loc }
