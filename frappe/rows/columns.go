package rows

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// column describes one column of a table whose rows are R. Reading, creating and changing a row know no more of it.
type column[R any] struct {
	name  string
	use   use
	order int // its place among the columns of its table
	// optional says that a transition leaves it out where the table, an app's own, lacks it.
	optional bool
	read     string // what is selected, if not the column as it is
	// field points into a row. Its type says how the column is kept: text, of which the empty one is NULL (*string,
	// *Status); numbers, which are never NULL (*int, *bool, *float64 for a percentage); an instant, of which the zero
	// one is NULL (*time.Time); JSON, of which nil is NULL (*json.RawMessage).
	field func(*R) any
}

// use says when a column is read and written, beside the transitions that set it.
type use int

const (
	reads   use = 1 << iota // with every row
	creates                 // written at creation, where its default stands otherwise
)

// columnsOf are the columns that the fields of R have in their tag db, and then some more. The tag is the column's name and
// options: created is written at creation, unread isn't read with a row, optional may be missing.
func columnsOf[R any](more ...*column[R]) []*column[R] {
	var list []*column[R]
	for f := range reflect.TypeFor[R]().Fields() {
		options := strings.Split(f.Tag.Get("db"), ",")
		if options[0] == "-" {
			continue
		}
		c := &column[R]{name: options[0], field: func(r *R) any { return reflect.ValueOf(r).Elem().FieldByIndex(f.Index).Addr().Interface() }}
		if !slices.Contains(options, "unread") {
			c.use |= reads
		}
		if slices.Contains(options, "created") {
			c.use |= creates
		}
		c.optional = slices.Contains(options, "optional")
		list = append(list, c)
	}
	list = append(list, more...)
	for i, c := range list {
		c.order = i
	}
	return list
}

type jobColumn = column[BackgroundJob]

// jobColumns are all columns of Background Job that this package knows.
var jobColumns = columnsOf(
	&jobColumn{name: "naming_series", use: creates, field: func(*BackgroundJob) any { return &jobSeriesOption }},
)

// Columns that have a part of their own in some statement.
var (
	colName       = columnNamed("name")
	colStatus     = columnNamed("status")
	colModified   = columnNamed("modified")
	colFence      = &jobColumn{name: "started_at", use: reads, field: func(j *BackgroundJob) any { return &j.StartedRaw }}
	colParameters = columnNamed("input_parameters")
	colLogTail    = columnNamed("log_tail")
	colWaitingFor = columnNamed("waiting_for")
	colModifiedBy = columnNamed("modified_by")
	colRunAfter   = columnNamed("run_after")
	colAsOf       = &jobColumn{name: "modified", use: reads, field: func(j *BackgroundJob) any { return &j.ModifiedRaw }}
)

// columnNamed is the first column of that name.
func columnNamed(name string) *jobColumn {
	return jobColumns[slices.IndexFunc(jobColumns, func(c *jobColumn) bool { return c.name == name })]
}

// Job has a column for each field of a Background Job that a transition may set; To gives a Value for its Set.
var Job struct {
	Organization, OwnerUser, Priority, DependsOn, Batch, JobHash          Column[string]
	ProgressMessage, OutputReference, ErrorMessage, ErrorType, CanceledBy Column[string]
	// WaitingFor and LogTail are left out where the DocType, an app's own, has no such field.
	WaitingFor, LogTail                                        Column[string]
	RetryCount, MaxRetries, TimeoutSeconds                     Column[int]
	Progress                                                   Column[float64] // percent, clamped to 0–100
	InputParameters                                            Column[json.RawMessage]
	CreatedAt, NextRetryAt, StartedAt, CompletedAt, CanceledAt Column[time.Time]
}

// The columns of Job are those of the fields of the same name.
func init() {
	for f, to := range reflect.ValueOf(&Job).Elem().Fields() {
		of, _ := reflect.TypeFor[BackgroundJob]().FieldByName(f.Name)
		to.Addr().Interface().(interface{ describe(*jobColumn) }).describe(jobColumns[of.Index[0]])
	}
}

// Column is a column that a transition may set to a T. The zero time and the empty string are NULL. Text that is too
// long for its column is cut, and reported in TransitionResult.Cut.
type Column[T any] struct{ column *jobColumn }

// Value is what a transition sets a column to; Column.To makes one.
type Value struct {
	column *jobColumn
	to     any // pointer to a T
}

// To is the column with the value that it shall get.
func (c Column[T]) To(v T) Value { return Value{c.column, &v} }

// describe panics where the row's field is no T.
func (c *Column[T]) describe(column *jobColumn) {
	_ = column.field(new(BackgroundJob)).(*T)
	c.column = column
}

// IsText reports whether the column takes text of any content.
func (v Value) IsText() bool {
	_, text := v.to.(*string)
	return text
}

// Column is the column's name in the table.
func (v Value) Column() string { return v.column.name }

// Apply sets the value in a row that the caller holds, as the transition does in the table.
func (v Value) Apply(j *BackgroundJob) {
	field := v.column.field(j)
	reflect.ValueOf(field).Elem().Set(reflect.ValueOf(v.to).Elem())
	if percent, ok := field.(*float64); ok {
		*percent = clampPercent(*percent)
	}
}

// present are the columns of one use that a table has, which may lack some.
func present[R any](t *tableInfo, columns []*column[R], of use) []*column[R] {
	return slices.DeleteFunc(slices.Clone(columns), func(c *column[R]) bool { return c.use&of == 0 || !t.has(c.name) })
}

// fromText gives a field what its column holds; nil is NULL.
func fromText(field any, text sql.RawBytes, loc *time.Location) (err error) {
	if text == nil {
		return nil
	}
	switch field := field.(type) {
	case *string:
		*field = string(text)
	case *Status:
		*field = Status(text)
	case *bool:
		*field = string(text) != "0"
	case *int:
		*field, err = strconv.Atoi(string(text))
	case *float64:
		*field, err = strconv.ParseFloat(string(text), 64)
	case *time.Time:
		*field, err = parseTime(string(text), loc)
	case *json.RawMessage:
		*field = slices.Clone([]byte(text))
	}
	return err
}

// forDriver is a field as the driver writes it: string, int64, float64 or nil.
func forDriver(field any, loc *time.Location) any {
	switch field := field.(type) {
	case *string:
		return nullable(*field)
	case *Status:
		return string(*field)
	case *bool:
		if *field {
			return int64(1)
		}
		return int64(0)
	case *int:
		return int64(*field)
	case *float64:
		return clampPercent(*field)
	case *time.Time:
		if field.IsZero() {
			return nil
		}
		return formatTime(*field, loc)
	case *json.RawMessage:
		return nullable(string(*field))
	}
	return nil
}

// clampPercent keeps a progress where a progress bar can show it; NaN is 0.
func clampPercent(f float64) float64 {
	if !(f > 0) {
		return 0
	}
	return min(f, 100)
}

// selectRows reads the rows of one table; rest is what follows its name.
func selectRows[R any](ctx context.Context, c *tableCache, what, table string, columns []*column[R], rest string, args ...any) (list []*R, err error) {
	t, err := c.get(ctx, table)
	if err != nil {
		return nil, err
	}
	columns = present(t, columns, reads)
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
