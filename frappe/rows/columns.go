package rows

import (
	"database/sql"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// column describes one column of a table whose rows are R. Reading, creating and changing a row know no more of it.
type column[R any] struct {
	name  string
	use   use
	order int // its place among the columns of its table
	// field points into a row. Its type says how the column is kept: text, of which the empty one is NULL (*string,
	// *Status); numbers, which are never NULL (*int, *bool, *float64 for a percentage); an instant, of which the zero
	// one is NULL (*time.Time); JSON, of which nil is NULL (*json.RawMessage).
	field func(*R) any
}

// use says when a column is read and written, beside the transitions that set it.
type use int

const (
	readOnly  use = iota // at creation the column's default stands
	created              // written at creation, and read
	writeOnly            // written at creation, never read
)

func newColumn[R, T any](name string, u use, field func(*R) *T) *column[R] {
	return &column[R]{name: name, use: u, field: func(r *R) any { return field(r) }}
}

type jobColumn = column[BackgroundJob]

func jobCol[T any](name string, u use, field func(*BackgroundJob) *T) *jobColumn {
	return newColumn(name, u, field)
}

// Columns that have a part of their own in some statement.
var (
	colName       = jobCol("name", created, func(j *BackgroundJob) *string { return &j.Name })
	colStatus     = jobCol("status", created, func(j *BackgroundJob) *Status { return &j.Status })
	colModified   = jobCol("modified", created, func(j *BackgroundJob) *time.Time { return &j.Modified })
	colModifiedBy = jobCol("modified_by", writeOnly, func(j *BackgroundJob) *string { return &j.OwnerUser })
)

// Job has a column for each field of a Background Job that a transition may set; To gives a Value for its Set.
var Job = struct {
	Priority, DependsOn, ProgressMessage, OutputReference, ErrorMessage, ErrorType, CanceledBy Column[string]
	RetryCount, MaxRetries, TimeoutSeconds                                                     Column[int]
	Progress                                                                                   Column[float64] // percent, clamped to 0–100
	NextRetryAt, StartedAt, CompletedAt, CanceledAt                                            Column[time.Time]
}{
	Priority:        settable("priority", created, func(j *BackgroundJob) *string { return &j.Priority }),
	DependsOn:       settable("depends_on", created, func(j *BackgroundJob) *string { return &j.DependsOn }),
	Progress:        settable("progress", created, func(j *BackgroundJob) *float64 { return &j.Progress }),
	ProgressMessage: settable("progress_message", readOnly, func(j *BackgroundJob) *string { return &j.ProgressMessage }),
	OutputReference: settable("output_reference", readOnly, func(j *BackgroundJob) *string { return &j.OutputReference }),
	ErrorMessage:    settable("error_message", readOnly, func(j *BackgroundJob) *string { return &j.ErrorMessage }),
	ErrorType:       settable("error_type", readOnly, func(j *BackgroundJob) *string { return &j.ErrorType }),
	RetryCount:      settable("retry_count", created, func(j *BackgroundJob) *int { return &j.RetryCount }),
	MaxRetries:      settable("max_retries", created, func(j *BackgroundJob) *int { return &j.MaxRetries }),
	NextRetryAt:     settable("next_retry_at", readOnly, func(j *BackgroundJob) *time.Time { return &j.NextRetryAt }),
	TimeoutSeconds:  settable("timeout_seconds", created, func(j *BackgroundJob) *int { return &j.TimeoutSeconds }),
	StartedAt:       settable("started_at", readOnly, func(j *BackgroundJob) *time.Time { return &j.StartedAt }),
	CompletedAt:     settable("completed_at", readOnly, func(j *BackgroundJob) *time.Time { return &j.CompletedAt }),
	CanceledAt:      settable("canceled_at", readOnly, func(j *BackgroundJob) *time.Time { return &j.CanceledAt }),
	CanceledBy:      settable("canceled_by", readOnly, func(j *BackgroundJob) *string { return &j.CanceledBy }),
}

// jobColumns are all columns of Background Job that this package knows.
var jobColumns = numbered(slices.Concat([]*jobColumn{
	colName,
	jobCol("creation", created, func(j *BackgroundJob) *time.Time { return &j.Creation }),
	colModified,
	jobCol("modified", readOnly, func(j *BackgroundJob) *string { return &j.ModifiedRaw }),
	colModifiedBy,
	jobCol("owner", created, func(j *BackgroundJob) *string { return &j.Owner }),
	jobCol("naming_series", writeOnly, func(*BackgroundJob) *string { return &jobSeriesOption }),
	jobCol("job_type", created, func(j *BackgroundJob) *string { return &j.JobType }),
	jobCol("organization", created, func(j *BackgroundJob) *string { return &j.Organization }),
	jobCol("owner_user", created, func(j *BackgroundJob) *string { return &j.OwnerUser }),
	colStatus,
	jobCol("input_parameters", created, func(j *BackgroundJob) *json.RawMessage { return &j.InputParameters }),
	jobCol("job_hash", created, func(j *BackgroundJob) *string { return &j.JobHash }),
	jobCol("created_at", created, func(j *BackgroundJob) *time.Time { return &j.CreatedAt }),
}, settableColumns()))

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

func (c Column[T]) described() *jobColumn { return c.column }

// IsText reports whether the column takes text of any content.
func (v Value) IsText() bool {
	_, text := v.to.(*string)
	return text
}

// Column is the column's name in the table.
func (v Value) Column() string { return v.column.name }

// Apply sets the value in a row that the caller holds, as the transition does in the table.
func (v Value) Apply(j *BackgroundJob) {
	switch field := v.column.field(j).(type) {
	case *string:
		*field = *v.to.(*string)
	case *int:
		*field = *v.to.(*int)
	case *float64:
		*field = clampPercent(*v.to.(*float64))
	case *time.Time:
		*field = *v.to.(*time.Time)
	}
}

func settable[T any](name string, u use, field func(*BackgroundJob) *T) Column[T] {
	return Column[T]{newColumn(name, u, field)}
}

func settableColumns() (list []*jobColumn) {
	fields := reflect.ValueOf(Job)
	for i := range fields.NumField() {
		list = append(list, fields.Field(i).Interface().(interface{ described() *jobColumn }).described())
	}
	return list
}

func numbered[R any](columns []*column[R]) []*column[R] {
	for i, c := range columns {
		c.order = i
	}
	return columns
}

// present are the columns that a table has, which may lack some, but for those of one use.
func present[R any](t *tableInfo, columns []*column[R], but use) []*column[R] {
	return slices.DeleteFunc(slices.Clone(columns), func(c *column[R]) bool { return c.use == but || !t.has(c.name) })
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
