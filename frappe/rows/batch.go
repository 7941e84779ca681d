package rows

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Batches are jobs of one organization that belong together, with a progress of their own and a job that is submitted when
// all have ended. A job's batch stands in its row (batch). What a batch counts it counts of jobs of its organization only: anybody may write its name into a row.

// ErrNoSuchBatch says that the site has no Background Job Batch of that name.
var ErrNoSuchBatch = errors.New("no such batch")

// The values of Background Job Batch.status.
const (
	BatchRunning   = "Running"
	BatchCompleted = "Completed" // all of its jobs have completed
	BatchFailed    = "Failed"    // all have ended, not all of them well
	BatchCanceled  = "Canceled"
)

// Batch is one row of `tabBackground Job Batch`.
type Batch struct {
	Name               string          `db:"name,created" json:"name"`
	Title              string          `db:"title,created" json:"title,omitempty"`
	Organization       string          `db:"organization,created" json:"organization"`
	OwnerUser          string          `db:"owner_user,created" json:"owner_user"`
	Status             string          `db:"status,created" json:"status"`
	Closed             bool            `db:"closed,created" json:"closed"` // it takes no more jobs, and ends when they have
	Total              int             `db:"total" json:"total"`           // jobs
	Done               int             `db:"done" json:"done"`             // that have completed
	Failed             int             `db:"failed" json:"failed"`         // that have ended otherwise
	Progress           float64         `db:"progress" json:"progress"`     // percent of jobs that have ended
	CallbackJobType    string          `db:"callback_job_type,created" json:"callback_job_type,omitempty"`
	CallbackParameters json.RawMessage `db:"callback_parameters,created" json:"callback_parameters,omitempty"`
	CallbackJob        string          `db:"callback_job" json:"callback_job,omitempty"`
	ErrorMessage       string          `db:"error_message" json:"error_message,omitempty"` // why there is no callback job
	CreatedAt          time.Time       `db:"created_at,created" json:"created_at,omitzero"`
	CompletedAt        time.Time       `db:"completed_at" json:"completed_at,omitzero"`
	Owner              string          `db:"owner,created" json:"-"`
	Creation           time.Time       `db:"creation,created" json:"-"`
	Modified           time.Time       `db:"modified,created" json:"-"`
	ModifiedRaw        string          `db:"modified" json:"-"`
	ModifiedBy         string          `db:"modified_by,created" json:"-"`
}

// Left is how many of its jobs haven't ended.
func (b *Batch) Left() int { return b.Total - b.Done - b.Failed }

// Open reports whether something is still to be done about it.
func (b *Batch) Open() bool { return b.CompletedAt.IsZero() }

var batchColumns = columnsOf[Batch]()

// unended are the states of jobs that haven't ended, as a list in SQL.
const unended = "(" + openStates + ")"

// batchSeries is the counter's name in tabSeries, with this year in the site's zone.
func batchSeries(now time.Time) string { return now.Format("BATCH-2006-") }

// CreateBatch makes a batch; name, status and times are filled in. Its JSON must be valid.
func (d *DB) CreateBatch(ctx context.Context, b *Batch) error {
	t, err := d.tables.get(ctx, tableBatch)
	if err != nil {
		return err
	}
	now := d.Now()
	return d.retry(ctx, "create a batch", func(ctx context.Context) error {
		return d.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			number, err := nextNumbers(ctx, tx, batchSeries(now), 1)
			if err != nil {
				return err
			}
			b.Name, b.Status, b.Owner, b.ModifiedBy = fmt.Sprintf("%s%05d", batchSeries(now), number), BatchRunning, b.OwnerUser, b.OwnerUser
			b.CreatedAt, b.Creation, b.Modified, b.ModifiedRaw = now, now, now, formatTime(now, d.Location())
			columns := present(t, batchColumns, creates)
			var args []any
			for _, c := range columns {
				args = append(args, forDriver(c.field(b), d.Location()))
			}
			_, err = tx.ExecContext(ctx, insertInto(tableBatch, quoteColumns(columns)+",`naming_series`", len(columns)+1, 1), append(args, "BATCH-.YYYY.-")...)
			return err
		})
	})
}

