package rows

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Progress is one progress report of a running attempt.
type Progress struct {
	Name    string
	Fence   string  // the attempt's: the row's StartedRaw
	Percent float64 // clamped to 0–100
	Message string  // cut at 140 characters
	LogTail string  // the attempt's last log lines; "" leaves what the row has
}

// SetProgress writes progress, progress_message and log_tail, where the table has that, of attempts that are still running,
// in one statement, and reports for each whether it was still running. `modified` stays as it is, so that an open form doesn't get a conflict at each
// step. Of several reports for one job the last counts.
func (d *DB) SetProgress(ctx context.Context, ps []Progress) ([]bool, error) {
	if len(ps) == 0 {
		return nil, nil
	}
	t, err := d.tables.get(ctx, tableJob)
	if err != nil {
		return nil, err
	}
	last := make(map[string]*report, len(ps))
	var reports []*report
	for i := range ps {
		if t.columns["name"].refuse(ps[i].Name) != nil {
			continue // no row can have that name, and the statement is everybody's
		}
		r, seen := last[rowKey(ps[i].Name)]
		if !seen {
			r = &report{}
			last[rowKey(ps[i].Name)] = r
			reports = append(reports, r)
		}
		message, _ := t.columns["progress_message"].fit(ps[i].Message)
		tail := cmp.Or(ps[i].LogTail, r.tail)
		*r = report{name: ps[i].Name, fence: ps[i].Fence, percent: clampPercent(ps[i].Percent), message: message}
		if t.has(colLogTail.name) {
			r.tail, _ = t.columns[colLogTail.name].fit(tail)
		}
	}
	for chunk := range statements(reports, maxBatch, func(r *report) int { return len(r.tail) }) {
		if err := d.setProgress(ctx, chunk); err != nil {
			return nil, err
		}
	}
	running := make([]bool, len(ps))
	for i := range ps {
		if r := last[rowKey(ps[i].Name)]; r != nil {
			running[i] = r.running
		}
	}
	return running, nil
}

type report struct {
	name, fence, message, tail string
	percent                    float64
	running                    bool
}

// setProgress writes one statement's worth. Where a row is locked for long, a desk save, each report gets a statement
// of its own, so that the other jobs' progress is seen.
func (d *DB) setProgress(ctx context.Context, reports []*report) error {
	err := d.writeProgress(ctx, reports)
	if errorNumber(err) != errLockWaitTimeout || len(reports) == 1 {
		return err
	}
	var g errgroup.Group
	g.SetLimit(maxSingles)
	for _, r := range reports {
		g.Go(func() error {
			err := d.writeProgress(ctx, []*report{r})
			if errorNumber(err) == errLockWaitTimeout {
				r.running = true // its turn comes with the next report
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

func (d *DB) writeProgress(ctx context.Context, reports []*report) error {
	what := fmt.Sprintf("write the progress of %d jobs", len(reports))
	query, args := progressStatement(reports)
	matched, err := d.exec(ctx, what, query, args...)
	if err != nil {
		return err
	}
	for _, r := range reports {
		r.running = true
	}
	if matched == int64(len(reports)) {
		return nil
	}
	return d.findEnded(ctx, what, reports)
}

// findEnded tells which of the reports found no running attempt of theirs.
func (d *DB) findEnded(ctx context.Context, what string, reports []*report) error {
	names := make([]any, len(reports))
	for i, r := range reports {
		names[i] = r.name
	}
	running, err := d.selectColumns(ctx, what, []*jobColumn{colName, colFence}, "WHERE `name` IN ("+marks(len(names))+") AND `status`='Running'", names...)
	if err != nil {
		return err
	}
	started := make(map[string]string, len(running))
	for _, j := range running {
		started[rowKey(j.Name)] = j.StartedRaw
	}
	for _, r := range reports {
		r.running = r.fence != "" && started[rowKey(r.name)] == r.fence
	}
	return nil
}

// progressStatement waits for locks a second at most: progress that comes late is worth little.
func progressStatement(reports []*report) (string, []any) {
	var percents, messages, tails, fences, names []any
	for _, r := range reports {
		percents = append(percents, r.name, r.percent)
		messages = append(messages, r.name, nullable(r.message))
		if r.tail != "" {
			tails = append(tails, r.name, r.tail)
		}
		fences = append(fences, r.name, r.fence)
		names = append(names, r.name)
	}
	byName := "CASE `name`" + strings.Repeat(" WHEN ? THEN ?", len(reports)) + " END"
	query := "SET STATEMENT innodb_lock_wait_timeout=1 FOR UPDATE `" + tableJob + "` FORCE INDEX (PRIMARY) SET `progress`=" + byName +
		",`progress_message`=" + byName
	if n := len(tails) / 2; n > 0 {
		query += ",`log_tail`=CASE `name`" + strings.Repeat(" WHEN ? THEN ?", n) + " ELSE `log_tail` END"
	}
	query += " WHERE `name` IN (" + marks(len(names)) + ") AND `status`='Running' AND `started_at`=CAST(" + byName + " AS datetime(6))"
	return query, slices.Concat(percents, messages, tails, names, fences)
}
