package rows

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
)

// TakeBack removes rows and their log, in one transaction: the undoing of a submission that could not be delivered. A row
// that isn't any more as it was created stays, and so does its log: it runs, or somebody else has submitted the same.
func (d *DB) TakeBack(ctx context.Context, jobs []*BackgroundJob) error {
	several, err := d.tables.has(ctx, tableDependency)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(jobs, maxIn) {
		what := fmt.Sprintf("delete %d jobs", len(chunk))
		err := d.retry(ctx, what, func(ctx context.Context) error {
			return d.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error { return takeBack(ctx, tx, chunk, several) })
		})
		if errors.Is(err, ErrOutcomeUnknown) {
			return &dbError{site: d.site, what: what, kind: ErrUnavailable, cause: err, fix: "whether they were deleted is not known; look in the desk"}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func takeBack(ctx context.Context, tx *sql.Tx, jobs []*BackgroundJob, several bool) error {
	moves := make([]*move, len(jobs))
	for i, j := range jobs {
		moves[i] = &move{Transition: &Transition{Name: j.Name}}
	}
	locked, err := lockRows(ctx, tx, moves, false)
	if err != nil {
		return err
	}
	var names []any
	for _, j := range jobs {
		if row := locked[rowKey(j.Name)]; row != nil && row.status == string(j.Status) && deskTime(row.modified) == deskTime(j.ModifiedRaw) {
			names = append(names, j.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	if several {
		if err := deleteDependencies(ctx, tx, names); err != nil {
			return err
		}
	}
	in := " IN (" + marks(len(names)) + ")"
	if _, err := tx.ExecContext(ctx, "DELETE FROM `"+tableLog+"` WHERE `background_job`"+in, names...); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM `"+tableJob+"` WHERE `name`"+in, names...)
	return err
}
