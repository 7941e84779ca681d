package frappe

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"time"
)

// JobType is one row of `tabJob Type`.
type JobType struct {
	TypeName, DisplayName, Description string
	Enabled                            bool
	HandlerMethod                      string // dotted path
	RequiresPermission                 string // a DocType whose create permission the submitter needs; "" is none
	DefaultTimeout                     int    // seconds
	DefaultPriority                    string
	MaxRetries                         int
	DeduplicationWindow                int // seconds; 0 turns it off
	RateLimit                          int // jobs per user and window; 0 is none
	RateLimitWindow                    int // seconds
}

// jobTypesKept is how long a change made in the desk may stay unseen.
const jobTypesKept = 5 * time.Second

// sampleJobTypes are those of the Dartwing app (fixtures/job_type.json), which have handlers in this project too.
var sampleJobTypes = []JobType{
	{TypeName: "echo_job", DisplayName: "Echo Job", Description: "Returns its parameters at once.", Enabled: true,
		HandlerMethod:  "dartwing.dartwing_core.background_jobs.samples.execute_echo_job",
		DefaultTimeout: 30, DefaultPriority: PriorityNormal, MaxRetries: 1, DeduplicationWindow: 60, RateLimitWindow: 60},
	{TypeName: "sample_job", DisplayName: "Sample Background Job", Description: "Runs for duration seconds with progress, and fails as fail_type and fail_at_progress say.", Enabled: true,
		HandlerMethod:  "dartwing.dartwing_core.background_jobs.samples.execute_sample_job",
		DefaultTimeout: 60, DefaultPriority: PriorityNormal, MaxRetries: 3, DeduplicationWindow: 300, RateLimitWindow: 60},
	{TypeName: "long_running_job", DisplayName: "Long Running Job", Description: "Runs for duration seconds, to see a timeout.", Enabled: true,
		HandlerMethod:  "dartwing.dartwing_core.background_jobs.samples.execute_long_running_job",
		DefaultTimeout: 1800, DefaultPriority: PriorityLow, MaxRetries: 2, DeduplicationWindow: 600, RateLimitWindow: 60},
}

// jobTypeColumns are what a Job Type's table may have beside the standard columns.
var jobTypeColumns = []string{"type_name", "display_name", "description", "is_enabled", "handler_method", "requires_permission", "default_timeout",
	"default_priority", "max_retries", "deduplication_window", "rate_limit", "rate_limit_window"}

type jobTypeRow struct {
	TypeName            sql.NullString `db:"type_name"`
	DisplayName         sql.NullString `db:"display_name"`
	Description         sql.NullString `db:"description"`
	IsEnabled           sql.NullInt64  `db:"is_enabled"`
	HandlerMethod       sql.NullString `db:"handler_method"`
	RequiresPermission  sql.NullString `db:"requires_permission"`
	DefaultTimeout      sql.NullInt64  `db:"default_timeout"`
	DefaultPriority     sql.NullString `db:"default_priority"`
	MaxRetries          sql.NullInt64  `db:"max_retries"`
	DeduplicationWindow sql.NullInt64  `db:"deduplication_window"`
	RateLimit           sql.NullInt64  `db:"rate_limit"`
	RateLimitWindow     sql.NullInt64  `db:"rate_limit_window"`
}

func (r jobTypeRow) jobType() *JobType {
	t := &JobType{
		TypeName: r.TypeName.String, DisplayName: r.DisplayName.String, Description: r.Description.String, Enabled: r.IsEnabled.Int64 != 0,
		HandlerMethod: r.HandlerMethod.String, RequiresPermission: r.RequiresPermission.String, DefaultTimeout: int(r.DefaultTimeout.Int64),
		DefaultPriority: r.DefaultPriority.String, MaxRetries: int(r.MaxRetries.Int64), DeduplicationWindow: int(r.DeduplicationWindow.Int64),
		RateLimit: int(r.RateLimit.Int64), RateLimitWindow: int(r.RateLimitWindow.Int64),
	}
	if t.DefaultPriority == "" {
		t.DefaultPriority = PriorityNormal
	}
	if t.DefaultTimeout <= 0 {
		t.DefaultTimeout = defaultTimeout
	}
	if t.RateLimitWindow <= 0 {
		t.RateLimitWindow = 60
	}
	return t
}

