package rows

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strconv"
	"time"
)

// LogEntry is one row of `tabJob Execution Log`.
type LogEntry struct {
	Name         string    `db:"name" json:"-"`
	Job          string    `db:"background_job" json:"-"`
	FromStatus   Status    `db:"from_status" json:"from_status"` // "" at creation
	ToStatus     Status    `db:"to_status" json:"to_status"`
	Timestamp    time.Time `db:"timestamp" json:"timestamp"`
	Actor        string    `db:"actor" json:"actor,omitempty"` // "" is the system
	Message      string    `db:"message" json:"message"`
	RetryAttempt int       `db:"retry_attempt" json:"retry_attempt"` // the row's retry_count before the move
}

var logColumns = columnsOf[LogEntry]()

// History reads a job's log in the order in which it was written, also where local time went back meanwhile.
func (d *DB) History(ctx context.Context, name string) ([]LogEntry, error) {
	found, err := selectRows(ctx, &d.tables, "read the history of "+name, tableLog, logColumns, "WHERE background_job=? ORDER BY `timestamp`,creation,name", name)
	var entries []LogEntry
	for _, e := range found {
		e.Timestamp = e.written()
		entries = append(entries, *e)
	}
	slices.SortStableFunc(entries, func(a, b LogEntry) int { return a.Timestamp.Compare(b.Timestamp) })
	return entries, err
}

// A name says when its row was written, see hashNames, but for which round of a clock that has 29 hours.
const (
	nameRound = int64(1) << 20 // tenths of a second: four digits of base 32
	// nameSlack is how long a transaction may take from its time to its names.
	nameSlack = 30 * time.Second
)

// written is the instant of an entry. Local time alone doesn't tell it in the hour that repeats, nor after a change of
// the site's zone; it tells the round of the clock of names, and the name the hour.
func (e *LogEntry) written() time.Time {
	tenths, err := strconv.ParseInt(e.Name[:min(len(e.Name), 4)], 32, 64)
	if err != nil {
		return e.Timestamp
	}
	off := tenths - e.Timestamp.UnixMilli()/100%nameRound
	off -= nameRound * int64(math.Round(float64(off)/float64(nameRound)))
	by := time.Duration(off) * 100 * time.Millisecond
	shift := by.Round(15 * time.Minute) // zones differ by quarters of an hour
	if (by - shift).Abs() > nameSlack {
		return e.Timestamp
	}
	return e.Timestamp.Add(shift)
}

type logRow struct {
	job, organization, from, to, actor, message string
	// owner is the job's: if_owner permissions on the log then show a user the history of his own jobs. Who did it is actor.
	owner   string
	at      string // naive, in the site's zone
	attempt int
}

func logInsert(t *tableInfo, names []string, rows []logRow) (string, []any) {
	columns, width := "name,creation,modified,modified_by,owner,background_job,from_status,to_status,`timestamp`,actor,message,retry_attempt", 12
	organization := t.has("organization")
	if organization {
		columns, width = columns+",organization", width+1
	}
	args := make([]any, 0, len(rows)*width)
	fit := func(column, text string) string {
		fitted, _ := t.columns[column].fit(text)
		return fitted
	}
	for i, r := range rows {
		user := fit("modified_by", systemUser(r.actor))
		args = append(args, names[i], r.at, r.at, user, fit("owner", cmp.Or(r.owner, user)), r.job, nullable(r.from), r.to, r.at,
			nullable(fit("actor", r.actor)), nullable(fit("message", r.message)), r.attempt)
		if organization {
			args = append(args, nullable(fit("organization", r.organization)))
		}
	}
	return insertInto(tableLog, columns, width, len(rows)), args
}

// insertLog writes log rows, at least one, in few statements, and returns the name of the first.
func insertLog(ctx context.Context, tx *sql.Tx, t *tableInfo, now time.Time, rows []logRow) (first string, err error) {
	names := hashNames(now, len(rows))
	first = names[0]
	for some := range statements(rows, 2*maxBatch, func(r logRow) int { return len(r.message) }) {
		query, args := logInsert(t, names, some)
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return "", err
		}
		names = names[len(some):]
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
