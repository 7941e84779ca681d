package rows

import (
	"context"
	"errors"
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
	From, To      time.Time // creation, From <= creation < To
	Limit         int       // 0 is 20
	Offset        int
}

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
	limit := f.Limit
	if limit == 0 {
		limit = 20
	}
	jobs, err = d.selectJobs(ctx, "list jobs", where+" ORDER BY `creation` DESC, `name` DESC LIMIT ? OFFSET ?", append(args, limit, f.Offset)...)
	return jobs, total, err
}

func (f ListFilter) where(loc *time.Location) (string, []any) {
	var conditions []string
	var args []any
	add := func(condition string, values ...any) {
		conditions = append(conditions, condition)
		args = append(args, values...)
	}
	if f.Organization != "" {
		add("`organization`=?", f.Organization)
	}
	if len(f.Organizations) > 0 {
		add("`organization` IN ("+marks(len(f.Organizations))+")", anys(f.Organizations)...)
	}
	if f.JobType != "" {
		add("`job_type`=?", f.JobType)
	}
	if f.Owner != "" {
		add("`owner_user`=?", f.Owner)
	}
	if len(f.Statuses) > 0 {
		add("`status` IN (" + marks(len(f.Statuses)) + ")")
		for _, s := range f.Statuses {
			args = append(args, string(s))
		}
	}
	if !f.From.IsZero() {
		add("`creation`>=?", formatTime(f.From, loc))
	}
	if !f.To.IsZero() {
		add("`creation`<?", formatTime(f.To, loc))
	}
	if len(conditions) == 0 {
		return "", nil
	}
	return "WHERE " + strings.Join(conditions, " AND "), args
}
