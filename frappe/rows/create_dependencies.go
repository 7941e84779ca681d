package rows

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxParents is how many jobs one job may depend on.
const maxParents = 10_000

// needsTable says that a site can't keep several parents of one job, or batches.
func (c *creation) needsTable(ctx context.Context) error {
	if slices.ContainsFunc(c.js, func(n NewJob) bool { return n.Batch != "" }) {
		if _, err := c.d.tables.get(ctx, tableBatch); err != nil {
			return err
		}
		if !c.job.has("batch") {
			return &dbError{site: c.d.site, what: "create jobs of a batch", kind: ErrColumnMissing, cause: errors.New("the table has no column batch")}
		}
	}
	if !slices.ContainsFunc(c.js, func(n NewJob) bool { return len(n.DependsOn) > 1 }) {
		return nil
	}
	_, err := c.d.tables.get(ctx, tableDependency)
	return err
}

// lockParents locks what the new jobs depend on until they are committed, so that each is either made before one of these
// ends, and found by who ends it, or after.
func (c *creation) lockParents(ctx context.Context, tx *sql.Tx) error {
	var names []string
	for i := range c.js {
		names = append(names, c.js[i].DependsOn...)
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	c.locked = make(map[string]Parent, len(names))
	return inChunks(slices.Compact(names), func(chunk []string) error {
		result, err := tx.QueryContext(ctx, "SELECT `name`,COALESCE(`status`,''),COALESCE(`organization`,'') FROM `"+tableJob+
			"` FORCE INDEX (PRIMARY) WHERE `name` IN ("+marks(len(chunk))+") LOCK IN SHARE MODE", anys(chunk)...)
		if err != nil {
			return err
		}
		defer result.Close()
		for result.Next() {
			var p Parent
			if err := result.Scan(&p.Name, &p.Status, &p.Organization); err != nil {
				return err
			}
			c.locked[rowKey(p.Name)] = p
		}
		return result.Err()
	})
}

// depend finds out what those that are made depend on. Its error is of one that can't depend on what it names.
func (c *creation) depend(toMake []int) (err error) {
	c.parents = make([][]Parent, len(c.js))
	for _, i := range toMake {
		if c.parents[i], err = c.js[i].parents(c.locked); err != nil {
			return &dbError{site: c.d.site, what: fmt.Sprintf("create job %d of %d", i+1, len(c.js)), kind: ErrDependency, cause: err}
		}
	}
	return nil
}

// parents are what a new job depends on, as the database has it.
func (n *NewJob) parents(there map[string]Parent) (parents []Parent, err error) {
	for _, name := range n.DependsOn {
		p, known := there[rowKey(name)]
		switch {
		case !known, p.Organization != n.Organization: // a foreign job is one that doesn't exist
			return nil, errors.New(MissingParent(name))
		case p.Status == StatusDeadLetter, p.Status == StatusCanceled:
			return nil, errors.New(EndedParent(p.Name, p.Status))
		case !slices.Contains(parents, p):
			parents = append(parents, p)
		}
	}
	return parents, nil
}

// bind says in a new row what it depends on. One that has to wait for it is Pending.
func (c *creation) bind(i int, row *BackgroundJob) {
	if len(c.parents[i]) == 0 {
		return
	}
	row.DependsOn = c.parents[i][0].Name
	if first := slices.IndexFunc(c.parents[i], func(p Parent) bool { return p.Status != StatusCompleted }); first >= 0 {
		row.Status = StatusPending
		if row.WaitingFor == "" && c.job.has(colWaitingFor.name) {
			row.WaitingFor = c.parents[i][first].Waits()
		}
	}
}

// insertDependencies writes what the new rows depend on where it is more than one job.
func (c *creation) insertDependencies(ctx context.Context, tx *sql.Tx, now time.Time) error {
	var args []any
	n := 0
	flush := func() error {
		if n == 0 {
			return nil
		}
		names := hashNames(now, n)
		for i := range n {
			args[i*dependencyWidth] = names[i]
		}
		_, err := tx.ExecContext(ctx, insertInto(tableDependency, dependencyColumns, dependencyWidth, n), args...)
		args, n = args[:0], 0
		return err
	}
	for i, parents := range c.parents {
		if len(parents) < 2 {
			continue
		}
		row := c.created[i].Row
		at := formatTime(row.Creation, c.d.Location())
		for idx, p := range parents {
			args = append(args, nil, at, at, row.Owner, row.Owner, row.Name, "Background Job", "dependencies", idx+1, p.Name, "Background Job")
			if n++; n == maxBatch {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	return flush()
}

const (
	dependencyColumns = "name,creation,modified,modified_by,owner,parent,parenttype,parentfield,idx,background_job,document_type"
	dependencyWidth   = 11
)

// checkDependencies says what is wrong with what a new job depends on by itself, in a table of that description.
func (n *NewJob) checkDependencies(t *tableInfo) error {
	if len(n.DependsOn) > maxParents {
		return fmt.Errorf("%w: depends_on names %d jobs, of which %d is the most", ErrValue, len(n.DependsOn), maxParents)
	}
	for _, name := range n.DependsOn {
		if name == "" {
			return fmt.Errorf("%w: depends_on has an empty name", ErrValue)
		}
		if err := t.columns["name"].refuse(name); err != nil {
			return fmt.Errorf("depends_on: %w", err)
		}
	}
	return nil
}

// deleteDependencies removes what rows that are deleted depend on.
func deleteDependencies(ctx context.Context, tx *sql.Tx, names []any) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM `"+tableDependency+"` WHERE `parent` IN ("+marks(len(names))+") AND `parenttype`='Background Job'", names...)
	return err
}
