package rows

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// selectRows reads the rows of one table; rest is what follows its name.
func selectRows[R any](ctx context.Context, c *tableCache, what, table string, columns []*column[R], rest string, args ...any) (list []*R, err error) {
	t, err := c.get(ctx, table)
	if err != nil {
		return nil, err
	}
	columns = present(t, columns, writeOnly)
	query := "SELECT " + quoteColumns(columns) + " FROM `" + table + "` " + rest
	err = c.conn.retry(ctx, what, func(ctx context.Context) error {
		found, err := c.conn.x.DB.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer found.Close()
		list, err = scanRows(found, columns, c.conn.Location())
		return err
	})
	if err != nil {
		return nil, c.notice(err)
	}
	return list, nil
}

func scanRows[R any](found *sql.Rows, columns []*column[R], loc *time.Location) (list []*R, err error) {
	texts := make([]sql.RawBytes, len(columns))
	to := make([]any, len(columns))
	for i := range texts {
		to[i] = &texts[i]
	}
	for found.Next() {
		if err := found.Scan(to...); err != nil {
			return nil, err
		}
		r := new(R)
		for i, c := range columns {
			if err := fromText(c.field(r), texts[i], loc); err != nil {
				return nil, fmt.Errorf("row %s: column %s: %w", texts[0], c.name, err)
			}
		}
		list = append(list, r)
	}
	return list, found.Err()
}
