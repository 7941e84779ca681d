package rows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What people and programs of the site's write into rows themselves: how that is found and told from what the engine
// wrote. Each move of the engine's leaves a log row in its transaction; a status that the log doesn't know is somebody's.

// LastLogged reads the newest log row of each of the named rows, by name. Rows without one are not in the map.
func (d *DB) LastLogged(ctx context.Context, names []string) (map[string]LogEntry, error) {
	last := make(map[string]LogEntry, len(names))
	err := inChunks(names, func(chunk []string) error {
		found, err := selectRows(ctx, &d.tables, fmt.Sprintf("read the log of %d jobs", len(chunk)), tableLog, logColumns,
			"WHERE `background_job` IN ("+marks(len(chunk))+") ORDER BY `timestamp`,`creation`,`name`", anys(chunk)...)
		for _, e := range found {
			e.Timestamp = e.written()
			if before, ok := last[e.Job]; !ok || !e.Timestamp.Before(before.Timestamp) {
				last[e.Job] = *e
			}
		}
		return err
	})
	return last, err
}

// Logged reads of the logs of the named rows the first message each that begins so, by name.
func (d *DB) Logged(ctx context.Context, names []string, begins string) (map[string]string, error) {
	messages := make(map[string]string, len(names))
	err := inChunks(names, func(chunk []string) error {
		found, err := selectRows(ctx, &d.tables, fmt.Sprintf("read the log of %d jobs", len(chunk)), tableLog, logColumns,
			"WHERE `background_job` IN ("+marks(len(chunk))+") AND `message` LIKE ? ORDER BY `timestamp` DESC,`name`", append(anys(chunk), begins+"%")...)
		for _, e := range found {
			messages[e.Job] = e.Message
		}
		return err
	})
	return messages, err
}

// Pending reads name, time and run_after of up to limit Pending rows behind a place, oldest first.
func (d *DB) Pending(ctx context.Context, behind Place, limit int) ([]*BackgroundJob, error) {
	return d.selectColumns(ctx, "find the Pending jobs", []*jobColumn{colName, colAsOf, colRunAfter}, "j "+ofStatus+" AND "+behindPlace+placesOrder,
		append(behind.args(StatusPending), limit)...)
}

// everyStatus are the states of rows, each looked at apart.
var everyStatus = []Status{
	StatusPending, StatusQueued, StatusRunning, StatusCompleted, StatusFailed, StatusTimedOut, StatusDeadLetter, StatusCanceled,
}

// ChangedByHand reads up to limit places of rows behind one that were modified within a time, from <= modified < to, and
// whose log has nothing as new that leads to their status, oldest first: somebody else than the engine wrote them. What he
// wrote may be anything, the status or not, and his time stamp may be a little older than the engine's last one: he had to
// wait for the row. A zero to is no end. It costs a look into the log for each row that was modified then.
func (d *DB) ChangedByHand(ctx context.Context, from, to time.Time, behind Place, limit int) ([]Place, error) {
	return d.changedPlaces(ctx, "find the jobs that somebody changed", changedByHand, everyStatus, from, to, behind, limit)
}

// changedByHand finds those of one status.
var changedByHand = placesOf("AND NOT EXISTS (SELECT 1 FROM `" + tableLog + "` l WHERE l.`background_job`=j.`name` AND l.`timestamp`>=j.`modified` AND l.`to_status`=j.`status`)")

// placesOf finds rows of one status that were modified within a time, on a condition.
func placesOf(condition string) string {
	return "(" + placesWhere + " AND j.`modified`>=? AND j.`modified`<? AND " + behindPlace + " " + condition + placesOrder + ")"
}

// changedPlaces reads up to limit places of rows behind one that were modified within a time, oldest first: query is placesOf.
// Each status apart: so the index on status and time finds them.
func (d *DB) changedPlaces(ctx context.Context, what, query string, statuses []Status, from, to time.Time, behind Place, limit int) ([]Place, error) {
	first, last := earliestText(from, d.Location()), "9999-12-31 23:59:59"
	if !to.IsZero() {
		last = latestText(to, d.Location())
	}
	var args []any
	for _, s := range statuses {
		of := behind.args(s)
		args = append(append(args, of[0], first, last), append(of[1:], limit)...)
	}
	places, err := selectAll[Place](ctx, &d.conn, what, query+strings.Repeat(" UNION ALL "+query, len(statuses)-1), args...)
	slices.SortFunc(places, Place.compare)
	return places[:min(len(places), limit)], err
}

const (
	ofStatus    = "WHERE j.`status`=?"
	placesWhere = "SELECT j.`name`,COALESCE(j.`modified`,'') AS modified FROM `" + tableJob + "` j " + ofStatus
	behindPlace = "j.`modified`>=? AND (j.`modified`>? OR j.`name`>?)"
	placesOrder = " ORDER BY j.`modified`,j.`name` LIMIT ?"
)

// args are a status and those of behindPlace.
func (p Place) args(s Status) []any {
	from := p.from()
	return []any{string(s), from, from, p.Name}
}

// WithoutObject names those of the rows whose input_parameters hold something else than a JSON object or null, however large.
func (d *DB) WithoutObject(ctx context.Context, names []string) (without []string, err error) {
	err = inChunks(names, func(chunk []string) error {
		found, err := d.Strings(ctx, fmt.Sprintf("look at the parameters of %d jobs", len(chunk)), "SELECT `name` FROM `"+tableJob+"` FORCE INDEX (PRIMARY) WHERE `name` IN ("+
			marks(len(chunk))+") AND `input_parameters`<>'' AND COALESCE(JSON_TYPE(`input_parameters`),'') NOT IN ('OBJECT','NULL')", anys(chunk)...)
		without = append(without, found...)
		return err
	})
	return without, err
}

// ofAppKept is how long it may stay unseen that an app was installed.
const ofAppKept = time.Minute

// IsOfApp reports whether an app of the site's brings the DocType Background Job: its code makes and moves rows as well.
func (d *DB) IsOfApp(ctx context.Context) (bool, error) {
	return d.ofApp.Get(ctx, "", ofAppKept, func() (bool, error) {
		custom, err := d.Strings(ctx, "look whose DocType Background Job is", "SELECT CAST(`custom` AS char) FROM `tabDocType` WHERE `name`='Background Job'")
		if errors.Is(err, ErrTableMissing) { // a bare database
			return false, nil
		}
		return len(custom) > 0 && custom[0] == "0", err
	})
}

// Forget has the site's Job Types, organizations and names read anew.
func (d *DB) Forget() {
	d.jobTypes.Forget()
	d.organizations.Forget()
	d.spelled.Forget()
}

// Rest ends the connections now, unless one is in use, instead of half a second after the last use.
func (d *DB) Rest() { d.bound.rest(&d.database) }