// JobTypes reads all Job Types by type name, cached for 5 s. The map and its values are shared: don't change them.
func (d *DB) JobTypes(ctx context.Context) (map[string]*JobType, error) {
	return d.jobTypes.get(ctx, jobTypesKept, func() (map[string]*JobType, error) {
		t, err := d.table(ctx, tableJobType)
		if err != nil {
			return nil, err
		}
		var rows []jobTypeRow
		query := "SELECT " + quoteColumns(t.present(jobTypeColumns)) + " FROM `" + tableJobType + "`"
		err = d.read(ctx, "read the job types", func(ctx context.Context) error {
			rows = nil
			return d.x.SelectContext(ctx, &rows, query)
		})
		if err != nil {
			return nil, d.noticeColumns(err)
		}
		types := make(map[string]*JobType, len(rows))
		for _, r := range rows {
			types[r.TypeName.String] = r.jobType()
		}
		return types, nil
	})
}

// InsertJobTypes inserts the Job Types that don't exist yet and names those it inserted. Existing ones stay as they are.
func (d *DB) InsertJobTypes(ctx context.Context, types []JobType) (inserted []string, err error) {
	t, err := d.table(ctx, tableJobType)
	if err != nil {
		return nil, err
	}
	defer d.jobTypes.forget()
	columns := append(slices.Clone(standardColumns), t.present(jobTypeColumns)...)
	insert := "INSERT IGNORE INTO `" + tableJobType + "` (" + quoteColumns(columns) + ") VALUES (" + marks(len(columns)) + ")"
	for _, jt := range types {
		values := jt.values()
		maps.Copy(values, d.standardValues(jt.TypeName, "Administrator", formatTime(d.Now(), d.Location())))
		args := make([]any, len(columns))
		for i, c := range columns {
			args[i] = values[c]
		}
		var n int64
		err := d.retry(ctx, "insert job type "+jt.TypeName, func(ctx context.Context) error {
			r, err := d.x.ExecContext(ctx, insert, args...)
			if err != nil {
				return err
			}
			n, err = r.RowsAffected()
			return err
		})
		if err != nil {
			return inserted, err
		}
		if n > 0 {
			inserted = append(inserted, jt.TypeName)
		}
	}
	return inserted, nil
}

func (jt JobType) values() map[string]any {
	enabled := 0
	if jt.Enabled {
		enabled = 1
	}
	return map[string]any{
		"type_name": jt.TypeName, "display_name": jt.DisplayName, "description": jt.Description, "is_enabled": enabled,
		"handler_method": jt.HandlerMethod, "requires_permission": nullable(jt.RequiresPermission), "default_timeout": jt.DefaultTimeout,
		"default_priority": jt.DefaultPriority, "max_retries": jt.MaxRetries, "deduplication_window": jt.DeduplicationWindow,
		"rate_limit": jt.RateLimit, "rate_limit_window": jt.RateLimitWindow,
	}
}

// standardColumns are those every table of a DocType has and that can't stay NULL or at their default.
var standardColumns = []string{"name", "creation", "modified", "modified_by", "owner"}

func (d *DB) standardValues(name, user, now string) map[string]any {
	return map[string]any{"name": name, "creation": now, "modified": now, "modified_by": user, "owner": user}
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func quoteColumns(columns []string) string { return "`" + strings.Join(columns, "`,`") + "`" }

// marks are n placeholders.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

// present are those of the columns that the table has.
func (t *tableInfo) present(columns []string) []string {
	var list []string
	for _, c := range columns {
		if t.has(c) {
			list = append(list, c)
		}
	}
	return list
}

// noticeColumns makes the next statement look at the tables anew after one of them lost a column.
func (d *DB) noticeColumns(err error) error {
	if n := errorNumber(err); n == errUnknownColumn || n == errNoSuchTable {
		d.tables.forget()
	}
	return err
}
