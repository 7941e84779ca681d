package rows

import (
	"context"
	"fmt"
	"slices"
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

// maxUnion is how many names one statement looks up one by one.
const maxUnion = 100

// spell asks the database for names. Which row answers to which name only its collation can tell, so each is looked up by
// a part of the statement.
func (d *DB) spell(ctx context.Context, table string, asked []string) (map[string]string, error) {
	type answer struct {
		Asked int    `db:"asked"`
		Name  string `db:"name"`
	}
	names := make(map[string]string, len(asked))
	for some := range slices.Chunk(asked, maxUnion) {
		var query []string
		for i := range some {
			query = append(query, fmt.Sprintf("SELECT %d AS asked, `name` FROM `%s` WHERE `name`=?", i, table))
		}
		answers, err := selectAll[answer](ctx, &d.conn, "look up names in `"+table+"`", strings.Join(query, " UNION ALL "), anys(some)...)
		if err != nil {
			return nil, d.tables.notice(err)
		}
		for _, a := range answers {
			names[some[a.Asked]] = a.Name
		}
	}
	return names, nil
}
