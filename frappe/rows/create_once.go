package rows

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Ever is a NewJob.Within that never ends.
const Ever = time.Duration(math.MaxInt64)

// Created is what became of a NewJob: its row, or the one that was there already.
type Created struct {
	Row   *BackgroundJob
	There bool
}

// sameHash identifies jobs that aren't to be there twice. Others than those of an organization and Job Type are never compared.
type sameHash struct{ hash, jobType, organization string }

func (n *NewJob) same() sameHash { return sameHash{n.JobHash, n.JobType, n.Organization} }

const (
	// lookedThrough is how many rows of one hash are looked at in search of one that hasn't ended.
	lookedThrough = "100"
	// liveOf finds the newest row of a hash that was created since and hasn't ended.
	liveOf = "SELECT `name` FROM (SELECT `name`,`job_type`,`organization`,`status`,`creation` FROM `" + tableJob +
		"` WHERE `job_hash`=? AND `creation`>=? ORDER BY `creation` DESC LIMIT " + lookedThrough + "%s) r WHERE `job_type`=? AND `organization`=? AND `name`<>?" +
		" AND `status` NOT IN ('Completed','Dead Letter','Canceled') ORDER BY `creation` DESC LIMIT 1%s"
)

// question asks for the row that keeps a job from being made, at a time.
func (n *NewJob) question(now time.Time, lock string) (string, []any) {
	return fmt.Sprintf(liveOf, lock, lock), []any{n.JobHash, earliestText(now.Add(-n.Within), now.Location()), n.JobType, n.Organization, n.itself}
}

// guards are the counters that are locked by whoever looks whether a job is there: all that make jobs draw from one of
// them. In the first hour of a year there are two, since not all clocks are there yet.
func guards(now time.Time) []string {
	return slices.Compact([]string{jobSeries(now.Add(-time.Hour)), jobSeries(now)})
}

// lookFor finds the rows that are there already of those jobs that aren't to be there twice, by the job's number. Nobody
// makes another one before the transaction's end.
func (c *creation) lookFor(ctx context.Context, tx *sql.Tx, now time.Time) (map[int]*BackgroundJob, error) {
	var once []int
	for i := range c.js {
		if c.js[i].Within != 0 {
			once = append(once, i)
		}
	}
	if len(once) == 0 {
		return nil, nil
	}
	for _, key := range guards(now) {
		if _, err := nextNumbers(ctx, tx, key, 0); err != nil {
			return nil, err
		}
	}
	// Only now: what was committed before the lock is seen by what is read after it.
	there, err := c.ever(ctx, tx, once)
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	lately := slices.DeleteFunc(once, func(i int) bool { return c.js[i].Within == Ever })
	for some := range slices.Chunk(lately, maxUnion) {
		if err := c.ask(ctx, tx, now, some, names); err != nil {
			return nil, err
		}
	}
	if err := c.read(ctx, tx, names, there); err != nil {
		return nil, err
	}
	return there, c.touch(ctx, tx, now, there)
}

// ever finds the newest rows of those jobs that were made at any time. Such a hash has few rows, mostly one.
func (c *creation) ever(ctx context.Context, tx *sql.Tx, once []int) (map[int]*BackgroundJob, error) {
	by := map[sameHash][]int{}
	var hashes []string
	for _, i := range once {
		if n := &c.js[i]; n.Within == Ever {
			by[n.same()], hashes = append(by[n.same()], i), append(hashes, n.JobHash)
		}
	}
	there := map[int]*BackgroundJob{}
	for some := range slices.Chunk(hashes, maxIn) {
		found, err := c.rows(ctx, tx, "WHERE `job_hash` IN ("+marks(len(some))+") ORDER BY `creation`", some)
		if err != nil {
			return nil, err
		}
		for _, row := range found {
			for _, i := range by[sameHash{row.JobHash, row.JobType, row.Organization}] {
				there[i] = row
			}
		}
	}
	return there, nil
}

// TakenBack is up to how long after its creation a row may still be taken back (DB.TakeBack).
const TakenBack = time.Minute

// touched is by how much touch makes a row younger: more than its creation takes.
const touched = 5 * time.Microsecond

