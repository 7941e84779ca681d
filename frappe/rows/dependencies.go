package rows

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Jobs that depend on others. The first parent stands in the row itself (depends_on), all of several in the child table of
// its field dependencies; a row without depends_on has none, once it was looked at.

// Parent is a job that another one depends on.
type Parent struct {
	// Name is spelled as the database has it where there is such a job.
	Name string
	// Status is empty where there is no such job.
	Status       Status
	Organization string
	Creation     time.Time
}

// Waits says, in words, that a job waits for this one.
func (p Parent) Waits() string { return fmt.Sprintf("it waits for %s, which is %s", p.Name, p.Status) }

// MissingParent is what a job is refused for whose parent isn't there.
func MissingParent(name string) string {
	return fmt.Sprintf("it depends on %.140s, which doesn't exist", name)
}

// EndedParent is what a job is refused for whose parent won't complete any more.
func EndedParent(name string, status Status) string {
	return fmt.Sprintf("it depends on %s, which is %s", name, status)
}

// parentColumns are those of Parent.
var parentColumns = []*jobColumn{colName, colStatus, columnNamed("organization"), columnNamed("creation")}

// Parents reads what rows depend on, by their names, in the order in which they name it; those of them that name nothing are
// not in the map.
func (d *DB) Parents(ctx context.Context, of []*BackgroundJob) (map[string][]Parent, error) {
	parents := make(map[string][]Parent, len(of))
	var names []string
	add := func(child, name string) {
		same := func(p Parent) bool { return rowKey(p.Name) == rowKey(name) }
		if name != "" && !slices.ContainsFunc(parents[child], same) {
			parents[child] = append(parents[child], Parent{Name: name})
			names = append(names, name)
		}
	}
	children := make([]string, len(of))
	for i, row := range of {
		children[i] = row.Name
		add(row.Name, row.DependsOn)
	}
	further, err := d.furtherParents(ctx, children)
	if err != nil {
		return nil, err
	}
	for _, f := range further {
		add(f.Child, f.Parent)
	}
	slices.Sort(names)
	found, err := d.selectNamed(ctx, "read the status of %d jobs that others depend on", parentColumns, slices.Compact(names), "")
	if err != nil {
		return nil, err
	}
	there := make(map[string]*BackgroundJob, len(found))
	for name, row := range found {
		there[rowKey(name)] = row
	}
	for _, list := range parents {
		for i, p := range list {
			if row := there[rowKey(p.Name)]; row != nil {
				list[i] = Parent{row.Name, row.Status, row.Organization, row.Creation}
			}
		}
	}
	return parents, nil
}

// Dependent is a job and one that it depends on.
type Dependent struct {
	Parent string `db:"parent_job"`
	Child  string `db:"child"`
}

// furtherParents are those of the child table; none where the site has no such table.
func (d *DB) furtherParents(ctx context.Context, children []string) (all []Dependent, err error) {
	if has, err := d.tables.has(ctx, tableDependency); err != nil || !has {
		return nil, err
	}
	err = inChunks(children, func(chunk []string) error {
		found, err := selectAll[Dependent](ctx, &d.conn, fmt.Sprintf("read what %d jobs depend on", len(chunk)), "SELECT `parent` AS child,COALESCE(`background_job`,'') AS parent_job FROM `"+
			tableDependency+"` WHERE `parent` IN ("+marks(len(chunk))+") AND `parenttype`='Background Job' ORDER BY `parent`,`idx`", anys(chunk)...)
		all = append(all, found...)
		return err
	})
	return all, err
}

// dependentsOf find the Pending rows that depend on some others, by depends_on and by the child table, in the order of an index.
var dependentsOf = []string{
	"SELECT `depends_on` AS parent_job,`name` AS child FROM `" + tableJob + "` WHERE `depends_on` IN (%s) AND `status`='Pending'" +
		" AND (`depends_on`>? OR `depends_on`=? AND `name`>?) ORDER BY `depends_on`,`status`,`name` LIMIT ?",
	"SELECT d.`background_job` AS parent_job,d.`parent` AS child FROM `" + tableDependency + "` d JOIN `" + tableJob + "` c ON c.`name`=d.`parent` WHERE d.`background_job` IN (%s) AND c.`status`='Pending'" +
		" AND (d.`background_job`>? OR d.`background_job`=? AND d.`parent`>?) ORDER BY d.`background_job`,d.`parent` LIMIT ?",
}

// Dependents are the Pending rows that depend on one of some others, read some at a time.
type Dependents struct {
	d       *DB
	parents []string
	limit   int
	source  int
	behind  Dependent
}

