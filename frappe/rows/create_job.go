package rows

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// NewJob describes a Background Job row to be created.
type NewJob struct {
	JobType, Organization string
	OwnerUser             string    // the submitter; also the row's owner, which if_owner permissions look at
	Priority              string    // "" is Normal
	DependsOn             []string  // names of jobs of the organization that have to complete first; then it is Pending, whatever Status says
	Batch                 string    // of the organization, and open; "" is none
	RunAfter              time.Time // it stays Pending until then; ErrColumnMissing where the table can't hold it
	JobHash               string
	// Within has the job made only if none with the same JobHash, Job Type and organization was created so lately and hasn't
	// ended (Completed, Dead Letter, Canceled); Ever: if there is none, whatever became of it. Zero: in any case.
	Within          time.Duration
	MaxRetries      int
	TimeoutSeconds  int
	InputParameters json.RawMessage // nil is NULL
	Status          Status          // Pending ("" too) or Queued
	WaitingFor      string          // what a Pending one waits for, in words; left out where the table has no such column
	itself          string          // the name of the row that it is already
	CreatedMessage  string          // of the first log row; "" is "Job created"
	CreatedAt       time.Time       // when it is as good as created, if not now: of a job that has started already
}

const maxNameDraws = 5

// check says what is wrong with a job by itself: what its columns, those of t, don't take.
func (n *NewJob) check(t *tableInfo, loc *time.Location) error {
	switch {
	case n.JobType == "":
		return fmt.Errorf("%w: job_type is empty", ErrValue)
	case n.Organization == "":
		return fmt.Errorf("%w: organization is empty", ErrValue)
	case n.OwnerUser == "":
		return fmt.Errorf("%w: owner_user is empty", ErrValue)
	case n.Within != 0 && n.JobHash == "":
		return fmt.Errorf("%w: job_hash is empty", ErrValue)
	case n.Status != "" && n.Status != StatusPending && n.Status != StatusQueued:
		return fmt.Errorf("%w: a job is created as Pending or Queued, not as %q", ErrValue, n.Status)
	case !n.RunAfter.IsZero() && !t.has(colRunAfter.name):
		return fmt.Errorf("%w: %s", ErrColumnMissing, colRunAfter.name)
	case n.InputParameters != nil && !json.Valid(n.InputParameters):
		return fmt.Errorf("%w: input_parameters is not valid JSON", ErrValue)
	}
	if err := n.checkDependencies(t); err != nil {
		return err
	}
	now := time.Now().In(loc)
	row := n.row(t, jobName(now, 0), now)
	for _, c := range present(t, jobColumns, creates) {
		if err := t.columns[c.name].refuse(forDriver(c.field(row), loc)); err != nil {
			return err
		}
	}
	return nil
}

// CheckJob says, before a job shares a transaction with others, what would fail all of it: an ErrValue that names the
// column and shows no value. Other errors are the database's.
func (d *DB) CheckJob(ctx context.Context, n NewJob) error {
	t, err := d.tables.get(ctx, tableJob)
	if err != nil {
		return err
	}
	if err := n.check(t, d.Location()); err != nil {
		return fmt.Errorf("site %s: create a job: %w", d.site, err)
	}
	return nil
}

// CreateJobs inserts the rows with names from the series JOB-.YYYY.- and their log rows in one transaction. Either all
// are there afterwards or none. When the connection breaks during COMMIT it looks whether they are; only if that can't
// be found out either does the error (an ErrUnavailable) leave it open.
func (d *DB) CreateJobs(ctx context.Context, js []NewJob) ([]*BackgroundJob, error) {
	created, err := d.CreateUnlessThere(ctx, js)
	var jobs []*BackgroundJob
	for _, c := range created {
		jobs = append(jobs, c.Row)
	}
	return jobs, err
}

