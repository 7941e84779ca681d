package rows

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
)

// The kinds of pauses.
const (
	PauseOrganization = "Organization"
	PauseJobType      = "Job Type"
	PauseQueue        = "Queue"
)

// Pause is a row of `tabBackground Job Pause`: while it is there, jobs of what it names wait.
type Pause struct {
	Name         string    `db:"name"`
	Kind         string    `db:"kind"` // Organization, Job Type or Queue; the field of that name says which
	Organization string    `db:"organization"`
	JobType      string    `db:"job_type"`
	Queue        string    `db:"queue"` // its type, as short
	Reason       string    `db:"reason"`
	PausedBy     string    `db:"paused_by"`
	Since        time.Time `db:"since"`
	Owner        string    `db:"owner"`
	Creation     time.Time `db:"creation"`
}

var pauseColumns = columnsOf[Pause]()

// Of is the name of what is paused.
func (p *Pause) Of() string {
	switch p.Kind {
	case PauseOrganization:
		return p.Organization
	case PauseJobType:
		return p.JobType
	case PauseQueue:
		return p.Queue
	}
	return ""
}

// pausesKept is how long a pause that begins or ends may stay unseen.
const pausesKept = 2 * time.Second

// Pauses are the pauses of a site.
type Pauses struct {
	All []*Pause // the oldest first
	of  map[[2]string]*Pause
}

// NewPauses are the pauses of a list, the oldest first.
func NewPauses(all []*Pause) *Pauses {
	p := &Pauses{All: all, of: make(map[[2]string]*Pause, len(all))}
	for _, one := range all {
		if key := [2]string{one.Kind, one.Of()}; p.of[key] == nil {
			p.of[key] = one
		}
	}
	return p
}

// Find is the oldest pause of what a kind and a name say; nil if it isn't paused. It may be called of nil.
func (p *Pauses) Find(kind, of string) *Pause {
	if p == nil {
		return nil
	}
	return p.of[[2]string{kind, of}]
}

// Pauses reads the site's pauses, cached for 2 s; a site without their table has none. Who paused and since when is never empty.
// Don't change them.
func (d *DB) Pauses(ctx context.Context) (*Pauses, error) {
	return d.pauses.Get(ctx, "", pausesKept, func() (*Pauses, error) {
		found, err := selectRows(ctx, &d.tables, "read what is paused", tablePause, pauseColumns, "ORDER BY `creation`,`name`")
		for _, p := range found {
			p.PausedBy = cmp.Or(p.PausedBy, p.Owner)
			if p.Since.IsZero() {
				p.Since = p.Creation
			}
		}
		return NewPauses(found), unlessMissing(err)
	})
}

// InsertPause pauses what p names, for PausedBy ("" is the system); one that is there already stays. Its Name and its times are
// given here. ErrTableMissing where none can be kept.
func (d *DB) InsertPause(ctx context.Context, p Pause) error {
	defer d.pauses.Forget()
	t, err := d.tables.get(ctx, tablePause)
	if err != nil {
		return err
	}
	now := formatTime(d.Now(), d.Location())
	name, who := frappe.Digest(p.Kind + " " + p.Of())[:16], systemUser(p.PausedBy)
	reason, _ := t.columns["reason"].fit(p.Reason)
	_, err = d.exec(ctx, "pause "+p.Of(), "INSERT IGNORE INTO `"+tablePause+"` (`name`,`creation`,`modified`,`owner`,`modified_by`,"+
		"`kind`,`organization`,`job_type`,`queue`,`reason`,`paused_by`,`since`) VALUES ("+marks(12)+")",
		name, now, now, who, who, p.Kind, nullable(p.Organization), nullable(p.JobType), nullable(p.Queue), nullable(reason), who, now)
	return d.tables.notice(err)
}

// DeletePauses ends the pauses of what p names, whoever made them, and says how many there were.
func (d *DB) DeletePauses(ctx context.Context, p Pause) (n int64, err error) {
	defer d.pauses.Forget()
	column := strings.ToLower(strings.ReplaceAll(p.Kind, " ", "_"))
	n, err = d.exec(ctx, "resume "+p.Of(), fmt.Sprintf("DELETE FROM `%s` WHERE `kind`=? AND `%s`=?", tablePause, column), p.Kind, p.Of())
	return n, d.tables.notice(err)
}
