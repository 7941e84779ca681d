package rows

import (
	"context"
	"encoding/json"
	"time"
)

// JobSchedule is one row of `tabJob Schedule`: a job that is submitted again and again. Its JSON, for programs that look at
// schedules, leaves out what only the engine needs.
type JobSchedule struct {
	Name         string          `db:"schedule_name,created" json:"schedule_name"`
	JobType      string          `db:"job_type,created" json:"job_type"`
	Organization string          `db:"organization,created" json:"organization"`
	OwnerUser    string          `db:"owner_user,created" json:"owner_user"` // who submits
	Schedule     string          `db:"schedule,created" json:"schedule"`     // in the site's zone
	Enabled      bool            `db:"is_enabled" json:"is_enabled"`
	Priority     string          `db:"priority" json:"priority,omitempty"` // "" is the Job Type's
	NextRunAt    time.Time       `db:"next_run_at" json:"next_run_at,omitzero"`
	NextRuns     string          `db:"next_runs" json:"next_runs,omitempty"` // the next times, one a line, for people
	LastRunAt    time.Time       `db:"last_run_at" json:"last_run_at,omitzero"`
	LastJob      string          `db:"last_job" json:"last_job,omitempty"`
	Error        string          `db:"error" json:"error,omitempty"` // why its last job wasn't submitted, or none ever is
	Planned      string          `db:"planned" json:"-"`             // the engine's: the next time as an instant, and for what it was worked out
	Parameters   json.RawMessage `db:"parameters" json:"parameters,omitempty"`
	ModifiedBy   string          `db:"modified_by" json:"-"` // who saved it last
}

// jobScheduleColumns are what a Job Schedule's table has beside the standard columns.
var jobScheduleColumns = columnsOf[JobSchedule]()

// mostSchedules is how many schedules of a site are read.
const mostSchedules = 10_000

// JobSchedules reads a site's schedules, disabled ones too.
func (d *DB) JobSchedules(ctx context.Context) ([]*JobSchedule, error) {
	return selectRows(ctx, &d.tables, "read the job schedules", tableJobSchedule, jobScheduleColumns, "ORDER BY `name` LIMIT ?", mostSchedules)
}

// PlanSchedule writes what the engine knows of a schedule, the read-only fields, if nobody has planned it anew since it was
// read with such a Planned, which has to change. `modified` stays as it is.
func (d *DB) PlanSchedule(ctx context.Context, s *JobSchedule, planned string) (won bool, err error) {
	t, err := d.tables.get(ctx, tableJobSchedule)
	if err != nil {
		return false, err
	}
	var args []any
	for _, c := range jobScheduleColumns {
		switch c.name {
		case "next_run_at", "next_runs", "last_run_at", "last_job", "error", "planned":
			value := forDriver(c.field(s), d.Location())
			if text, ok := value.(string); ok {
				value, _ = t.columns[c.name].fit(text)
			}
			args = append(args, value)
		}
	}
	n, err := d.exec(ctx, "plan the job schedule "+s.Name, "UPDATE `"+tableJobSchedule+"` SET `next_run_at`=?,`next_runs`=?,`last_run_at`=?,`last_job`=?,`error`=?,`planned`=?"+
		" WHERE `name`=? AND COALESCE(`planned`,'')=?", append(args, s.Name, planned)...)
	return n > 0, d.tables.notice(err)
}
