package frappe

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// jobColumns are what BackgroundJob is read from.
var jobColumns = []string{"name", "creation", "modified", "owner", "job_type", "organization", "owner_user", "status", "priority", "depends_on", "progress",
	"progress_message", "output_reference", "error_message", "error_type", "retry_count", "max_retries", "next_retry_at", "input_parameters", "job_hash",
	"timeout_seconds", "created_at", "started_at", "completed_at", "canceled_at", "canceled_by"}

type jobRow struct {
	Name            string          `db:"name"`
	Creation        sql.NullString  `db:"creation"`
	Modified        sql.NullString  `db:"modified"`
	Owner           sql.NullString  `db:"owner"`
	JobType         sql.NullString  `db:"job_type"`
	Organization    sql.NullString  `db:"organization"`
	OwnerUser       sql.NullString  `db:"owner_user"`
	Status          sql.NullString  `db:"status"`
	Priority        sql.NullString  `db:"priority"`
	DependsOn       sql.NullString  `db:"depends_on"`
	Progress        sql.NullFloat64 `db:"progress"`
	ProgressMessage sql.NullString  `db:"progress_message"`
	OutputReference sql.NullString  `db:"output_reference"`
	ErrorMessage    sql.NullString  `db:"error_message"`
	ErrorType       sql.NullString  `db:"error_type"`
	RetryCount      sql.NullInt64   `db:"retry_count"`
	MaxRetries      sql.NullInt64   `db:"max_retries"`
	NextRetryAt     sql.NullString  `db:"next_retry_at"`
	InputParameters []byte          `db:"input_parameters"`
	JobHash         sql.NullString  `db:"job_hash"`
	TimeoutSeconds  sql.NullInt64   `db:"timeout_seconds"`
	CreatedAt       sql.NullString  `db:"created_at"`
	StartedAt       sql.NullString  `db:"started_at"`
	CompletedAt     sql.NullString  `db:"completed_at"`
	CanceledAt      sql.NullString  `db:"canceled_at"`
	CanceledBy      sql.NullString  `db:"canceled_by"`
}

func (r *jobRow) job(loc *time.Location) (*BackgroundJob, error) {
	j := &BackgroundJob{
		Name: r.Name, JobType: r.JobType.String, Organization: r.Organization.String, OwnerUser: r.OwnerUser.String, Status: Status(r.Status.String),
		Priority: r.Priority.String, DependsOn: r.DependsOn.String, Progress: r.Progress.Float64, ProgressMessage: r.ProgressMessage.String,
		OutputReference: r.OutputReference.String, ErrorMessage: r.ErrorMessage.String, ErrorType: r.ErrorType.String, RetryCount: int(r.RetryCount.Int64),
		MaxRetries: int(r.MaxRetries.Int64), JobHash: r.JobHash.String, TimeoutSeconds: int(r.TimeoutSeconds.Int64), CanceledBy: r.CanceledBy.String,
		Owner: r.Owner.String, ModifiedRaw: deskTime(r.Modified.String),
	}
	if r.InputParameters != nil {
		j.InputParameters = json.RawMessage(r.InputParameters)
	}
	var retry time.Time
	for _, f := range []struct {
		to   *time.Time
		text string
	}{{&j.CreatedAt, r.CreatedAt.String}, {&j.StartedAt, r.StartedAt.String}, {&j.CompletedAt, r.CompletedAt.String}, {&j.CanceledAt, r.CanceledAt.String},
		{&j.Creation, r.Creation.String}, {&j.Modified, r.Modified.String}, {&retry, r.NextRetryAt.String}} {
		var err error
		if *f.to, err = parseTime(f.text, loc); err != nil {
			return nil, fmt.Errorf("row %s: %w", r.Name, err)
		}
	}
	if !retry.IsZero() {
		j.NextRetryAt = &retry
	}
	return j, nil
}

// selectJobs reads rows; rest is what follows the table name.
func (d *DB) selectJobs(ctx context.Context, what, rest string, args ...any) ([]*BackgroundJob, error) {
	t, err := d.table(ctx, tableJob)
	if err != nil {
		return nil, err
	}
	var rows []jobRow
	query := "SELECT " + quoteColumns(t.present(jobColumns)) + " FROM `" + tableJob + "` " + rest
	err = d.read(ctx, what, func(ctx context.Context) error {
		rows = nil
		return d.x.SelectContext(ctx, &rows, query, args...)
	})
	if err != nil {
		return nil, d.noticeColumns(err)
	}
	jobs := make([]*BackgroundJob, len(rows))
	for i := range rows {
		if jobs[i], err = rows[i].job(d.Location()); err != nil {
			return nil, d.explain(what, err)
		}
	}
	return jobs, nil
}

// BackgroundJob reads one row; ErrNoSuchJob when there is none.
func (d *DB) BackgroundJob(ctx context.Context, name string) (*BackgroundJob, error) {
	jobs, err := d.selectJobs(ctx, "read job "+name, "WHERE `name`=?", name)
	return d.only(jobs, err, name)
}

// FindByHash reads the newest row with this job_hash; ErrNoSuchJob when there is none.
func (d *DB) FindByHash(ctx context.Context, hash string) (*BackgroundJob, error) {
	jobs, err := d.selectJobs(ctx, "find job by hash", "WHERE `job_hash`=? ORDER BY `creation` DESC LIMIT 1", hash)
	return d.only(jobs, err, "with hash "+hash)
}

