package rows

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"
)

const (
	// deleteBatch is how many rows one transaction deletes at most: each has some four rows of log.
	deleteBatch = 100
	// deleteLogs is how many rows of log that may be, unless a single job has more.
	deleteLogs = 2000
	// attachedKept is how long it is remembered which of Frappe's tables can be asked.
	attachedKept = 10 * time.Minute
)

// attachments are what delete_doc deletes of a document (model/delete_doc.py delete_dynamic_links, desk/doctype/tag/tag.py
// delete_tags_for_document, 15.41 to 17). Not among them: files, whose contents are on a disk, and communications.
var attachments = []attachment{
	{"tabToDo", "reference_type", "reference_name"},
	{"tabDocShare", "share_doctype", "share_name"},
	{"tabVersion", "ref_doctype", "docname"},
	{"tabComment", "reference_doctype", "reference_name"},
	{"tabView Log", "reference_doctype", "reference_name"},
	{"tabDocument Follow", "ref_doctype", "ref_docname"},
	{tableNotificationLog, "document_type", "document_name"},
	{"tabTag Link", "document_type", "document_name"},
	{"tabCommunication Link", "link_doctype", "link_name"},
	{tableDependency, "parenttype", "parent"},
}

// openStates are those in which a job may still run.
const openStates = "'Pending','Queued','Running','Failed','Timed Out'"

// DeleteEnded deletes those of the named rows that have one of the statuses, each with its log and with what Frappe keeps
// about it (assignments, shares, comments, tags, notifications …) where an index finds that, and names them. A row that
// another transaction has locked, or on which a job depends that may still run, stays.
func (d *DB) DeleteEnded(ctx context.Context, names []string, statuses []Status) (deleted []string, err error) {
	job, err := d.tables.get(ctx, tableJob)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return job.columns["name"].refuse(name) != nil })
	for some := range slices.Chunk(names, deleteBatch) {
		for behind := (Place{}); ; {
			gone, next, err := d.delete(ctx, "FORCE INDEX (PRIMARY) WHERE `name` IN ("+marks(len(some))+") AND `status` IN ("+marks(len(statuses))+")",
				append(anys(some), anys(statuses)...), behind)
			deleted = append(deleted, gone...)
			if err != nil {
				return deleted, err
			}
			if behind = next; next == (Place{}) {
				break
			}
		}
	}
	return deleted, nil
}

// DeleteOld deletes, as DeleteEnded does, up to 100 rows of a status that were last modified before a time and are behind a
// place, oldest first. next is where to go on; the zero Place says that there are no more.
func (d *DB) DeleteOld(ctx context.Context, status Status, before time.Time, behind Place) (gone []string, next Place, err error) {
	return d.delete(ctx, "WHERE `status`=? AND `modified`<?", []any{string(status), formatTime(before, d.Location())}, behind)
}

// DeleteOldBatches deletes up to 100 batches that ended before a time and of which no job is left. It gives their number.
func (d *DB) DeleteOldBatches(ctx context.Context, before time.Time) (int64, error) {
	is, err := d.tables.has(ctx, tableBatch)
	if err != nil || !is {
		return 0, err
	}
	job, err := d.tables.get(ctx, tableJob)
	if err != nil || !job.has("batch") {
		return 0, err
	}
	return d.exec(ctx, "delete batches", "DELETE FROM `"+tableBatch+"` WHERE `completed_at`<? AND NOT EXISTS (SELECT 1 FROM `"+tableJob+"` j WHERE j.`batch`=`"+tableBatch+"`.`name`) LIMIT ?",
		formatTime(before, d.Location()), deleteBatch)
}

// CountOld counts the rows that DeleteOld would look at.
func (d *DB) CountOld(ctx context.Context, status Status, before time.Time) (n int, err error) {
	err = d.retry(ctx, "count old jobs", func(ctx context.Context) error {
		return d.x.GetContext(ctx, &n, "SELECT COUNT(*) FROM `"+tableJob+"` WHERE `status`=? AND `modified`<?", string(status), formatTime(before, d.Location()))
	})
	return n, d.tables.notice(err)
}

// Unmoved reads up to limit Failed and Timed Out rows behind a place that were last modified before a time and that wait for no
// retry that is still to come, oldest first, without their parameters.
func (d *DB) Unmoved(ctx context.Context, before time.Time, behind Place, limit int) ([]*BackgroundJob, error) {
	from := behind.from()
	jobs, err := d.selectByStatus(ctx, "read the jobs that nobody retries", waitingColumns, []Status{StatusFailed, StatusTimedOut},
		// The function keeps the index on retries out, which has them in another order.
		"`modified`<? AND COALESCE(`next_retry_at`,'1000-01-01')<? AND `modified`>=? AND (`modified`>? OR `name`>?) ORDER BY `modified`,`name` LIMIT ?",
		formatTime(before, d.Location()), formatTime(d.Now(), d.Location()), from, from, behind.Name, limit)
	slices.SortStableFunc(jobs, func(a, b *BackgroundJob) int { return a.Place().compare(b.Place()) })
	return jobs[:min(len(jobs), limit)], err
}

