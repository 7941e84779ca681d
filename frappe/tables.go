package frappe

import (
	"context"
	"errors"
	"sync"
)

// tableInfo is what a table really looks like. An app's own DocType may lack columns that ours has, or have wider ones.
type tableInfo struct {
	columns map[string]columnInfo
}

type columnInfo struct {
	Table string `db:"table_name"`
	Name  string `db:"column_name"`
	Chars int64  `db:"chars"` // limit in characters, 0 for types that aren't text
	Bytes int64  `db:"bytes"`
	Kind  string `db:"kind"` // data_type: varchar, text, longtext, int, …
}

func (t *tableInfo) has(column string) bool {
	_, ok := t.columns[column]
	return ok
}

// tableCache remembers tables that exist; one that is missing is looked for again each time.
type tableCache struct {
	mu     sync.Mutex
	tables map[string]*tableInfo
}

func (c *tableCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tables = nil
}

var errNoColumns = errors.New("the table doesn't exist")

// table describes an existing table; ErrTableMissing when it doesn't exist.
func (d *DB) table(ctx context.Context, name string) (*tableInfo, error) {
	d.tables.mu.Lock()
	t := d.tables.tables[name]
	d.tables.mu.Unlock()
	if t != nil {
		return t, nil
	}
	var columns []columnInfo
	err := d.read(ctx, "look at `"+name+"`", func(ctx context.Context) error {
		columns = nil
		return d.x.SelectContext(ctx, &columns, `SELECT table_name AS table_name, column_name AS column_name, COALESCE(character_maximum_length, 0) AS chars,
			COALESCE(character_octet_length, 0) AS bytes, data_type AS kind FROM information_schema.columns WHERE table_schema=DATABASE() AND table_name=?`, name)
	})
	if err != nil {
		return nil, err
	}
	if len(columns) == 0 {
		return nil, &dbError{site: d.site, what: "look at `" + name + "`", kind: ErrTableMissing, cause: errNoColumns, fix: "run: bridge install --site " + d.site}
	}
	t = &tableInfo{columns: map[string]columnInfo{}}
	for _, c := range columns {
		t.columns[c.Name] = c
	}
	d.tables.mu.Lock()
	defer d.tables.mu.Unlock()
	if d.tables.tables == nil {
		d.tables.tables = map[string]*tableInfo{}
	}
	d.tables.tables[name] = t
	return t, nil
}

// hasTable reports whether a table exists.
func (d *DB) hasTable(ctx context.Context, name string) (bool, error) {
	_, err := d.table(ctx, name)
	if errors.Is(err, ErrTableMissing) {
		return false, nil
	}
	return err == nil, err
}
