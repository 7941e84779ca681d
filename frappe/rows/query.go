package rows

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// selectJobs reads Background Jobs; rest is what follows the table name.
func (d *DB) selectJobs(ctx context.Context, what, rest string, args ...any) ([]*BackgroundJob, error) {
	return d.selectColumns(ctx, what, jobColumns, rest, args...)
}

func (d *DB) selectColumns(ctx context.Context, what string, columns []*jobColumn, rest string, args ...any) ([]*BackgroundJob, error) {
	jobs, err := selectRows(ctx, &d.tables, what, tableJob, columns, rest, args...)
	for _, j := range jobs {
		j.ModifiedRaw = deskTime(j.ModifiedRaw)
	}
	return jobs, err
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

// FindByHashes reads the newest row of each job_hash, by hash. Hashes without a row are not in the map.
func (d *DB) FindByHashes(ctx context.Context, hashes []string) (map[string]*BackgroundJob, error) {
	found := make(map[string]*BackgroundJob, len(hashes))
	err := inChunks(hashes, func(chunk []string) error {
		rows, err := d.selectJobs(ctx, "find jobs by hash", "WHERE `job_hash` IN ("+marks(len(chunk))+") ORDER BY `creation`", anys(chunk)...)
		for _, row := range rows {
			found[row.JobHash] = row
		}
		return err
	})
	return found, err
}

// NewestByHash reads the newest row whose job_hash begins with such hexadecimal digits; ErrNoSuchJob when there is none.
func (d *DB) NewestByHash(ctx context.Context, digits string) (*BackgroundJob, error) {
	jobs, err := d.selectJobs(ctx, "find job by hash", "WHERE `job_hash` LIKE ? ORDER BY `creation` DESC LIMIT 1", digits+"%")
	return d.only(jobs, err, "with a hash that begins with "+digits)
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

// BackgroundJobs reads several rows by name, by the names that were asked for, however they are spelled there. Names
// without a row are not in the map.
func (d *DB) BackgroundJobs(ctx context.Context, names []string) (map[string]*BackgroundJob, error) {
	return d.asked(ctx, jobColumns, names)
}

// briefParameters is up to how many bytes Brief reads parameters.
const briefParameters = 4096

// briefColumns are those of Brief.
var briefColumns = append(
	slices.DeleteFunc(slices.Clone(jobColumns), func(c *jobColumn) bool { return c == colParameters }),
	&jobColumn{name: colParameters.name, use: reads, field: colParameters.field, read: fmt.Sprintf("IF(OCTET_LENGTH(`input_parameters`)<=%d,`input_parameters`,NULL)", briefParameters)},
	&jobColumn{name: colParameters.name, use: reads, field: func(j *BackgroundJob) any { return &j.ParametersSize }, read: "OCTET_LENGTH(`input_parameters`)"},
)

// Brief is BackgroundJobs without parameters of more than 4 KiB, for rows of which many are read and few run next;
// ParametersSize tells their size.
func (d *DB) Brief(ctx context.Context, names []string) (map[string]*BackgroundJob, error) {
	return d.asked(ctx, briefColumns, names)
}

// plainPath is a way to a parameter, from object to object, that SQL may spell.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// Parameter reads one parameter of rows, by name, as JSON: a dotted path leads into objects. Rows that have none, or one of
// more than 600 characters, are not in the map. It is for rows whose parameters Brief leaves out.
func (d *DB) Parameter(ctx context.Context, path string, names []string) (map[string]json.RawMessage, error) {
	found := map[string]json.RawMessage{}
	if !plainPath.MatchString(path) {
		return found, nil
	}
	const most = 600
	value := fmt.Sprintf(`LEFT(JSON_EXTRACT(`+"`input_parameters`"+`,'$."%s"'),%d)`, strings.ReplaceAll(path, ".", `"."`), most+1)
	jobs, err := d.selectNamed(ctx, "read a parameter of %d jobs", []*jobColumn{
		colName, {name: colParameters.name, use: reads, field: colParameters.field, read: value},
	}, names, "")
	for name, j := range jobs {
		if len(j.InputParameters) > 0 && len(j.InputParameters) <= most {
			found[name] = j.InputParameters
		}
	}
	return found, err
}

// asked reads rows by the names that were asked for.
func (d *DB) asked(ctx context.Context, columns []*jobColumn, names []string) (map[string]*BackgroundJob, error) {
	asked := make(map[string]bool, len(names))
	for _, name := range names {
		asked[name] = isName(name)
	}
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !asked[name] })
	found, err := d.selectNamed(ctx, "read %d jobs", columns, names, "")
	if err != nil {
		return nil, err
	}
	unasked := false
	for name := range found {
		unasked = unasked || !asked[name]
	}
	if !unasked {
		return found, nil
	}
	spelled, err := d.spell(ctx, tableJob, slices.DeleteFunc(names, func(name string) bool { return found[name] != nil }))
	for name, there := range spelled {
		found[name] = found[there]
	}
	maps.DeleteFunc(found, func(name string, _ *BackgroundJob) bool { return !asked[name] })
	return found, err
}