func (d *DB) only(jobs []*BackgroundJob, err error, which string) (*BackgroundJob, error) {
	if err != nil {
		return nil, err
	}
	if len(jobs) == 0 {
		return nil, fmt.Errorf("site %s: %w: %s", d.site, ErrNoSuchJob, which)
	}
	return jobs[0], nil
}

// maxIn keeps a list of names below the size at which MariaDB turns it into a temporary table.
const maxIn = 500

// BackgroundJobs reads several rows by name, by the names that were asked for. Names without a row are not in the map.
func (d *DB) BackgroundJobs(ctx context.Context, names []string) (map[string]*BackgroundJob, error) {
	found := make(map[string]*BackgroundJob, len(names))
	err := inChunks(names, func(chunk []string) error {
		jobs, err := d.selectJobs(ctx, fmt.Sprintf("read %d jobs", len(chunk)), "WHERE `name` IN ("+marks(len(chunk))+")", anys(chunk)...)
		for _, j := range jobs {
			found[j.Name] = j
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func inChunks(names []string, f func([]string) error) error {
	for len(names) > 0 {
		n := min(len(names), maxIn)
		if err := f(names[:n]); err != nil {
			return err
		}
		names = names[n:]
	}
	return nil
}

func anys(list []string) []any {
	args := make([]any, len(list))
	for i, s := range list {
		args[i] = s
	}
	return args
}

// Statuses reads only the status of the named rows. Names without a row are not in the map.
func (d *DB) Statuses(ctx context.Context, names []string) (map[string]Status, error) {
	found := make(map[string]Status, len(names))
	err := inChunks(names, func(chunk []string) error {
		var rows []struct {
			Name   string         `db:"name"`
			Status sql.NullString `db:"status"`
		}
		err := d.read(ctx, fmt.Sprintf("read the status of %d jobs", len(chunk)), func(ctx context.Context) error {
			rows = nil
			return d.x.SelectContext(ctx, &rows, "SELECT `name`,`status` FROM `"+tableJob+"` WHERE `name` IN ("+marks(len(chunk))+")", anys(chunk)...)
		})
		for _, r := range rows {
			found[r.Name] = Status(r.Status.String)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Due reads up to limit Failed or Timed Out rows of the given Job Types whose next_retry_at has come, earliest first: rows
// that nobody moves must not fill the limit for ever. Rows that another
// transaction has locked, a desk save for instance, are left out; nothing stays locked on return, so whoever acts on one
// has to win its Transition.
func (d *DB) Due(ctx context.Context, now time.Time, jobTypes []string, limit int) ([]*BackgroundJob, error) {
	if len(jobTypes) == 0 {
		return nil, nil
	}
	args := []any{formatTime(now, d.Location())}
	for _, t := range jobTypes {
		args = append(args, t)
	}
	jobs, err := d.selectByStatus(ctx, "read the due retries", []Status{StatusFailed, StatusTimedOut},
		"`next_retry_at`<=? AND `job_type` IN (?"+strings.Repeat(",?", len(jobTypes)-1)+") ORDER BY `next_retry_at` LIMIT ? FOR UPDATE SKIP LOCKED",
		append(args, limit)...)
	slices.SortStableFunc(jobs, func(a, b *BackgroundJob) int { return a.NextRetryAt.Compare(*b.NextRetryAt) })
	return jobs[:min(len(jobs), limit)], err
}

// selectByStatus reads each status apart: so the index on status and a time gives the order, and LIMIT ends the read.
func (d *DB) selectByStatus(ctx context.Context, what string, statuses []Status, rest string, args ...any) ([]*BackgroundJob, error) {
	var all []*BackgroundJob
	for _, s := range statuses {
		jobs, err := d.selectJobs(ctx, what, "WHERE `status`=? AND "+rest, append([]any{string(s)}, args...)...)
		if err != nil {
			return nil, err
		}
		all = append(all, jobs...)
	}
	return all, nil
}

// Stale reads up to limit Pending, Queued and Running rows not modified since olderThan, oldest first: those whose
// delivery may have got lost. Rows modified before from are left out; the zero from leaves out none.
func (d *DB) Stale(ctx context.Context, from, olderThan time.Time, limit int) ([]*BackgroundJob, error) {
	if from.IsZero() {
		from = time.Date(1000, 1, 1, 0, 0, 0, 1000, time.UTC) // MariaDB's first
	}
	jobs, err := d.selectByStatus(ctx, "read the stale jobs", []Status{StatusPending, StatusQueued, StatusRunning},
		"`modified`>=? AND `modified`<? ORDER BY `modified` LIMIT ?", formatTime(from, d.Location()), formatTime(olderThan, d.Location()), limit)
	slices.SortStableFunc(jobs, func(a, b *BackgroundJob) int { return a.Modified.Compare(b.Modified) })
	return jobs[:min(len(jobs), limit)], err
}

// Dependents reads the Pending and Queued rows that wait for one of the parents, oldest first.
func (d *DB) Dependents(ctx context.Context, parents []string) ([]*BackgroundJob, error) {
	var all []*BackgroundJob
	err := inChunks(parents, func(chunk []string) error {
		jobs, err := d.selectJobs(ctx, "read dependent jobs", "WHERE `depends_on` IN ("+marks(len(chunk))+") AND `status` IN ('Pending','Queued') ORDER BY `creation`", anys(chunk)...)
		all = append(all, jobs...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
