package rows

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// maxName is how many characters the name of a document has at most: those of Frappe's column.
const maxName = 140

// isName reports whether a text may be the name of a document. What can't be is not asked for: a server that refuses one
// text refuses the query of all.
func isName(s string) bool {
	return s != "" && len(s) <= maxName*utf8.UTFMax && utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxName
}

// spelledKept is how long it may stay unseen that a document was made, renamed or deleted.
const spelledKept = 2 * time.Second

// Spelled gives the names of documents as the database has them, by how they were asked for: its collation takes case,
// spaces at the end and more for the same. The name of a document that doesn't exist is not in the map. Cached for 2 s, so
// that neither many names nor the same ones again and again become many queries.
func (d *DB) Spelled(ctx context.Context, doctype string, asked []string) (map[string]string, error) {
	key := func(name string) string { return doctype + ":" + name }
	var keys []string
	for _, name := range asked {
		if isName(name) {
			keys = append(keys, key(name))
		}
	}
	found, err := d.spelled.GetMany(keys, spelledKept, func(missing []string) (map[string]string, error) {
		for i, k := range missing {
			missing[i] = strings.TrimPrefix(k, doctype+":")
		}
		there, err := d.spell(ctx, "tab"+doctype, missing)
		all := make(map[string]string, len(missing))
		for _, name := range missing {
			all[key(name)] = there[name]
		}
		return all, err
	})
	names := make(map[string]string, len(found))
	for _, name := range asked {
		if there := found[key(name)]; there != "" {
			names[name] = there
		}
	}
	return names, err
}

// spell asks the database for names: which row answers to which name only its collation can tell.
func (d *DB) spell(ctx context.Context, table string, asked []string) (map[string]string, error) {
	found, err := d.Each(ctx, "look up names in `"+table+"`", "SELECT `name` FROM `"+table+"` WHERE `name`=?", len(asked),
		func(i int) []any { return []any{asked[i]} })
	names := make(map[string]string, len(found))
	for i, name := range found {
		names[asked[i]] = name
	}
	return names, err
}

// maxUnion is how many questions one statement has.
const maxUnion = 100

// Each asks the same question, a SELECT of one column, with n sets of arguments, in as few statements as their number
// allows. Of each that finds a row the first one's value is in the map, by the number of its arguments; none may be NULL.
func (d *DB) Each(ctx context.Context, what, question string, n int, args func(i int) []any) (map[int]string, error) {
	type answer struct {
		Asked int            `db:"asked"`
		Found sql.NullString `db:"found"`
	}
	found := map[int]string{}
	for start := 0; start < n; start += maxUnion {
		var parts []string
		var all []any
		for i := start; i < min(start+maxUnion, n); i++ {
			parts = append(parts, fmt.Sprintf("SELECT %d AS asked, (%s LIMIT 1) AS found", i, question))
			all = append(all, args(i)...)
		}
		answers, err := selectAll[answer](ctx, &d.conn, what, strings.Join(parts, " UNION ALL "), all...)
		if err != nil {
			return nil, d.tables.notice(err)
		}
		for _, a := range answers {
			if a.Found.Valid {
				found[a.Asked] = a.Found.String
			}
		}
	}
	return found, nil
}
