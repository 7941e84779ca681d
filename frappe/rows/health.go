package rows

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Connections is how many connections the database server has open and takes at most, over all, and of this site's user.
// A Most of 0 is no limit.
type Connections struct {
	Open     int `db:"open"`
	Most     int `db:"most"`
	User     int `db:"user"`
	UserMost int `db:"user_most"`
}

// Connections asks the server.
func (d *DB) Connections(ctx context.Context) (c Connections, err error) {
	// A user without the right PROCESS sees only its own connections in the processlist, which is what is counted.
	err = d.retry(ctx, "count connections", func(ctx context.Context) error {
		return d.x.GetContext(ctx, &c, `SELECT (SELECT CAST(variable_value AS INT) FROM information_schema.global_status WHERE variable_name='THREADS_CONNECTED') AS open,
			@@global.max_connections AS most, @@session.max_user_connections AS user_most,
			(SELECT COUNT(*) FROM information_schema.processlist WHERE user=SUBSTRING_INDEX(CURRENT_USER(),'@',1)) AS user`)
	})
	return c, err
}

// Overdue counts the retries that were due before a moment and haven't been made, and says when the first was due.
func (d *DB) Overdue(ctx context.Context, before time.Time) (n int, first time.Time, err error) {
	var found struct {
		N     int            `db:"n"`
		First sql.NullString `db:"first"`
	}
	err = d.retry(ctx, "count overdue retries", func(ctx context.Context) error {
		return d.x.GetContext(ctx, &found, "SELECT COUNT(*) AS n, DATE_FORMAT(MIN(`next_retry_at`),'%Y-%m-%d %H:%i:%s') AS first FROM `"+tableJob+
			"` WHERE `status` IN (?,?) AND `next_retry_at`<?", string(StatusFailed), string(StatusTimedOut), formatTime(before, d.Location()))
	})
	if err == nil && found.First.Valid {
		first, err = time.ParseInLocation(time.DateTime, found.First.String, d.Location())
	}
	return found.N, first, err
}

// undescribed names those of the tables that exist without a DocType: Frappe's desk can't show them, and
// `bench trim-database` drops them. On a database without Frappe there are none.
func (d *DB) undescribed(ctx context.Context, types []docType) (problems []TableProblem, err error) {
	if has, err := d.Frappe(ctx); !has || err != nil {
		return nil, err
	}
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Name
	}
	described, err := d.Strings(ctx, "look for DocTypes", "SELECT `name` FROM `tabDocType` WHERE `name` IN ("+marks(len(names))+")", anys(names)...)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, name := range described {
		known[name] = true
	}
	for _, t := range types {
		_, err := d.tables.get(ctx, t.table())
		switch {
		case errors.Is(err, ErrTableMissing), err == nil && known[t.Name]:
			continue
		case err != nil:
			return nil, err
		}
		problems = append(problems, TableProblem{
			Table: t.table(), Problem: "no DocType describes the table: the desk can't show it, and bench trim-database drops it",
			Install: true,
		})
	}
	return problems, nil
}