// Unlocked is BackgroundJobs, without parameters, of those rows that no other transaction has locked. Nothing stays locked on
// return, so whoever acts on one has to win its Transition.
func (d *DB) Unlocked(ctx context.Context, names []string) (map[string]*BackgroundJob, error) {
	return d.selectNamed(ctx, "read %d jobs", waitingColumns, names, " FOR UPDATE SKIP LOCKED")
}

// Kinds reads name, status and job_type of the named rows, whoever has them locked. Names without a row are not in the map.
func (d *DB) Kinds(ctx context.Context, names []string) (map[string]*BackgroundJob, error) {
	return d.selectNamed(ctx, "read the status of %d jobs", []*jobColumn{colName, colStatus, columnNamed("job_type")}, names, "")
}

// Statuses reads only the status of the named rows. Names without a row are not in the map.
func (d *DB) Statuses(ctx context.Context, names []string) (map[string]Status, error) {
	jobs, err := d.selectNamed(ctx, "read the status of %d jobs", []*jobColumn{colName, colStatus}, names, "")
	if err != nil {
		return nil, err
	}
	statuses := make(map[string]Status, len(jobs))
	for name, j := range jobs {
		statuses[name] = j.Status
	}
	return statuses, nil
}

func (d *DB) selectNamed(ctx context.Context, what string, columns []*jobColumn, names []string, lock string) (map[string]*BackgroundJob, error) {
	t, err := d.tables.get(ctx, tableJob)
	if err != nil {
		return nil, err
	}
	// What no name can be isn't asked for: the question is everybody's.
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return t.columns["name"].refuse(name) != nil })
	found := make(map[string]*BackgroundJob, len(names))
	err = inChunks(names, func(chunk []string) error {
		jobs, err := d.selectColumns(ctx, fmt.Sprintf(what, len(chunk)), columns, "FORCE INDEX (PRIMARY) WHERE `name` IN ("+marks(len(chunk))+")"+lock, anys(chunk)...)
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

// dueColumns are those of Due.
var dueColumns = []*jobColumn{colName, columnNamed("next_retry_at")}

// Due names up to limit Failed or Timed Out rows of the given Job Types whose next_retry_at has come, earliest first: rows
// that nobody moves must not fill the limit for ever.
func (d *DB) Due(ctx context.Context, now time.Time, jobTypes []string, limit int) (names []string, err error) {
	if len(jobTypes) == 0 {
		return nil, nil
	}
	args := append([]any{formatTime(now, d.Location())}, anys(jobTypes)...)
	jobs, err := d.selectByStatus(ctx, "find the due retries", dueColumns, []Status{StatusFailed, StatusTimedOut},
		"`next_retry_at`<=? AND `job_type` IN ("+marks(len(jobTypes))+") ORDER BY `next_retry_at` LIMIT ?",
		append(args, limit)...)
	slices.SortStableFunc(jobs, func(a, b *BackgroundJob) int { return a.NextRetryAt.Compare(b.NextRetryAt) })
	for _, j := range jobs[:min(len(jobs), limit)] {
		names = append(names, j.Name)
	}
	return names, err
}

// selectByStatus reads each status apart: so the index on status and a time gives the order, and LIMIT ends the read.
func (d *DB) selectByStatus(ctx context.Context, what string, columns []*jobColumn, statuses []Status, rest string, args ...any) ([]*BackgroundJob, error) {
	var all []*BackgroundJob
	for _, s := range statuses {
		jobs, err := d.selectColumns(ctx, what, columns, "WHERE `status`=? AND "+rest, append([]any{string(s)}, args...)...)
		if err != nil {
			return nil, err
		}
		all = append(all, jobs...)
	}
	return all, nil
}

// Place is a row's place in the order of `modified`; the zero Place is before all rows.
type Place struct{ Modified, Name string }

// Place is the row's.
func (j *BackgroundJob) Place() Place { return Place{j.ModifiedRaw, j.Name} }

// from is the place's time; that of the zero Place is MariaDB's first.
func (p Place) from() string { return cmp.Or(p.Modified, "1000-01-01 00:00:00.000001") }

func (p Place) compare(q Place) int {
	return cmp.Or(strings.Compare(p.Modified, q.Modified), strings.Compare(p.Name, q.Name))
}

// Stale reads up to limit Pending, Queued and Running rows behind a place that have not been modified for age: those
// whose delivery may have got lost. Rows whose local time is still to come are among them, however young: they were
// modified before the clocks went back, or before the site got another zone, and nothing in them tells when.
func (d *DB) Stale(ctx context.Context, behind Place, age time.Duration, limit int) ([]*BackgroundJob, error) {
	return d.unmoved(ctx, "read the stale jobs", jobColumns, []Status{StatusPending, StatusQueued, StatusRunning}, behind, age, limit)
}

func (d *DB) unmoved(ctx context.Context, what string, columns []*jobColumn, statuses []Status, behind Place, age time.Duration, limit int) ([]*BackgroundJob, error) {
	now := d.Now()
	from := behind.from()
	jobs, err := d.selectByStatus(ctx, what, columns, statuses, staleRows,
		formatTime(now.Add(-age), d.Location()), formatTime(now, d.Location()), from, from, behind.Name, limit)
	slices.SortStableFunc(jobs, func(a, b *BackgroundJob) int { return a.Place().compare(b.Place()) })
	return jobs[:min(len(jobs), limit)], err
}

const staleRows = "(`modified`<? OR `modified`>?) AND `modified`>=? AND (`modified`>? OR `name`>?) ORDER BY `modified`,`name` LIMIT ?"

// Stuck reads up to limit rows of some statuses behind a place that have not been modified for age, oldest first, without their
// parameters; those whose local time is still to come are among them, as of Stale.
func (d *DB) Stuck(ctx context.Context, statuses []Status, behind Place, age time.Duration, limit int) ([]*BackgroundJob, error) {
	return d.unmoved(ctx, "read the jobs that haven't moved", waitingColumns, statuses, behind, age, limit)
}

// Named reads rows by name, without their parameters. Names without a row are not in the map.
func (d *DB) Named(ctx context.Context, names []string) (map[string]*BackgroundJob, error) {
	return d.selectNamed(ctx, "read %d jobs", waitingColumns, names, "")
}

// waitingColumns are those of Waiting, Stuck, Named and Unlocked.
var waitingColumns = slices.DeleteFunc(slices.Clone(jobColumns), func(c *jobColumn) bool { return c == colParameters })

// Waiting reads up to limit Pending and Queued rows behind a place that have not been modified for age, oldest first, without
// their parameters. None where the table can't hold what they wait for.
func (d *DB) Waiting(ctx context.Context, behind Place, age time.Duration, limit int) ([]*BackgroundJob, error) {
	t, err := d.tables.get(ctx, tableJob)
	if err != nil || !t.has(colWaitingFor.name) {
		return nil, err
	}
	return d.unmoved(ctx, "read the waiting jobs", waitingColumns, []Status{StatusPending, StatusQueued}, behind, age, limit)
}