// delete deletes some of the rows that where finds behind a place, oldest first.
func (d *DB) delete(ctx context.Context, where string, args []any, behind Place) (gone []string, next Place, err error) {
	job, _, err := d.tables.ofJobs(ctx)
	if err != nil {
		return nil, next, err
	}
	about, err := d.attached(ctx)
	if err != nil {
		return nil, next, err
	}
	var children []string
	if job.has("depends_on") {
		children = append(children, childrenOf)
	}
	if several, err := d.tables.has(ctx, tableDependency); err != nil {
		return nil, next, err
	} else if several {
		children = append(children, childrenOfSeveral)
	}
	from := behind.from()
	query := "SELECT `name`,COALESCE(`modified`,'') FROM `" + tableJob + "` " + where +
		" AND `modified`>=? AND (`modified`>? OR `name`>?) ORDER BY `modified`,`name` LIMIT ? FOR UPDATE SKIP LOCKED"
	args = append(args, from, from, behind.Name, deleteBatch)
	err = d.retry(ctx, "delete jobs", func(ctx context.Context) error {
		return d.inTx(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
			gone, next, err = deleteSome(ctx, tx, query, args, about, children)
			return err
		})
	})
	if errors.Is(err, ErrOutcomeUnknown) {
		err = nil // either they are gone, or the next look finds them again
	}
	if err != nil {
		return nil, behind, d.tables.notice(err)
	}
	return gone, next, nil
}

// childrenOf and childrenOfSeveral find the jobs that may still run and that depend on some. The function keeps the indexes of
// statuses out: many more rows may be in these than depend on some.
const (
	childrenOf        = "SELECT `depends_on`,`name` FROM `" + tableJob + "` WHERE COALESCE(`status`,'') IN (" + openStates + ") AND `depends_on` IN"
	childrenOfSeveral = "SELECT d.`background_job`,c.`name` FROM `" + tableDependency + "` d JOIN `" + tableJob + "` c ON c.`name`=d.`parent` WHERE COALESCE(c.`status`,'') IN (" + openStates +
		") AND d.`background_job` IN"
)

// deleteSome deletes rows that a query finds, their logs and what is attached to them.
func deleteSome(ctx context.Context, tx *sql.Tx, query string, args []any, about []attachment, childrenOf []string) (gone []string, next Place, err error) {
	found, err := pairs(ctx, tx, query, args...)
	if err != nil || len(found) == 0 {
		return nil, next, err
	}
	logs, err := valuesBy(ctx, tx, "SELECT `background_job`,`name` FROM `"+tableLog+"` WHERE `background_job` IN", found)
	if err != nil {
		return nil, next, err
	}
	children := map[string]bool{}
	for _, query := range childrenOf {
		some, err := valuesBy(ctx, tx, query, found)
		if err != nil {
			return nil, next, err
		}
		for parent := range some {
			children[parent] = true
		}
	}
	var lines []string
	for i, row := range found {
		key := rowKey(row[0])
		if i > 0 && len(lines)+len(logs[key]) > deleteLogs {
			break
		}
		next = Place{Name: row[0], Modified: row[1]}
		if !children[key] {
			gone, lines = append(gone, row[0]), append(lines, logs[key]...)
		}
	}
	for _, a := range about {
		kept, err := valuesBy(ctx, tx, "SELECT `"+a.name+"`,`name` FROM `"+a.table+"` WHERE `"+a.doctype+"`='Background Job' AND `"+a.name+"` IN", found)
		if err != nil {
			return nil, next, err
		}
		for _, name := range gone {
			if err := deleteNamed(ctx, tx, a.table, kept[rowKey(name)]); err != nil {
				return nil, next, err
			}
		}
	}
	if err := deleteNamed(ctx, tx, tableLog, lines); err != nil {
		return nil, next, err
	}
	return gone, next, deleteNamed(ctx, tx, tableJob, gone)
}

// deleteNamed deletes rows by their names, one by one: of a list of names DELETE makes what it likes, heeds no hint, and waits
// for whoever has locked any row of a small table.
func deleteNamed(ctx context.Context, tx *sql.Tx, table string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	one, err := tx.PrepareContext(ctx, "DELETE FROM `"+table+"` WHERE `name`=?")
	if err != nil {
		return err
	}
	defer one.Close()
	for _, name := range names {
		if _, err := one.ExecContext(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// valuesBy reads pairs of a key and a value for the keys, which are the first of each of those given.
func valuesBy(ctx context.Context, tx *sql.Tx, query string, of [][2]string) (map[string][]string, error) {
	keys := make([]any, len(of))
	for i, p := range of {
		keys[i] = p[0]
	}
	found, err := pairs(ctx, tx, query+" ("+marks(len(keys))+")", keys...)
	by := map[string][]string{}
	for _, p := range found {
		by[rowKey(p[0])] = append(by[rowKey(p[0])], p[1])
	}
	return by, err
}

// pairs reads two columns.
func pairs(ctx context.Context, tx *sql.Tx, query string, args ...any) (found [][2]string, err error) {
	result, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer result.Close()
	for result.Next() {
		var p [2]string
		if err := result.Scan(&p[0], &p[1]); err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, result.Err()
}

// attached are the tables of attachments that the site has, and finds a document's rows in by an index.
func (d *DB) attached(ctx context.Context) ([]attachment, error) {
	return d.attachments.Get(ctx, "", attachedKept, func() (found []attachment, err error) {
		for _, a := range attachments {
			have, err := d.indexes(ctx, a.table)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(have, func(i index) bool { return i.covers(index{a.doctype, a.name}) || i.covers(index{a.name}) }) {
				found = append(found, a)
			}
		}
		return found, nil
	})
}