// Batch reads one; ErrNoSuchBatch when there is none.
func (d *DB) Batch(ctx context.Context, name string) (*Batch, error) {
	found, err := d.selectBatches(ctx, "read batch "+name, "WHERE `name`=?", name)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("site %s: %w: %.140s", d.site, ErrNoSuchBatch, name)
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// Batches reads the newest, of an organization unless that is empty.
func (d *DB) Batches(ctx context.Context, organization string, limit int) ([]*Batch, error) {
	where, args := "", []any{}
	if organization != "" {
		where, args = "WHERE `organization`=? ", append(args, organization)
	}
	return d.selectBatches(ctx, "list batches", where+strings.TrimPrefix(newestFirst, " ")+" LIMIT ?", append(args, limit)...)
}

// OpenBatches reads up to limit batches behind a name of which something is still to be done.
func (d *DB) OpenBatches(ctx context.Context, behind string, limit int) ([]*Batch, error) {
	return d.selectBatches(ctx, "find the batches that run", "WHERE `completed_at` IS NULL AND `name`>? ORDER BY `name` LIMIT ?", behind, limit)
}

func (d *DB) selectBatches(ctx context.Context, what, rest string, args ...any) ([]*Batch, error) {
	found, err := selectRows(ctx, &d.tables, what, tableBatch, batchColumns, rest, args...)
	for _, b := range found {
		b.ModifiedRaw = deskTime(b.ModifiedRaw)
	}
	return found, err
}

// CountBatch counts a batch's jobs and writes what it counts into the batch, whose modified stays as it is. It reads as many
// entries of an index as the batch has jobs.
func (d *DB) CountBatch(ctx context.Context, b *Batch) error {
	counted, err := selectAll[struct {
		Status Status `db:"status"`
		Jobs   int    `db:"jobs"`
	}](ctx, &d.conn, "count the jobs of batch "+b.Name, "SELECT `status`,COUNT(*) AS jobs FROM `"+tableJob+"` WHERE `batch`=? AND `organization`=? GROUP BY `status`", b.Name, b.Organization)
	if err != nil {
		return d.tables.notice(err)
	}
	was := *b
	b.Total, b.Done, b.Failed, b.Progress = 0, 0, 0, 0
	for _, c := range counted {
		b.Total += c.Jobs
		switch {
		case c.Status == StatusCompleted:
			b.Done += c.Jobs
		case c.Status.Terminal():
			b.Failed += c.Jobs
		}
	}
	if b.Total > 0 {
		b.Progress = 100 * float64(b.Done+b.Failed) / float64(b.Total)
	}
	if b.Total == was.Total && b.Done == was.Done && b.Failed == was.Failed && b.Progress == was.Progress {
		return nil
	}
	_, err = d.exec(ctx, "write the progress of batch "+b.Name, "UPDATE `"+tableBatch+"` SET `total`=?,`done`=?,`failed`=?,`progress`=? WHERE `name`=?",
		b.Total, b.Done, b.Failed, b.Progress, b.Name)
	return err
}

// CloseBatch has a batch take no more jobs: whoever adds one at the same time is either before it or refused. It reports whether the batch was open.
func (d *DB) CloseBatch(ctx context.Context, name, actor string) (bool, error) {
	return d.changeBatch(ctx, "close batch "+name, "`closed`=1", "`closed`=0", name, actor)
}

// CancelBatch has a batch's jobs canceled. It reports whether the batch ran.
func (d *DB) CancelBatch(ctx context.Context, name, actor string) (bool, error) {
	return d.changeBatch(ctx, "cancel batch "+name, "`status`='"+BatchCanceled+"',`closed`=1", "1", name, actor)
}

// RunBatch undoes that somebody wrote the end of a batch that runs.
func (d *DB) RunBatch(ctx context.Context, name string) error {
	_, err := d.exec(ctx, "undo the end of batch "+name, "UPDATE `"+tableBatch+"` SET `status`='"+BatchRunning+"' WHERE `name`=? AND `completed_at` IS NULL AND `status`<>'"+BatchCanceled+"'", name)
	return err
}

func (d *DB) changeBatch(ctx context.Context, what, set, where, name, actor string) (bool, error) {
	n, err := d.exec(ctx, what, "UPDATE `"+tableBatch+"` SET "+set+",`modified`=?,`modified_by`=? WHERE `name`=? AND `status`='"+BatchRunning+"' AND `completed_at` IS NULL AND "+where,
		formatTime(d.Now(), d.Location()), systemUser(actor), name)
	return n > 0, err
}

// EndBatch writes the end of a batch whose jobs have all ended, and its callback job or why there is none. It reports whether
// it did: not if a job was added, or another process was first.
func (d *DB) EndBatch(ctx context.Context, b *Batch) (bool, error) {
	now := d.Now()
	t, err := d.tables.get(ctx, tableBatch)
	if err != nil {
		return false, err
	}
	was := BatchRunning
	if b.Status == BatchCanceled {
		was = BatchCanceled
	}
	text, _ := t.columns["error_message"].fit(b.ErrorMessage)
	n, err := d.exec(ctx, "end batch "+b.Name, "UPDATE `"+tableBatch+"` SET `status`=?,`completed_at`=?,`modified`=?,`callback_job`=?,`error_message`=?,`progress`=100 WHERE `name`=? AND (`closed`=1 OR `status`='"+BatchCanceled+"')"+
		" AND `completed_at` IS NULL AND `status`=? AND NOT EXISTS (SELECT 1 FROM `"+tableJob+"` j WHERE j.`batch`=? AND j.`organization`=? AND j.`status` IN "+unended+")",
		b.Status, formatTime(now, d.Location()), formatTime(now, d.Location()), nullable(b.CallbackJob), nullable(text), b.Name, was, b.Name, b.Organization)
	if n > 0 {
		b.CompletedAt, b.ModifiedRaw, b.Progress = now, formatTime(now, d.Location()), 100
	}
	return n > 0, err
}

// BatchJobs reads up to limit rows behind a name of a batch's jobs that haven't ended.
func (d *DB) BatchJobs(ctx context.Context, b *Batch, behind string, limit int) ([]*BackgroundJob, error) {
	return d.selectColumns(ctx, "read the jobs of batch "+b.Name, waitingColumns,
		"WHERE `batch`=? AND `organization`=? AND `status` IN "+unended+" AND `name`>? ORDER BY `name` LIMIT ?", b.Name, b.Organization, behind, limit)
}

// lockBatches makes sure that the new jobs may be in the batches that they name, until they are committed.
func (c *creation) lockBatches(ctx context.Context, tx *sql.Tx) error {
	wanted := map[string][]int{}
	for i := range c.js {
		if name := c.js[i].Batch; name != "" {
			wanted[name] = append(wanted[name], i)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		var organization, status string
		var closed bool
		err := tx.QueryRowContext(ctx, "SELECT COALESCE(`organization`,''),COALESCE(`status`,''),`closed` FROM `"+tableBatch+"` WHERE `name`=? LOCK IN SHARE MODE", name).Scan(&organization, &status, &closed)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		for _, i := range wanted[name] {
			why := ""
			switch {
			case err != nil, organization != c.js[i].Organization: // a foreign batch is one that doesn't exist
				why = fmt.Sprintf("batch %.140s doesn't exist", name)
			case closed || status != BatchRunning:
				why = fmt.Sprintf("batch %s is closed: it takes no more jobs", name)
			}
			if why != "" {
				return &dbError{site: c.d.site, what: fmt.Sprintf("create job %d of %d", i+1, len(c.js)), kind: ErrBatch, cause: errors.New(why)}
			}
		}
	}
	return nil
}
