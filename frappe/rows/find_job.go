package rows

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// CreateOrFindJobs is CreateJobs for work that may come a second time: a NewJob whose JobHash a row has already gets
// that row (the newest) instead of a new one. It doesn't lock out another process that creates the same hash at the
// same time; whoever calls it must own the delivery that the hash stands for.
func (d *DB) CreateOrFindJobs(ctx context.Context, js []NewJob) ([]*BackgroundJob, error) {
	hashes := make([]string, 0, len(js))
	for i := range js {
		if js[i].JobHash == "" {
			return nil, fmt.Errorf("site %s: create or find job %d of %d: %w: job_hash is empty", d.site, i+1, len(js), ErrValue)
		}
		hashes = append(hashes, js[i].JobHash)
	}
	known := map[string]*BackgroundJob{}
	err := inChunks(hashes, func(chunk []string) error {
		rows, err := d.selectJobs(ctx, "find jobs by hash", "WHERE `job_hash` IN ("+marks(len(chunk))+") ORDER BY `creation`", anys(chunk)...)
		for _, row := range rows {
			known[row.JobHash] = row
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var missing []NewJob
	for i := range js {
		if known[js[i].JobHash] == nil {
			missing = append(missing, js[i])
		}
	}
	created, err := d.CreateJobs(ctx, missing)
	if err != nil {
		return nil, err
	}
	for _, row := range created {
		known[row.JobHash] = row
	}
	out := make([]*BackgroundJob, len(js))
	for i := range js {
		out[i] = known[js[i].JobHash]
	}
	return out, nil
}

// DeleteJobs removes rows and their log, in one transaction: the undoing of a submission that could not be delivered. A
// row that has moved on since (it isn't Pending or Queued any more) stays, and so does its log.
func (d *DB) DeleteJobs(ctx context.Context, names []string) error {
	return inChunks(names, func(chunk []string) error {
		what := fmt.Sprintf("delete %d jobs", len(chunk))
		err := d.retry(ctx, what, func(ctx context.Context) error {
			return d.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
				in := " IN (" + marks(len(chunk)) + ")"
				_, err := tx.ExecContext(ctx, "DELETE FROM `"+tableJob+"` WHERE `name`"+in+" AND `status` IN ('Pending','Queued')", anys(chunk)...)
				if err != nil {
					return err
				}
				_, err = tx.ExecContext(ctx, "DELETE l FROM `"+tableLog+"` l LEFT JOIN `"+tableJob+"` j ON j.`name`=l.`background_job` WHERE l.`background_job`"+in+" AND j.`name` IS NULL", anys(chunk)...)
				return err
			})
		})
		if errors.Is(err, errOutcomeUnknown) {
			return &dbError{site: d.site, what: what, kind: ErrUnavailable, cause: err, fix: "whether they were deleted is not known; look in the desk"}
		}
		return d.explain(what, err)
	})
}
