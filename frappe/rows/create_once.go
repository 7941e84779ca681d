package rows

import (
	"context"
	"database/sql"
	"fmt"
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
	// anyOf finds the newest row of a hash, liveOf the newest that was created since and hasn't ended.
	anyOf  = "SELECT `name` FROM `" + tableJob + "` WHERE `job_hash`=? AND `job_type`=? AND `organization`=? ORDER BY `creation` DESC LIMIT 1"
	liveOf = "SELECT `name` FROM (SELECT `name`,`job_type`,`organization`,`status`,`creation` FROM `" + tableJob +
		"` WHERE `job_hash`=? AND `creation`>=? ORDER BY `creation` DESC LIMIT " + lookedThrough + ") r WHERE `job_type`=? AND `organization`=?" +
		" AND `status` NOT IN ('Completed','Dead Letter','Canceled') ORDER BY `creation` DESC LIMIT 1"
)

// question asks for the row that keeps a job from being made, at a time.
func (n *NewJob) question(now time.Time) (string, []any) {
	if n.Within == Ever {
		return anyOf, []any{n.JobHash, n.JobType, n.Organization}
	}
	return liveOf, []any{n.JobHash, earliestText(now.Add(-n.Within), now.Location()), n.JobType, n.Organization}
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
	names := map[int]string{}
	for some := range slices.Chunk(once, maxUnion) {
		if err := c.ask(ctx, tx, now, some, names); err != nil {
			return nil, err
		}
	}
	there, err := c.read(ctx, tx, names)
	if err != nil {
		return nil, err
	}
	return there, c.touch(ctx, tx, now, there)
}

// takenBack is how long after its creation a row may still be taken back.
const takenBack = time.Minute

// touch keeps those who created the rows from taking them back: they count for others now.
func (c *creation) touch(ctx context.Context, tx *sql.Tx, now time.Time, there map[int]*BackgroundJob) error {
	var young []any
	for _, row := range there {
		if (row.Status == StatusQueued || row.Status == StatusPending) && now.Sub(row.Creation).Abs() < takenBack {
			young = append(young, row.Name)
		}
	}
	if len(young) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, "UPDATE `"+tableJob+"` FORCE INDEX (PRIMARY) SET `modified`=`modified`+INTERVAL 1 MICROSECOND"+
		" WHERE `name` IN ("+marks(len(young))+") AND `status` IN ('Pending','Queued')", young...)
	return err
}

// ask adds to names those of the rows that are there.
func (c *creation) ask(ctx context.Context, tx *sql.Tx, now time.Time, once []int, names map[int]string) error {
	var parts []string
	var all []any
	for _, i := range once {
		question, args := c.js[i].question(now)
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
func (c *creation) read(ctx context.Context, tx *sql.Tx, names map[int]string) (map[int]*BackgroundJob, error) {
	columns := present(c.job, jobColumns, reads)
	byName := map[string]*BackgroundJob{}
	var all []string
	for _, name := range names {
		all = append(all, name)
	}
	for some := range slices.Chunk(all, maxIn) {
		found, err := tx.QueryContext(ctx, "SELECT "+quoteColumns(columns)+" FROM `"+tableJob+"` FORCE INDEX (PRIMARY) WHERE `name` IN ("+marks(len(some))+")", anys(some)...)
		if err != nil {
			return nil, err
		}
		rows, err := scanRows(found, columns, c.d.Location())
		_ = found.Close() // scanRows has the error that matters
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			row.ModifiedRaw = deskTime(row.ModifiedRaw)
			byName[row.Name] = row
		}
	}
	there := make(map[int]*BackgroundJob, len(names))
	for i, name := range names {
		if there[i] = byName[name]; there[i] == nil {
			return nil, fmt.Errorf("%s is gone while it was looked at", name)
		}
	}
	return there, nil
}
