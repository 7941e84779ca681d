package rows

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

const (
	maxBatch = 200 // rows of one transaction
	// maxStatement is how much text one INSERT carries; max_allowed_packet is 16 MiB by default.
	maxStatement = 4 << 20
	maxIn        = 500 // keeps a list of names below the size at which MariaDB turns it into a temporary table
)

func inChunks(names []string, f func([]string) error) error {
	for chunk := range slices.Chunk(names, maxIn) {
		if err := f(chunk); err != nil {
			return err
		}
	}
	return nil
}

// statements cuts rows into pieces for one statement: at most most of them, and at most maxStatement bytes unless one row
// alone has more.
func statements[R any](rows []R, most int, size func(R) int) iter.Seq[[]R] {
	return func(yield func([]R) bool) {
		for len(rows) > 0 {
			n, bytes := 1, size(rows[0])
			for ; n < len(rows) && n < most; n++ {
				if bytes += size(rows[n]); bytes > maxStatement {
					break
				}
			}
			if !yield(rows[:n]) {
				return
			}
			rows = rows[n:]
		}
	}
}

func anys[T any](list []T) []any {
	args := make([]any, len(list))
	for i, v := range list {
		args[i] = v
	}
	return args
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

// insertInto is a statement that writes n rows of so many columns.
func insertInto(table, columns string, width, n int) string {
	row := "(" + marks(width) + ")"
	return "INSERT INTO `" + table + "` (" + columns + ") VALUES " + strings.TrimSuffix(strings.Repeat(row+",", n), ",")
}

// nullable is s, or NULL when it is empty.
func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func quoteColumns[R any](columns []*column[R]) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = cmp.Or(c.read, "`"+c.name+"`")
	}
	return strings.Join(names, ",")
}

// systemUser is who a row is written as when nobody in particular acts.
func systemUser(actor string) string {
	return cmp.Or(actor, "Administrator")
}