// Dependents prepares to read the names of the Pending rows that depend on one of the named.
func (d *DB) Dependents(parents []string, limit int) *Dependents {
	return &Dependents{d: d, parents: parents, limit: limit}
}

// Next reads the next of them, at most as many as the limit; none is the end. A row may come twice.
func (e *Dependents) Next(ctx context.Context) ([]string, error) {
	for ; e.source < len(dependentsOf); e.source, e.behind = e.source+1, (Dependent{}) {
		if has, err := e.d.tables.has(ctx, []string{tableJob, tableDependency}[e.source]); err != nil || !has {
			if err != nil {
				return nil, err
			}
			continue
		}
		args := append(anys(e.parents), e.behind.Parent, e.behind.Parent, e.behind.Child, e.limit)
		found, err := selectAll[Dependent](ctx, &e.d.conn, "find the jobs that depend on others", fmt.Sprintf(dependentsOf[e.source], marks(len(e.parents))), args...)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			continue
		}
		e.behind = found[len(found)-1]
		names := make([]string, len(found))
		for i, f := range found {
			names[i] = f.Child
		}
		return names, nil
	}
	return nil, nil
}

// endedParents finds the rows of one status whose end somebody may still wait for. MariaDB would answer EXISTS for all rows at
// once, and read all Pending ones for that, or the whole child table: asked for a value it looks for each row, and the function
// keeps it from the index of statuses.
var endedParents = placesOf("AND " + aChild)

// endedParentsOfSeveral also looks into the child table.
var endedParentsOfSeveral = placesOf("AND (" + aChild + " OR (SELECT 1 FROM `" + tableDependency + "` d JOIN `" + tableJob +
	"` c ON c.`name`=d.`parent` WHERE d.`background_job`=j.`name` AND COALESCE(c.`status`,'')='Pending' LIMIT 1) IS NOT NULL)")

const aChild = "(SELECT 1 FROM `" + tableJob + "` c WHERE c.`depends_on`=j.`name` AND COALESCE(c.`status`,'')='Pending' LIMIT 1) IS NOT NULL"

// EndedParents reads up to limit places of rows behind one that were modified within a time, from <= modified < to, have
// ended, and that Pending rows depend on, oldest first. A zero to is no end. It costs a look into an index for each row that
// ended then.
func (d *DB) EndedParents(ctx context.Context, from, to time.Time, behind Place, limit int) ([]Place, error) {
	query := endedParents
	if has, err := d.tables.has(ctx, tableDependency); err != nil {
		return nil, err
	} else if has {
		query = endedParentsOfSeveral
	}
	return d.changedPlaces(ctx, "find the jobs that others waited for", query, []Status{StatusCompleted, StatusDeadLetter, StatusCanceled}, from, to, behind, limit)
}

// Cycle follows what a row waits for, over jobs that haven't ended, and returns the way back to itself: from the row to the job
// that depends on it again. Nil is no way, of the first cycleRows jobs that are met.
func (d *DB) Cycle(ctx context.Context, row *BackgroundJob) ([]string, error) {
	came := map[string]string{} // from which job each was met
	for next := []*BackgroundJob{row}; len(next) > 0 && len(came) < cycleRows; {
		parents, err := d.Parents(ctx, next)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, child := range next {
			for _, p := range parents[child.Name] {
				switch {
				case rowKey(p.Name) == rowKey(row.Name):
					return way(came, row.Name, child.Name), nil
				case p.Status.Terminal(), p.Status == "", p.Organization != row.Organization:
				case came[p.Name] == "":
					came[p.Name] = child.Name
					names = append(names, p.Name)
				}
			}
		}
		found, err := d.selectNamed(ctx, "read what %d jobs depend on", dependsColumns, names, "")
		if err != nil {
			return nil, err
		}
		next = next[:0]
		for _, job := range found {
			next = append(next, job)
		}
		slices.SortFunc(next, func(a, b *BackgroundJob) int { return cmp.Compare(a.Name, b.Name) })
	}
	return nil, nil
}

// cycleRows bounds the walk of Cycle.
const cycleRows = 1000

var dependsColumns = []*jobColumn{colName, columnNamed("depends_on")}

// way goes back from a job to the first.
func way(came map[string]string, first, last string) []string {
	way := []string{last}
	for at := last; rowKey(at) != rowKey(first); {
		at = came[at]
		way = append(way, at)
	}
	slices.Reverse(way)
	return way
}
