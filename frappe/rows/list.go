package rows

import (
	"cmp"
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
	jobs, err = d.selectJobs(ctx, "list jobs", where+" ORDER BY `creation` DESC, `name` DESC LIMIT ? OFFSET ?", append(args, cmp.Or(f.Limit, 20), f.Offset)...)
	return jobs, total, err
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
	add(!f.From.IsZero(), "`creation`>=?", formatTime(f.From, loc))
	add(!f.To.IsZero(), "`creation`<?", formatTime(f.To, loc))
	if len(conditions) == 0 {
		return "", nil
	}
	return "WHERE " + strings.Join(conditions, " AND "), args
}
