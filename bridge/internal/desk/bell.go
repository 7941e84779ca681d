package desk

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// eventNotification is the stock desk's: it fetches the newest entry of the Notification Log.
const eventNotification = "notification"

// What the bell says. A site's Translations may say it in other languages.
const (
	sayDeadLetter     = "{0} failed for good: {1}"
	sayCompleted      = "{0} is completed"
	sayMoreDeadLetter = "{0} more jobs failed for good"
	sayMoreCompleted  = "{0} more jobs are completed"
)

const (
	// ringsOfAnEnd is how many jobs that end in one way a user hears of in a minute, before they are only counted;
	// ringsOfASite how many of these are told apart.
	ringsOfAnEnd = 10
	ringsOfASite = 10_000
)

// BellParams are what a Bell needs.
type BellParams struct {
	JobTypes func(ctx context.Context, site string) (map[string]*rows.JobType, error)
	// InRole lists who has a role and may see what belongs to the organization.
	InRole func(ctx context.Context, site, role, organization string) ([]string, error)
	// Write writes to a site's Notification Log and names who got something.
	Write   func(ctx context.Context, site string, ns []rows.Notification) (told []string, err error)
	Publish func(ctx context.Context, events ...realtime.Event) error
	Log     *slog.Logger
}

// Bell tells people of a job's end through the desk's bell, each end once: its submitter when it failed for good, and when it
// is completed if its Job Type says so; of a dead letter also those of the Job Type's role. It is told of each end by the
// process that wrote it: one that dies before it has told leaves it untold. It implements sites.Observer.
type Bell struct {
	BellParams
	lanes *batch.Lanes[string, end]
	flood *flood[ring]
	said  wait.Seldom
}

// end is how a job ended.
type end struct {
	sites.Subject
	to  rows.Status
	why string
	// more is set for the sum of what a user, Owner, didn't hear of one by one.
	more int
}

// ring is who hears of which ends.
type ring struct {
	user string
	to   rows.Status
}

// NewBell prepares a bell; Run rings it.
func NewBell(p BellParams) *Bell {
	b := &Bell{BellParams: p, flood: newFlood(ringsOfAnEnd, ringsOfASite, ring{})}
	b.lanes = batch.NewLanes(maxWaiting, b.tell, func(site string, n int) {
		b.Log.Warn("notifications dropped: the site's database was away too long", "site", site, "jobs", n)
	})
	return b
}

// Run rings until ctx ends, and for the rest then.
func (b *Bell) Run(ctx context.Context) {
	b.flood.run(ctx, b.lanes.Run, func(site string, r ring, n int, _ time.Time) {
		b.lanes.Add(site, end{Subject: sites.Subject{Owner: r.user}, to: r.to, more: n})
	})
}

// Moved implements sites.Observer.
func (b *Bell) Moved(m sites.Moved) {
	if m.To == rows.StatusDeadLetter || m.To == rows.StatusCompleted && !m.Withheld {
		why, _, _ := strings.Cut(strings.TrimSpace(m.Written.ErrorMessage), "\n")
		b.lanes.Add(m.Site, end{Subject: m.Subject, to: m.To, why: rows.Data(why)})
	}
}

// Progressed implements sites.Observer.
func (b *Bell) Progressed(sites.Progressed) {}

// tell tells of what ended on one site.
func (b *Bell) tell(ctx context.Context, site string, ends []end) {
	types, err := b.JobTypes(ctx, site)
	if err != nil {
		b.said.Warn(b.Log, "nobody is notified of jobs that ended: the site's Job Types can't be read", site, "error", err, "site", site, "jobs", len(ends))
		return
	}
	var ns []rows.Notification
	for _, e := range ends {
		jobType := cmp.Or(types[e.JobType], &rows.JobType{})
		for _, user := range b.hearers(ctx, e, jobType) {
			if e.more > 0 || b.flood.admits(site, ring{user, e.to}) {
				ns = append(ns, e.notification(user, cmp.Or(jobType.DisplayName, e.JobType)))
			}
		}
	}
	if len(ns) == 0 {
		return
	}
	told, err := b.Write(ctx, site, ns)
	switch {
	case errors.Is(err, rows.ErrTableMissing): // there is no desk that would show it
	case err != nil:
		b.said.Warn(b.Log, "the site's Notification Log can't be written", site, "error", err, "site", site, "notifications", len(ns))
	case len(told) > 0:
		rooms := make([]string, len(told))
		for i, user := range told {
			rooms[i] = realtime.RoomUser(user)
		}
		event := realtime.Event{Name: eventNotification, Site: site, Rooms: rooms, Message: map[string]any{}}
		if err := b.Publish(ctx, event); err != nil {
			b.said.Warn(b.Log, "the bell isn't rung; its list has the notifications", site, "error", err, "site", site)
		}
	}
}

// hearers are who hears of an end, each once.
func (b *Bell) hearers(ctx context.Context, e end, t *rows.JobType) []string {
	if e.to == rows.StatusCompleted && !t.NotifyOnCompletion && e.more == 0 {
		return nil
	}
	users := []string{e.Owner}
	if e.to == rows.StatusDeadLetter && t.DeadLetterRole != "" {
		role, err := b.InRole(ctx, e.Site, t.DeadLetterRole, e.Organization)
		if err != nil {
			b.said.Warn(b.Log, "the role that hears of dead letters can't be read", e.Site, "error", err, "site", e.Site, "job_type", e.JobType, "role", t.DeadLetterRole)
		}
		users = append(users, slices.DeleteFunc(slices.Clone(role), func(user string) bool { return user == e.Owner })...)
	}
	return slices.DeleteFunc(users, func(user string) bool { return user == "" })
}

// notification is what a user is told of an end.
func (e end) notification(user, title string) rows.Notification {
	n := rows.Notification{User: user, Text: sayDeadLetter, Doctype: sites.DocType, Name: e.Name, Args: []string{title + " " + e.Name, e.why}}
	if e.to == rows.StatusCompleted {
		n.Text, n.Args = sayCompleted, n.Args[:1]
	}
	if e.more > 0 {
		n.Text, n.Args, n.Name = sayMoreDeadLetter, []string{strconv.Itoa(e.more)}, ""
		n.Link = listOf + strings.ReplaceAll(string(e.to), " ", "%20")
		if e.to == rows.StatusCompleted {
			n.Text = sayMoreCompleted
		}
	}
	return n
}

// listOf is the desk's list of the jobs in a state, whose name follows.
const listOf = "/app/background-job?status="
