package rows

import (
	"context"
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

// LogErrors writes entries to the site's Error Log. Texts that are too long are cut. ErrTableMissing if the site has none.
func (d *DB) LogErrors(ctx context.Context, entries []ErrorLog) error {
	t, err := d.tables.get(ctx, tableErrorLog)
	if err != nil || len(entries) == 0 {
		return err
	}
	now := d.Now()
	names, at := hashNames(now, len(entries)), formatTime(now, d.Location())
	columns := []string{"name", "creation", "modified", "owner", "modified_by", "method", "error", "reference_doctype", "reference_name"}
	var args []any
	for i, e := range entries {
		user := systemUser(e.User)
		for j, text := range []string{names[i], at, at, user, user, e.Title, e.Error, e.Doctype, e.Name} {
			fitted, _ := t.columns[columns[j]].fit(text)
			args = append(args, nullable(fitted))
		}
	}
	_, err = d.exec(ctx, "write to the Error Log", insertInto(tableErrorLog, strings.Join(columns, ","), len(columns), len(entries)), args...)
	return d.tables.notice(err)
}
