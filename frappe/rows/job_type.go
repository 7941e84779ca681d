package rows

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
)

// JobType is one row of `tabJob Type`.
type JobType struct {
	TypeName            string `db:"type_name,created"`
	DisplayName         string `db:"display_name,created"`
	Description         string `db:"description,created"`
	Enabled             bool   `db:"is_enabled,created"`
	HandlerMethod       string `db:"handler_method,created"`      // dotted path
	RequiresPermission  string `db:"requires_permission,created"` // a DocType whose create permission the submitter needs; "" is none
	DefaultTimeout      int    `db:"default_timeout,created"`     // seconds
	DefaultPriority     string `db:"default_priority,created"`
	MaxRetries          int    `db:"max_retries,created"`
	DeduplicationWindow int    `db:"deduplication_window,created"` // seconds; 0 turns it off
	RateLimit           int    `db:"rate_limit,created"`           // jobs per user and window; 0 is none
	RateLimitWindow     int    `db:"rate_limit_window,created"`    // seconds
	// Limits; 0 is none.
	MaxRunning                int    `db:"max_running,created"`                  // jobs that run at once
	MaxRunningPerOrganization int    `db:"max_running_per_organization,created"` // of each organization
	LimitKey                  string `db:"limit_key,created"`                    // the parameter whose value makes the key of the others; "" is one for all
	LimitRunning              int    `db:"limit_running,created"`                // jobs that run at once, per organization and key
	LimitRate                 int    `db:"limit_rate,created"`                   // starts within a window, per organization and key
	LimitRateWindow           int    `db:"limit_rate_window,created"`            // seconds
	// For people who look at it in the desk: JobTypes leaves these empty.
	SampleParameters json.RawMessage `db:"sample_parameters,created,unread"` // what the form of a new job begins with
	Documentation    string          `db:"documentation,created,unread"`     // URL
	// Who hears of a job's end in the desk, beside its submitter of a dead letter.
	NotifyOnCompletion bool      `db:"notify_on_completion,created"` // the submitter, of a completed job
	DeadLetterRole     string    `db:"dead_letter_role,created"`     // who has that role, of a dead letter
	HandledBy          string    `db:"handled_by,unread"`            // the processes that run its jobs
	HandledAt          time.Time `db:"handled_at,unread"`            // when they last said so
}

// jobTypeColumns are what a Job Type's table may have beside the standard columns.
var jobTypeColumns = columnsOf[JobType]()

// jobTypesKept is how long a change made in the desk may stay unseen.
const jobTypesKept = 5 * time.Second

// sampleJobTypes are those of the Dartwing app (fixtures/job_type.json).
var sampleJobTypes = []JobType{
	{TypeName: "echo_job", DisplayName: "Echo Job", Description: "Returns its parameters at once.", Enabled: true,
		HandlerMethod:  "dartwing.dartwing_core.background_jobs.samples.execute_echo_job",
		DefaultTimeout: 30, DefaultPriority: PriorityNormal, MaxRetries: 1, DeduplicationWindow: 60, RateLimitWindow: 60, LimitRateWindow: 60,
		SampleParameters: json.RawMessage(`{"message": "hello"}`)},
	{TypeName: "sample_job", DisplayName: "Sample Background Job", Description: "Runs for duration seconds with progress, and fails as fail_type and fail_at_progress say.", Enabled: true,
		HandlerMethod:  "dartwing.dartwing_core.background_jobs.samples.execute_sample_job",
		DefaultTimeout: 60, DefaultPriority: PriorityNormal, MaxRetries: 3, DeduplicationWindow: 300, RateLimitWindow: 60, LimitRateWindow: 60,
		SampleParameters: json.RawMessage(`{"duration": 20}`)},
	{TypeName: "long_running_job", DisplayName: "Long Running Job", Description: "Runs for duration seconds, to see a timeout.", Enabled: true,
		HandlerMethod:  "dartwing.dartwing_core.background_jobs.samples.execute_long_running_job",
		DefaultTimeout: 1800, DefaultPriority: PriorityLow, MaxRetries: 2, DeduplicationWindow: 600, RateLimitWindow: 60, LimitRateWindow: 60,
		SampleParameters: json.RawMessage(`{"duration": 600}`)},
}

// complete gives a Job Type what it stands for where its row leaves something empty.
func (t *JobType) complete() {
	t.DefaultPriority = cmp.Or(t.DefaultPriority, PriorityNormal)
	if t.DefaultTimeout <= 0 {
		t.DefaultTimeout = frappe.DefaultTimeout
	}
	if t.RateLimitWindow <= 0 {
		t.RateLimitWindow = 60
	}
	if t.LimitRateWindow <= 0 {
		t.LimitRateWindow = 60
	}
}

// JobTypes reads all Job Types by type name, cached for 5 s. The map and its values are shared: don't change them.
func (d *DB) JobTypes(ctx context.Context) (map[string]*JobType, error) {
	return d.jobTypes.Get(ctx, "", jobTypesKept, func() (map[string]*JobType, error) {
		found, err := selectRows(ctx, &d.tables, "read the job types", tableJobType, jobTypeColumns, "")
		types := make(map[string]*JobType, len(found))
		for _, t := range found {
			t.complete()
			types[t.TypeName] = t
		}
		return types, err
	})
}

// InsertJobTypes inserts the Job Types that don't exist yet and names them. Others stay as they are.
func (d *DB) InsertJobTypes(ctx context.Context, types []JobType) (inserted []string, err error) {
	t, err := d.tables.get(ctx, tableJobType)
	if err != nil {
		return nil, err
	}
	defer d.jobTypes.Forget()
	columns := present(t, jobTypeColumns, creates)
	insert := "INSERT IGNORE INTO `" + tableJobType + "` (`name`,`creation`,`modified`,`modified_by`,`owner`," + quoteColumns(columns) +
		") VALUES (" + marks(5+len(columns)) + ")"
	for i := range types {
		name, now := types[i].TypeName, formatTime(d.Now(), d.Location())
		args := []any{name, now, now, systemUser(""), systemUser("")}
		for _, c := range columns {
			args = append(args, forDriver(c.field(&types[i]), d.Location()))
		}
		n, err := d.exec(ctx, "insert job type "+name, insert, args...)
		if err != nil {
			return inserted, err
		}
		if n > 0 {
			inserted = append(inserted, name)
		}
	}
	return inserted, nil
}

// SetHandledBy writes who handles Job Types, by type name, and that they said so now, in one statement. `modified` stays as it
// is. It does nothing where the table has no such columns.
func (d *DB) SetHandledBy(ctx context.Context, by map[string]string) error {
	t, err := d.tables.get(ctx, tableJobType)
	if err != nil || len(by) == 0 || !t.has("handled_by") || !t.has("handled_at") {
		return err
	}
	var values []any
	names := slices.Sorted(maps.Keys(by))
	for _, name := range names {
		text, _ := t.columns["handled_by"].fit(by[name])
		values = append(values, name, nullable(text))
	}
	values = append(append(values, formatTime(d.Now(), d.Location())), anys(names)...)
	_, err = d.exec(ctx, "write who handles job types", "SET STATEMENT innodb_lock_wait_timeout=1 FOR UPDATE `"+tableJobType+"` SET `handled_by`=CASE `type_name`"+
		strings.Repeat(" WHEN ? THEN ?", len(names))+" END,`handled_at`=? WHERE `type_name` IN ("+marks(len(names))+")", values...)
	return d.tables.notice(err)
}
