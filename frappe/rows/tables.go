package rows

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/opensoft/dartwing-bridge/frappe/internal/memo"
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
			COALESCE(character_octet_length, 0) AS bytes, data_type AS kind FROM information_schema.columns WHERE table_schema=DATABASE() AND table_name=?`, name)
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

// cutMark stands at the end of text that was too long for its column.
const cutMark = "…"

// fit makes text acceptable to its column: valid UTF-8, and not longer than the column, cut between characters with a
// mark. MariaDB would refuse both with an error that takes the whole transaction along.
func (c columnInfo) fit(s string) (fitted string, cut bool) {
	s = strings.ToValidUTF8(s, "\uFFFD")
	switch c.Kind {
	case "varchar", "char":
		return cutRunes(s, int(c.Chars))
	case "tinytext", "text", "mediumtext", "longtext":
		return cutBytes(s, int(c.Bytes))
	}
	return s, false
}

// Data is what a field of Frappe's type Data, 140 characters, keeps of a text.
func Data(text string) string {
	kept, _ := columnInfo{Kind: "varchar", Chars: 140}.fit(text)
	return kept
}

func cutRunes(s string, limit int) (string, bool) {
	if len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s, false
	}
	return string([]rune(s)[:max(limit, 1)-1]) + cutMark, true
}

func cutBytes(s string, limit int) (string, bool) {
	if len(s) <= limit {
		return s, false
	}
	end := limit - len(cutMark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + cutMark, true
}