// CreateUnlessThere is CreateJobs but for jobs that are there already, as NewJob.Within has it: of any number of callers on
// any machines exactly one makes the row, and the others get that one.
func (d *DB) CreateUnlessThere(ctx context.Context, js []NewJob) ([]Created, error) {
	if len(js) == 0 {
		return nil, nil
	}
	what := fmt.Sprintf("create %d jobs", len(js))
	job, log, err := d.tables.ofJobs(ctx)
	if err != nil {
		return nil, err
	}
	for i := range js {
		if err := js[i].check(job, d.Location()); err != nil {
			return nil, fmt.Errorf("site %s: create job %d of %d: %w", d.site, i+1, len(js), err)
		}
	}
	c := &creation{d: d, js: js, job: job, log: log}
	if err := c.needsTable(ctx); err != nil {
		return nil, err
	}
	for draw := 1; ; draw++ {
		err := d.retry(ctx, what, c.run)
		switch {
		case err == nil:
			return c.created, nil
		case errorNumber(err) == errDuplicateEntry && draw < maxNameDraws:
			// The series is behind its rows, as after a restored backup.
			if err := c.catchUp(ctx); err != nil {
				return nil, d.explain(ctx, what, err)
			}
		case errorNumber(err) == errDuplicateEntry:
			return nil, fmt.Errorf("%w; the naming series %q in tabSeries is behind the existing rows: set it to their highest number", err, jobSeries(d.Now()))
		default:
			return nil, d.tables.notice(err)
		}
	}
}

type creation struct {
	d        *DB
	js       []NewJob
	job, log *tableInfo
	lock     string            // how rows are read, beside the counter's
	drawn    int64             // the first number, if that was drawn before
	created  []Created         // for each of js
	jobs     []*BackgroundJob  // those that are made
	locked   map[string]Parent // what they depend on, by rowKey
	parents  [][]Parent        // of each of js that is made; nil where none depends on another
}

// catchUp sets the counter to the highest number that this year's rows have.
func (c *creation) catchUp(ctx context.Context) error {
	key := jobSeries(c.d.Now())
	return c.d.use(ctx, func(ctx context.Context) error {
		_, err := c.d.x.ExecContext(ctx, "UPDATE `tabSeries` SET `current`=GREATEST(`current`,"+
			"(SELECT COALESCE(MAX(CAST(SUBSTRING(`name`,?) AS UNSIGNED)),0) FROM `"+tableJob+"` WHERE `name` LIKE ?)) WHERE `name`=?",
			len(key)+1, key+"%", key)
		return err
	})
}

func (c *creation) run(ctx context.Context) error {
	now := c.d.Now()
	var evidence string
	err := c.d.inTx(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		evidence, err = c.write(ctx, tx, now)
		return err
	})
	if errors.Is(err, ErrOutcomeUnknown) {
		return c.find(ctx, evidence, err)
	}
	return err
}

// write makes the jobs in a transaction. evidence is the name of a log row that is there then, "" if nothing was written.
func (c *creation) write(ctx context.Context, tx *sql.Tx, now time.Time) (evidence string, err error) {
	// Before the series, whose counter all wait for who create a job.
	if err := c.lockParents(ctx, tx); err != nil {
		return "", err
	}
	if err := c.lockBatches(ctx, tx); err != nil {
		return "", err
	}
	there, err := c.lookFor(ctx, tx, now)
	if err != nil {
		return "", err
	}
	toMake := c.assign(there)
	if len(toMake) == 0 {
		return "", nil
	}
	if err := c.depend(toMake); err != nil {
		return "", err
	}
	first := c.drawn
	if first == 0 {
		if first, err = nextNumbers(ctx, tx, jobSeries(now), len(toMake)); err != nil {
			return "", err
		}
	}
	logs := c.build(now, first, toMake)
	if err := insertJobs(ctx, tx, c.job, c.d.Location(), c.jobs); err != nil {
		return "", err
	}
	if err := c.insertDependencies(ctx, tx, now); err != nil {
		return "", err
	}
	return insertLog(ctx, tx, c.log, now, logs)
}

// assign says which of the jobs are to be made: those that aren't there, each once.
func (c *creation) assign(there map[int]*BackgroundJob) (toMake []int) {
	c.created, c.jobs = make([]Created, len(c.js)), c.jobs[:0]
	first := map[sameHash]*BackgroundJob{}
	for i := range c.js {
		n := &c.js[i]
		if row := there[i]; row != nil {
			c.created[i] = Created{row, true}
			continue
		}
		if row := first[n.same()]; n.Within != 0 && row != nil {
			c.created[i] = Created{row, true}
			continue
		}
		row := new(BackgroundJob) // build fills it in
		c.created[i], toMake = Created{Row: row}, append(toMake, i)
		if n.Within != 0 {
			first[n.same()] = row
		}
	}
	return toMake
}

