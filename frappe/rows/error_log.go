package rows

import (
	"context"
	"database/sql"
	"strings"
)

const tableErrorLog = "tabError Log"

// ErrorLog is an entry of Frappe's Error Log, which its desk lists: what frappe.log_error writes (utils/error.py, 15.41 to
// 17), and Frappe's worker for each job that failed.
type ErrorLog struct {
	Title string // the column method: of a failed job the method that it called
	Error string // the traceback
	User  string // who it happened to; "" is the system
	// Doctype and Name are the document that it is about, a virtual one too; empty for none.
	Doctype, Name string
}

var errorLogColumns = []string{"name", "creation", "modified", "owner", "modified_by", "method", "error", "reference_doctype", "reference_name"}

// LogErrors writes entries to the site's Error Log, all or none. Texts that are too long are cut. ErrTableMissing if the
// site has none.
func (d *DB) LogErrors(ctx context.Context, entries []ErrorLog) error {
	t, err := d.tables.get(ctx, tableErrorLog)
	if err != nil || len(entries) == 0 {
		return err
	}
	now := d.Now()
	names, at := hashNames(now, len(entries)), formatTime(now, d.Location())
	lines := make([][]any, len(entries))
	for i, e := range entries {
		user := systemUser(e.User)
		for j, text := range []string{names[i], at, at, user, user, e.Title, e.Error, e.Doctype, e.Name} {
			fitted, _ := t.columns[errorLogColumns[j]].fit(text)
			lines[i] = append(lines[i], nullable(fitted))
		}
	}
	err = d.retry(ctx, "write to the Error Log", func(ctx context.Context) error {
		return d.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			return insertOnce(ctx, tx, tableErrorLog, errorLogColumns, lines)
		})
	})
	return d.tables.notice(err)
}

// insertOnce writes rows, or leaves those that are there: a COMMIT that got no answer may have happened.
func insertOnce(ctx context.Context, tx *sql.Tx, table string, columns []string, lines [][]any) error {
	size := func(line []any) (n int) {
		for _, text := range line {
			if text, ok := text.(string); ok {
				n += len(text)
			}
		}
		return n
	}
	for some := range statements(lines, maxBatch, size) {
		var args []any
		for _, line := range some {
			args = append(args, line...)
		}
		query := insertInto(table, "`"+strings.Join(columns, "`,`")+"`", len(columns), len(some)) + " ON DUPLICATE KEY UPDATE `name`=`name`"
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return err
		}
	}
	return nil
}