// touch keeps those who created the rows from taking them back: they count for others now. Once is enough.
func (c *creation) touch(ctx context.Context, tx *sql.Tx, now time.Time, there map[int]*BackgroundJob) error {
	var young []any
	for _, row := range there {
		if (row.Status == StatusQueued || row.Status == StatusPending) && now.Sub(row.Creation).Abs() < TakenBack &&
			row.Modified.Sub(row.Creation) < touched {
			young = append(young, row.Name)
		}
	}
	if len(young) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, "UPDATE `"+tableJob+"` FORCE INDEX (PRIMARY) SET `modified`=`modified`+INTERVAL 5 MICROSECOND"+
		" WHERE `name` IN ("+marks(len(young))+") AND `status` IN ('Pending','Queued')", young...)
	return err
}

// ask adds to names those of the rows that are there.
func (c *creation) ask(ctx context.Context, tx *sql.Tx, now time.Time, once []int, names map[int]string) error {
	var parts []string
	var all []any
	for _, i := range once {
		question, args := c.js[i].question(now, c.lock)
		parts, all = append(parts, fmt.Sprintf("SELECT %d,(%s)", i, question)), append(all, args...)
	}
	found, err := tx.QueryContext(ctx, strings.Join(parts, " UNION ALL "), all...)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var i int
		var name sql.NullString
		if err := found.Scan(&i, &name); err != nil {
			return err
		}
		if name.Valid {
			names[i] = name.String
		}
	}
	return found.Err()
}

// read reads the rows that were found.
func (c *creation) read(ctx context.Context, tx *sql.Tx, names map[int]string, there map[int]*BackgroundJob) error {
	byName := map[string]*BackgroundJob{}
	for some := range slices.Chunk(slices.Collect(maps.Values(names)), maxIn) {
		found, err := c.rows(ctx, tx, "FORCE INDEX (PRIMARY) WHERE `name` IN ("+marks(len(some))+")", some)
		if err != nil {
			return err
		}
		for _, row := range found {
			byName[row.Name] = row
		}
	}
	for i, name := range names {
		if there[i] = byName[name]; there[i] == nil {
			return fmt.Errorf("%s is gone while it was looked at", name)
		}
	}
	return nil
}

// rows reads rows in the transaction.
func (c *creation) rows(ctx context.Context, tx *sql.Tx, rest string, args []string) ([]*BackgroundJob, error) {
	columns := present(c.job, jobColumns, reads)
	found, err := tx.QueryContext(ctx, "SELECT "+quoteColumns(columns)+" FROM `"+tableJob+"` "+rest+c.lock, anys(args)...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	rows, err := scanRows(found, columns, c.d.Location())
	for _, row := range rows {
		row.ModifiedRaw = deskTime(row.ModifiedRaw)
	}
	return rows, err
}

// Claim is a row that somebody inserted, and that shall have a job_hash unless another one has it.
type Claim struct {
	Name string
	NewJob
}

// ClaimHashes gives rows the JobHash of their claims, as if they were created now: those that are there already, as
// NewJob.Within has it, keep theirs. For these the row that has it is in the map, by name. `modified` stays as it is.
func (d *DB) ClaimHashes(ctx context.Context, claims []Claim) (there map[string]*BackgroundJob, err error) {
	job, _, err := d.tables.ofJobs(ctx)
	if err != nil {
		return nil, err
	}
	c := &creation{d: d, job: job}
	for _, claim := range claims {
		claim.itself = claim.Name
		c.js = append(c.js, claim.NewJob)
	}
	err = d.retry(ctx, fmt.Sprintf("look for duplicates of %d jobs", len(claims)), func(ctx context.Context) error {
		there = map[string]*BackgroundJob{}
		return d.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			found, err := c.lookFor(ctx, tx, d.Now())
			if err != nil {
				return err
			}
			first := map[sameHash]*BackgroundJob{}
			for i, claim := range claims {
				if there[claim.Name] = found[i]; there[claim.Name] == nil {
					there[claim.Name] = first[claim.same()]
				}
				if there[claim.Name] != nil {
					continue
				}
				delete(there, claim.Name)
				first[claim.same()] = &BackgroundJob{Name: claim.Name, Status: StatusPending}
				if _, err := tx.ExecContext(ctx, "UPDATE `"+tableJob+"` SET `job_hash`=? WHERE `name`=?", claim.JobHash, claim.Name); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return there, d.tables.notice(d.explain(ctx, "look for duplicates", err))
}
