package rows

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// ListFilter chooses Background Job rows. Empty fields don't restrict.
type ListFilter struct {
	Organization  string
	Organizations []string // any of these; an empty, non-nil list matches nothing
	JobType       string
	Owner         string // owner_user
	Statuses      []Status
	Error         string    // part of error_message
	From, To      time.Time // creation, From <= creation < To; of an hour that local time repeats both count
	// ChangedFrom and ChangedTo are the same for the last change: of a job that has ended, its end.
	ChangedFrom, ChangedTo time.Time
	Limit                  int // 0 is 20
	Offset                 int
}

// The order of the series' numbers, which are drawn one after the other whatever the clocks say.
const (
	oldestFirst = " ORDER BY LEFT(`name`,9), CHAR_LENGTH(`name`), `name`"
	newestFirst = " ORDER BY LEFT(`name`,9) DESC, CHAR_LENGTH(`name`) DESC, `name` DESC"
)

// ListJobs reads one page of rows, newest first, and the number of all that match.
func (d *DB) ListJobs(ctx context.Context, f ListFilter) (jobs []*BackgroundJob, total int, err error) {
	if f.Limit < 0 || f.Offset < 0 {
		return nil, 0, errors.New("list jobs: limit and offset can't be negative")
	}
	if f.Organizations != nil && len(f.Organizations) == 0 {
		return nil, 0, nil
	}
	where, args := f.where(d.Location())
	err = d.retry(ctx, "count jobs", func(ctx context.Context) error {
		return d.x.GetContext(ctx, &total, "SELECT COUNT(*) FROM `"+tableJob+"` "+where, args...)
	})
	if err != nil || total <= f.Offset {
		return nil, total, err
	}
	jobs, err = d.selectJobs(ctx, "list jobs", where+newestFirst+" LIMIT ? OFFSET ?", append(args, cmp.Or(f.Limit, 20), f.Offset)...)
	return jobs, total, err
}

// totalMost is how many rows behind its page ListChanged counts.
const totalMost = 1000

// ListChanged reads one page of rows in the filter's statuses, of which there must be one, what changed last first. total is
// how many match, no more than a thousand behind the page: so it costs the same however many there are, unless they match
// what no index knows.
func (d *DB) ListChanged(ctx context.Context, f ListFilter) (jobs []*BackgroundJob, total int, err error) {
	if f.Limit < 0 || f.Offset < 0 || len(f.Statuses) == 0 {
		return nil, 0, errors.New("list jobs: limit and offset can't be negative, and there must be a status")
	}
	f.Limit = cmp.Or(f.Limit, 20)
	for _, status := range f.Statuses { // each apart: so an index gives the order
		where, args := f.of(status, d.Location())
		var n int
		err = d.retry(ctx, "count jobs", func(ctx context.Context) error {
			return d.x.GetContext(ctx, &n, "SELECT COUNT(*) FROM (SELECT 1 FROM `"+tableJob+"` "+where+" LIMIT ?) counted", append(args, f.Offset+f.Limit+totalMost)...)
		})
		if err != nil {
			return nil, 0, err
		}
		found, err := d.selectJobs(ctx, "list jobs", where+" ORDER BY `modified` DESC, `name` DESC LIMIT ?", append(args, f.Offset+f.Limit)...)
		if err != nil {
			return nil, 0, err
		}
		jobs, total = append(jobs, found...), total+n
	}
	slices.SortStableFunc(jobs, func(a, b *BackgroundJob) int { return b.Place().compare(a.Place()) })
	jobs = jobs[min(len(jobs), f.Offset):]
	return jobs[:min(len(jobs), f.Limit)], min(total, f.Offset+f.Limit+totalMost), nil
}

// of are the conditions for rows in one status. Who was created from a time on was changed from then on: that an index knows.
func (f ListFilter) of(status Status, loc *time.Location) (string, []any) {
	f.Statuses = []Status{status}
	if f.ChangedFrom.Before(f.From) {
		f.ChangedFrom = f.From
	}
	return f.where(loc)
}

// JobNames reads the names of the rows that match, oldest first: all of them, or as many as the filter's Limit says.
func (d *DB) JobNames(ctx context.Context, f ListFilter) ([]string, error) {
	where, args := f.where(d.Location())
	query := "SELECT `name` FROM `" + tableJob + "` " + where + oldestFirst
	if f.Limit > 0 {
		query, args = query+" LIMIT ?", append(args, f.Limit)
	}
	return d.Strings(ctx, "list the names of jobs", query, args...)
}

// ErrorGroup are the jobs of one Job Type whose error begins with the same line.
type ErrorGroup struct {
	JobType string `db:"job_type" json:"job_type"`
	Error   string `db:"error" json:"error"`
	Jobs    int    `db:"jobs" json:"jobs"`
	Newest  string `db:"newest" json:"newest"` // name of the newest
}

// ErrorGroups counts the rows that match by Job Type and by the first line of their error, the largest group first.
func (d *DB) ErrorGroups(ctx context.Context, f ListFilter) ([]ErrorGroup, error) {
	where, args := f.where(d.Location())
	query := "SELECT COALESCE(`job_type`,'') AS job_type, COALESCE(SUBSTRING_INDEX(TRIM(LEADING '\n' FROM `error_message`),'\n',1),'') AS error, COUNT(*) AS jobs, MAX(`name`) AS newest FROM `" +
		tableJob + "` " + where + " GROUP BY 1, 2 ORDER BY jobs DESC, newest DESC LIMIT ?"
	return selectAll[ErrorGroup](ctx, &d.conn, "group jobs by error", query, append(args, cmp.Or(f.Limit, 20))...)
}

func (f ListFilter) where(loc *time.Location) (string, []any) {
	var conditions []string
	var args []any
	add := func(asked bool, condition string, values ...any) {
		if asked {
			conditions = append(conditions, condition)
			args = append(args, values...)
		}
	}
	add(f.Organization != "", "`organization`=?", f.Organization)
	add(len(f.Organizations) > 0, "`organization` IN ("+marks(len(f.Organizations))+")", anys(f.Organizations)...)
	add(f.JobType != "", "`job_type`=?", f.JobType)
	add(f.Owner != "", "`owner_user`=?", f.Owner)
	add(len(f.Statuses) > 0, "`status` IN ("+marks(len(f.Statuses))+")", anys(f.Statuses)...)
	add(f.Error != "", "LOCATE(?, `error_message`)>0", f.Error)
	add(!f.From.IsZero(), "`creation`>=?", earliestText(f.From, loc))
	add(!f.ChangedFrom.IsZero(), "`modified`>=?", earliestText(f.ChangedFrom, loc))
	add(!f.ChangedTo.IsZero(), "`modified`<?", latestText(f.ChangedTo, loc))
	add(!f.To.IsZero(), "`creation`<?", latestText(f.To, loc))
	if len(conditions) == 0 {
		return "", nil
	}
	return "WHERE " + strings.Join(conditions, " AND "), args
}
