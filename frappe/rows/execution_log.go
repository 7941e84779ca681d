package rows

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"
)

// LogEntry is one row of `tabJob Execution Log`.
type LogEntry struct {
	FromStatus   Status // "" at creation
	ToStatus     Status
	Timestamp    time.Time
	Actor        string // "" is the system
	Message      string
	RetryAttempt int // the row's retry_count before the move
}

// The messages of the log rows that this package writes by itself.
const (
	MessageCreated  = "Job created"
	MessageEnqueued = "Job enqueued"
)

// History reads a job's log, oldest first.
func (d *DB) History(ctx context.Context, name string) ([]LogEntry, error) {
	var rows []struct {
		From      sql.NullString `db:"from_status"`
		To        sql.NullString `db:"to_status"`
		Timestamp sql.NullString `db:"timestamp"`
		Actor     sql.NullString `db:"actor"`
		Message   sql.NullString `db:"message"`
		Attempt   sql.NullInt64  `db:"retry_attempt"`
	}
	err := d.read(ctx, "read the history of "+name, func(ctx context.Context) error {
		rows = nil
		return d.x.SelectContext(ctx, &rows, "SELECT from_status,to_status,`timestamp`,actor,message,retry_attempt FROM `"+tableLog+
			"` WHERE background_job=? ORDER BY `timestamp`,creation,name", name)
	})
	if err != nil {
		return nil, err
	}
	entries := make([]LogEntry, 0, len(rows))
	for _, r := range rows {
		at, err := parseTime(r.Timestamp.String, d.Location())
		if err != nil {
			return nil, d.explain("read the history of "+name, err)
		}
		entries = append(entries, LogEntry{Status(r.From.String), Status(r.To.String), at, r.Actor.String, r.Message.String, int(r.Attempt.Int64)})
	}
	return entries, nil
}

// logRow is a log row to be written.
type logRow struct {
	job, organization, from, to, actor, message string
	at                                          string // naive, in the site's zone
	attempt                                     int
}

// logInsert builds the one statement that writes several log rows.
func logInsert(t *tableInfo, names []string, rows []logRow) (string, []any) {
	columns := "name,creation,modified,modified_by,owner,background_job,from_status,to_status,`timestamp`,actor,message,retry_attempt"
	one := "(" + marks(12)
	organization := t.has("organization")
	if organization {
		columns += ",organization"
		one += ",?"
	}
	one += ")"
	var b strings.Builder
	b.Grow(len(columns) + 64 + len(rows)*(len(one)+1))
	b.WriteString("INSERT INTO `" + tableLog + "` (" + columns + ") VALUES ")
	args := make([]any, 0, len(rows)*13)
	for i, r := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(one)
		user := systemUser(r.actor)
		message, _ := t.columns["message"].fit(r.message)
		args = append(args, names[i], r.at, r.at, user, user, r.job, nullable(r.from), r.to, r.at, nullable(r.actor), nullable(message), r.attempt)
		if organization {
			args = append(args, nullable(r.organization))
		}
	}
	return b.String(), args
}

// insertLog writes log rows, at least one, in as few statements as their size allows, and returns the name of the
// first.
func insertLog(ctx context.Context, tx *sql.Tx, t *tableInfo, now time.Time, rows []logRow) (first string, err error) {
	names := hashNames(now, len(rows))
	first = names[0]
	for len(rows) > 0 {
		n, size := 0, 0
		for n < len(rows) && n < 2*maxBatch && (n == 0 || size < maxStatement) {
			size += len(rows[n].message)
			n++
		}
		query, args := logInsert(t, names[:n], rows[:n])
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return "", err
		}
		names, rows = names[n:], rows[n:]
	}
	return first, nil
}

// logExists answers whether a transaction that got no answer to its COMMIT has happened: log rows never change and
// their names are unique. Reading with a lock waits for the broken transaction to end one way or the other.
func (d *DB) logExists(ctx context.Context, name string) (bool, error) {
	var n int
	err := d.x.DB.QueryRowContext(ctx, "SELECT 1 FROM `"+tableLog+"` WHERE `name`=? LOCK IN SHARE MODE", name).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
