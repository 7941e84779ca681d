package rows

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/go-sql-driver/mysql"
)

// Errors of the database, told apart by the server's error number. They are wrapped with what was being done.
var (
	// ErrTableMissing: a table that is needed isn't there (1146).
	ErrTableMissing = errors.New("table missing")
	// ErrColumnMissing: a table lacks a column that is needed (1054).
	ErrColumnMissing = errors.New("column missing")
	// ErrUnavailable: the server can't be reached, went away, or takes no more connections.
	ErrUnavailable = errors.New("database unavailable")
	// ErrAccessDenied: the server refused user, password or rights (1044, 1045, 1142, 1143, 1698).
	ErrAccessDenied = errors.New("database access denied")
	// ErrNoDatabase: the server has no schema of the site's name (1049).
	ErrNoDatabase = errors.New("no such database")
)

// Server error numbers (MariaDB's mysqld_error.h).
const (
	errTooManyConnections = 1040
	errDatabaseDenied     = 1044
	errLoginDenied        = 1045
	errUnknownDatabase    = 1049
	errServerShutdown     = 1053
	errUnknownColumn      = 1054
	errDuplicateEntry     = 1062
	errTableDenied        = 1142
	errColumnDenied       = 1143
	errNoSuchTable        = 1146
	errConnectionKilled   = 1927
	errLockWaitTimeout    = 1205
	errDeadlock           = 1213
	errQueryInterrupted   = 1317
	errSocketLoginDenied  = 1698
	errUserConnections    = 1203
	errRowChanged         = 1020 // snapshot isolation of MariaDB 11.6 and later: as good as a deadlock
	errReadOnly           = 1290 // the server is in read_only, as a replica that took over may be for a moment
)

// IsTransient reports whether the same may succeed later: after connection trouble, a lock, a server shutting down.
func IsTransient(err error) bool {
	passing := []uint16{errLockWaitTimeout, errDeadlock, errRowChanged, errQueryInterrupted, errReadOnly}
	return errors.Is(err, ErrUnavailable) || isConnectionError(err) || slices.Contains(passing, errorNumber(err))
}

func errorNumber(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

// isConnectionError reports whether the connection, rather than the statement, is what failed.
func isConnectionError(err error) bool {
	switch errorNumber(err) {
	case errTooManyConnections, errServerShutdown, errUserConnections, errConnectionKilled:
		return true
	case 0:
	default:
		return false
	}
	_, network := errors.AsType[*net.OpError](err)
	return network || errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, mysql.ErrMalformPkt) || errors.Is(err, mysql.ErrPktSync) || errors.Is(err, mysql.ErrBusyBuffer) ||
		(err != nil && err.Error() == "sql: database is closed")
}

// explain wraps an error with what was being done, its sentinel and what to do about it.
func (d *conn) explain(what string, err error) error {
	if _, known := errors.AsType[*dbError](err); known || err == nil {
		return err
	}
	e := &dbError{site: d.site, what: what, cause: err}
	switch errorNumber(err) {
	case errNoSuchTable:
		e.kind = ErrTableMissing
	case errUnknownColumn:
		e.kind, e.fix = ErrColumnMissing, "run: bench --site "+d.site+" migrate"
	case errLoginDenied, errSocketLoginDenied:
		e.kind, e.fix = ErrAccessDenied, "check db_name (Frappe 16: db_user) and db_password in sites/"+d.site+"/site_config.json"
	case errDatabaseDenied, errTableDenied, errColumnDenied:
		e.kind, e.fix = ErrAccessDenied, "grant the site's database user all rights on its own schema"
	case errUnknownDatabase:
		e.kind, e.fix = ErrNoDatabase, "check db_name in sites/"+d.site+"/site_config.json"
	}
	if e.kind == nil && (isConnectionError(err) || isTimeout(err)) {
		e.kind, e.fix = ErrUnavailable, "check that MariaDB runs at "+d.where
	}
	return e
}

// isTimeout recognizes a dial or statement that ran into this package's own limit, not the caller's.
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout() && !errors.Is(err, context.Canceled)
}

// dbError is what every method of DB returns for a failed statement.
type dbError struct {
	site, what, fix string
	kind            error // a sentinel, or nil
	cause           error
}

func (e *dbError) Error() string {
	text := fmt.Sprintf("site %s: %s: ", e.site, e.what)
	if e.kind != nil {
		text += e.kind.Error() + ": "
	}
	text += e.cause.Error()
	if e.fix != "" {
		text += "; " + e.fix
	}
	return text
}

func (e *dbError) Unwrap() []error {
	if e.kind == nil {
		return []error{e.cause}
	}
	return []error{e.kind, e.cause}
}
