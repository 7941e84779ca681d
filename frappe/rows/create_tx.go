package rows

import (
	"context"
	"database/sql"
	"fmt"
)

// CreateInTx is CreateUnlessThere of one job in a transaction of the caller's on the site's database, which makes the row when
// it is committed. A job that must not be there twice (NewJob.Within) keeps all others from making jobs until the transaction's
// end; of any other only the number is drawn, which is lost if the transaction isn't committed.
func (d *DB) CreateInTx(ctx context.Context, tx *sql.Tx, n NewJob) (Created, error) {
	job, log, err := d.tables.ofJobs(ctx)
	if err != nil {
		return Created{}, err
	}
	if err := n.check(job, d.Location()); err != nil {
		return Created{}, fmt.Errorf("site %s: create a job: %w", d.site, err)
	}
	if err := d.isHere(ctx, tx); err != nil {
		return Created{}, err
	}
	c := &creation{d: d, js: []NewJob{n}, job: job, log: log, lock: " LOCK IN SHARE MODE"} // it may have an older view of the rows
	now := d.Now()
	if n.Within == 0 {
		err = d.retry(ctx, "draw a number", func(ctx context.Context) error {
			return d.inTx(ctx, func(ctx context.Context, own *sql.Tx) (err error) {
				c.drawn, err = nextNumbers(ctx, own, jobSeries(now), 1)
				return err
			})
		})
		if err != nil {
			return Created{}, err
		}
	}
	if _, err := c.write(ctx, tx, now); err != nil {
		return Created{}, d.tables.notice(d.explain(ctx, "create a job in a transaction", err))
	}
	return c.created[0], nil
}

// isHere refuses a transaction on another database.
func (d *DB) isHere(ctx context.Context, tx *sql.Tx) error {
	const query = "SELECT CONCAT(@@hostname,':',@@port,' ',COALESCE(DATABASE(),''))"
	var here, there string
	if err := tx.QueryRowContext(ctx, query).Scan(&there); err != nil {
		return d.explain(ctx, "look at the transaction", err)
	}
	err := d.retry(ctx, "look at the database", func(ctx context.Context) error { return d.x.DB.QueryRowContext(ctx, query).Scan(&here) })
	if err == nil && here != there {
		err = fmt.Errorf("%w: the transaction is not on the database of site %s", ErrValue, d.site)
	}
	return err
}
