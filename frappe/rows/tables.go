package rows

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/opensoft/dartwing-bridge/frappe/internal/memo"
)

// tableInfo is what a table really looks like. An app's own DocType may lack columns that ours has, or have wider ones.
type tableInfo struct {
	columns map[string]columnInfo
}

type columnInfo struct {
	Table    string `db:"table_name"`
	Name     string `db:"column_name"`
	Chars    int64  `db:"chars"` // limit in characters, 0 for types that aren't text
	Bytes    int64  `db:"bytes"`
	Charset  string `db:"charset"` // "" for types that aren't text
	Kind     string `db:"kind"`    // data_type: varchar, text, longtext, int, …
	Type     string `db:"type"`    // column_type: int(11) unsigned, enum('a','b'), …
	Digits   int    `db:"digits"`  // of a decimal, Scale of them behind the point
	Scale    int    `db:"scale"`
	Nullable bool   `db:"nullable"`
}

func (t *tableInfo) has(column string) bool {
	_, ok := t.columns[column]
	return ok
}

// tableCache remembers tables that exist; one that is missing is looked for again each time.
type tableCache struct {
	conn   *conn
	tables memo.Memo[*tableInfo]
}

// notice makes the next statement look at the tables anew after one of them lost a column.
func (c *tableCache) notice(err error) error {
	if n := errorNumber(err); n == errUnknownColumn || n == errNoSuchTable {
		c.tables.Forget()
	}
	return err
}

// get describes an existing table; ErrTableMissing when it doesn't exist.
func (c *tableCache) get(ctx context.Context, name string) (*tableInfo, error) {
	return c.tables.Get(ctx, name, math.MaxInt64, func() (*tableInfo, error) {
		what := "look at `" + name + "`"
		columns, err := selectAll[columnInfo](ctx, c.conn, what, `SELECT table_name AS table_name, column_name AS column_name, COALESCE(character_maximum_length, 0) AS chars,
			COALESCE(character_octet_length, 0) AS bytes, COALESCE(character_set_name, '') AS charset, data_type AS kind, column_type AS type,
			COALESCE(numeric_precision, 0) AS digits, COALESCE(numeric_scale, 0) AS scale, is_nullable='YES' AS nullable FROM information_schema.columns WHERE table_schema=DATABASE() AND table_name=?`, name)
		if err != nil {
			return nil, err
		}
		if len(columns) == 0 {
			return nil, &dbError{site: c.conn.site, what: what, kind: ErrTableMissing, cause: fmt.Errorf("the site has no table `%s`", name)}
		}
		t := &tableInfo{columns: map[string]columnInfo{}}
		for _, column := range columns {
			t.columns[column.Name] = column
		}
		return t, nil
	})
}

// ofJobs describes the tables of Background Jobs and of their log.
func (c *tableCache) ofJobs(ctx context.Context) (job, log *tableInfo, err error) {
	if job, err = c.get(ctx, tableJob); err == nil {
		log, err = c.get(ctx, tableLog)
	}
	return job, log, err
}

func (c *tableCache) has(ctx context.Context, names ...string) (bool, error) {
	for _, name := range names {
		if _, err := c.get(ctx, name); errors.Is(err, ErrTableMissing) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return true, nil
}
