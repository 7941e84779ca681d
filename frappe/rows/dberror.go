package rows

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// Errors of the database, told apart by the server's error number. They are wrapped with what was being done. Only
// ErrValue is about what was to be written; after all others the same may be tried again.
var (
	// ErrValue: a value doesn't fit its column, or is refused by a check of this package before anything is sent.
	ErrValue = errors.New("value refused")
	// ErrTableMissing: a table that is needed isn't there (1146).
	ErrTableMissing = errors.New("table missing")
	// ErrColumnMissing: a table lacks a column that is needed (1054).
	ErrColumnMissing = errors.New("column missing")
	// ErrUnavailable: the server can't be reached, or does nothing for now: each error that isn't one of the others.
	ErrUnavailable = errors.New("database unavailable")
	// ErrBusy: rows are locked, or the statement took too long; the server is well.
	ErrBusy = errors.New("database busy")
	// ErrAccessDenied: the server refused user, password or rights.
	ErrAccessDenied = errors.New("database access denied")
	// ErrNoDatabase: the server has no schema of the site's name (1049).
	ErrNoDatabase = errors.New("no such database")
)

// Numbers that this package acts upon (MariaDB's mysqld_error.h).
const (
	errTooManyConnections = 1040
	errServerShutdown     = 1053
	errUnknownColumn      = 1054
	errDuplicateEntry     = 1062
	errNoSuchTable        = 1146
	errUserConnections    = 1203
	errLockWaitTimeout    = 1205
	errDeadlock           = 1213
	errConnectionKilled   = 1927
	errRowChanged         = 1020 // snapshot isolation of MariaDB 11.6 and later: as good as a deadlock
)

// kinds are the judgements that the server's numbers stand for. A number that isn't here passes, as ErrUnavailable does,
// and yet may be about one of the rows: see OfServer.
var kinds = map[uint16]error{
	1044: ErrAccessDenied, 1045: ErrAccessDenied, 1698: ErrAccessDenied, // user or password
	1142: ErrAccessDenied, 1143: ErrAccessDenied, 1227: ErrAccessDenied, // rights
	1049:             ErrNoDatabase,
	errUnknownColumn: ErrColumnMissing,
	errNoSuchTable:   ErrTableMissing,

	1021: ErrUnavailable, 1026: ErrUnavailable, 1030: ErrUnavailable, 1114: ErrUnavailable, // no disk
	1037: ErrUnavailable, 1038: ErrUnavailable, 1041: ErrUnavailable, 1206: ErrUnavailable, // no memory
	errTooManyConnections: ErrUnavailable, errUserConnections: ErrUnavailable, 1226: ErrUnavailable,
	1047: ErrUnavailable, errServerShutdown: ErrUnavailable, errConnectionKilled: ErrUnavailable, // Galera isn't ready; it ends
	1290: ErrUnavailable, 1792: ErrUnavailable, 1836: ErrUnavailable, // read-only
	1364: ErrUnavailable, // the table has a column that nothing here knows, without a default

	errLockWaitTimeout: ErrBusy, errDeadlock: ErrBusy, errRowChanged: ErrBusy,
	1317: ErrBusy, 1969: ErrBusy, // interrupted, longer than max_statement_time

	1048: ErrValue, // NULL for a column that takes none
	1118: ErrValue, // row larger than a page
	1153: ErrValue, // larger than max_allowed_packet
	1264: ErrValue, // number out of range
	1265: ErrValue, // data truncated
	1292: ErrValue, // no date, no number
	1300: ErrValue, // no text of the character set
	1366: ErrValue, // as above, for a column
	1367: ErrValue, // no number
	1406: ErrValue, // longer than the column
	1411: ErrValue, // no date for a function
	1452: ErrValue, // no such row for a foreign key
	1441: ErrValue, // date out of range
	1644: ErrValue, // a trigger's own refusal
	1690: ErrValue, // result out of range
	3819: ErrValue, // CHECK constraint (MySQL's number)
	4025: ErrValue, // CHECK constraint (MariaDB's), json_valid too
}