// find answers whether the rows are there after a COMMIT that got no answer, or leaves that open.
func (c *creation) find(ctx context.Context, evidence string, cause error) error {
	if evidence == "" {
		return fmt.Errorf("nothing was written: %w", cause)
	}
	for turn := range maxReconnects + 1 {
		committed, err := c.d.logExists(context.WithoutCancel(ctx), evidence)
		switch {
		case err == nil && committed:
			return nil
		case err == nil:
			return fmt.Errorf("rolled back: %w", cause) // a connection error, so it is tried again
		}
		pause(ctx, turn)
	}
	return &dbError{site: c.d.site, what: fmt.Sprintf("create %d jobs", len(c.js)), kind: ErrUnavailable, cause: cause,
		fix: "whether " + c.jobs[0].Name + " was created is not known; look before submitting again"}
}

// build makes some of the jobs for numbers from first on, and their log rows.
func (c *creation) build(now time.Time, first int64, toMake []int) (logs []logRow) {
	clock := ticker{now}
	loc := c.d.Location()
	for at, i := range toMake {
		n, j := &c.js[i], c.created[i].Row
		*j = *n.row(c.job, jobName(now, first+int64(at)), clock.next())
		c.bind(i, j)
		r := logRow{job: j.Name, organization: j.Organization, owner: j.Owner, to: string(StatusPending), actor: n.OwnerUser,
			message: cmp.Or(n.CreatedMessage, "Job created"), at: formatTime(j.Creation, loc)}
		logs = append(logs, r)
		if j.Status == StatusQueued {
			j.Modified = clock.next()
			r.from, r.to, r.message, r.at = string(StatusPending), string(StatusQueued), "Job enqueued", formatTime(j.Modified, loc)
			logs = append(logs, r)
		}
		j.ModifiedRaw = formatTime(j.Modified, loc)
		c.jobs = append(c.jobs, j)
	}
	return logs
}

func (n *NewJob) row(t *tableInfo, name string, now time.Time) *BackgroundJob {
	hash, _ := t.columns["job_hash"].fit(n.JobHash)
	createdAt, dependsOn := now, ""
	if len(n.DependsOn) > 0 {
		dependsOn = n.DependsOn[0]
	}
	if !n.CreatedAt.IsZero() {
		createdAt = n.CreatedAt.In(now.Location())
	}
	return &BackgroundJob{
		Name: name, JobType: n.JobType, Organization: n.Organization, OwnerUser: n.OwnerUser, Owner: n.OwnerUser, Status: cmp.Or(n.Status, StatusPending),
		Priority: cmp.Or(n.Priority, PriorityNormal), DependsOn: dependsOn, Batch: n.Batch, RunAfter: n.RunAfter, MaxRetries: n.MaxRetries, InputParameters: n.InputParameters,
		JobHash: hash, TimeoutSeconds: n.TimeoutSeconds, CreatedAt: createdAt, Creation: now, Modified: now,
		ModifiedBy: n.OwnerUser, WaitingFor: n.WaitingFor,
	}
}

// insertJobs writes the rows in as few statements as their size allows.
func insertJobs(ctx context.Context, tx *sql.Tx, t *tableInfo, loc *time.Location, jobs []*BackgroundJob) error {
	columns := present(t, jobColumns, creates)
	for some := range statements(jobs, maxBatch, func(j *BackgroundJob) int { return len(j.InputParameters) }) {
		var args []any
		for _, j := range some {
			for _, c := range columns {
				args = append(args, forDriver(c.field(j), loc))
			}
		}
		if _, err := tx.ExecContext(ctx, insertInto(tableJob, quoteColumns(columns), len(columns), len(some)), args...); err != nil {
			return err
		}
	}
	return nil
}

// ticker gives each row of one batch a time of its own, a microsecond after the last, so that their order can be told.
type ticker struct{ last time.Time }

func (t *ticker) next() time.Time {
	t.last = t.last.Add(time.Microsecond)
	if t.last.Nanosecond() == 0 {
		t.last = t.last.Add(time.Microsecond)
	}
	return t.last
}

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
	known, err := d.FindByHashes(ctx, hashes)
	if err != nil {
		return nil, err
	}
	missing := slices.DeleteFunc(slices.Clone(js), func(n NewJob) bool { return known[n.JobHash] != nil })
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