func errorNumber(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

// OfServer reports whether an error would meet any other statement as well: of a server that can't be reached or does
// nothing for now, of missing tables, of ctx. Any other may come from one of the rows that were to be written together.
func OfServer(err error) bool {
	number := errorNumber(err)
	return !errors.Is(err, ErrValue) && !errors.Is(err, ErrDependency) && !errors.Is(err, ErrBatch) && (number == 0 || kinds[number] != nil)
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

// isExplained reports whether an error says already what it is about.
func isExplained(err error) bool {
	_, known := errors.AsType[*dbError](err)
	return known || errors.Is(err, ErrConnections) || errors.Is(err, errPoolClosed)
}

// explain wraps an error with what was being done, its sentinel and what to do about it. After the end of ctx, the caller's,
// that is what there is to say: nothing is wrong with the server.
func (d *conn) explain(ctx context.Context, what string, err error) error {
	switch {
	case err == nil || isExplained(err):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("site %s: %s: %w", d.site, what, context.Cause(ctx))
	}
	e := &dbError{site: d.site, what: what, cause: err, kind: kinds[errorNumber(err)]}
	config := "sites/" + d.site + "/site_config.json"
	switch {
	case isTooLarge(err):
		e.kind = ErrValue
	case e.kind == ErrColumnMissing:
		e.fix = "run: bench --site " + d.site + " migrate"
	case e.kind == ErrAccessDenied:
		e.fix = "check db_name (Frappe 16: db_user) and db_password in " + config + ", and that this user has all rights on its own schema"
	case e.kind == ErrNoDatabase:
		e.fix = "check db_name in " + config
	case e.kind == nil && (isConnectionError(err) || isTimeout(err)):
		e.kind, e.fix = ErrUnavailable, "check that MariaDB runs at "+d.where
	case e.kind == nil:
		e.kind = ErrUnavailable
	}
	return e
}

// isTooLarge recognizes what is larger than max_allowed_packet: the driver refuses it, or sends it in pieces, which the
// server refuses with a number that means anything (1105).
func isTooLarge(err error) bool {
	return errors.Is(err, mysql.ErrPktTooLarge) || err != nil && strings.Contains(err.Error(), "'max_allowed_packet'")
}

// isTimeout recognizes a dial or statement that ran into this package's own limit, not the caller's.
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout() && !errors.Is(err, context.Canceled)
}

// dbError is what every method of DB returns for a failed statement.
type dbError struct {
	site, what, fix string
	kind            error // a sentinel
	cause           error
}

// refusedValue is where a message of the server quotes the value that it refuses.
var refusedValue = regexp.MustCompile(`(?s)(value): '.*'( for column|$)|(entry) '.*'( for key)`)

// Error shows no value, which may be a job's parameter.
func (e *dbError) Error() string {
	text := fmt.Sprintf("site %s: %s: %v: %s", e.site, e.what, e.kind, refusedValue.ReplaceAllString(e.cause.Error(), "$1$2$3$4"))
	if e.fix != "" {
		text += "; " + e.fix
	}
	return text
}

// SiteOf names the site whose database an error of this package is about; "" if it says nothing of that.
func SiteOf(err error) string {
	if e, ok := errors.AsType[*dbError](err); ok {
		return e.site
	}
	return ""
}

func (e *dbError) Unwrap() []error { return []error{e.kind, e.cause} }

// ErrDependency says that a job can't depend on what it names: a job that isn't there, or isn't of its organization, or that
// has ended without completing.
var ErrDependency = errors.New("the job can't depend on that")

// ErrBatch says that a job can't be in the batch that it names: it isn't there, not of the job's organization, or closed.
var ErrBatch = errors.New("the job can't be in that batch")
