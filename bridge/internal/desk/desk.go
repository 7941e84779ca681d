// Package desk is step 7 of a job's life: it tells the clients of a site's Socket.IO server what was committed. Events
// go out in the order in which they happened, joined into pipelines. Realtime is a hint, the row is the truth: a Redis
// that is away costs events, never a job, and holds nobody up.
package desk

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Names of the events that tell about a Background Job.
const (
	EventProgress      = "job_progress"
	EventStatusChanged = "job_status_changed"
)

// Publisher sends events, see realtime.Publisher.
type Publisher interface {
	Publish(ctx context.Context, events ...realtime.Event) error
	DocUpdate(site, doctype, name, modified string)
	ListUpdate(site, doctype string, names ...string)
	Run(ctx context.Context) error
	Close() error
}

// Params are what a Desk needs.
type Params struct {
	Publisher Publisher
	// Members lists the users of an organization; an error means that they can't be known now.
	Members func(ctx context.Context, site, organization string) ([]string, error)
	// Now is a site's time as the desk writes it.
	Now func(ctx context.Context, site string) string
	Log *slog.Logger
}

// Desk publishes. It implements sites.Observer.
type Desk struct {
	Params
	lanes *batch.Lanes[string, news]
	said  wait.Seldom
}

// news is something to tell the people of one site.
type news struct {
	// about has no name for a job without a row, of which only its owner is told.
	about   sites.Subject
	name    string // of the event
	message map[string]any
	// modified is set for a change that the stock desk wants to know as well.
	modified string
	// listed says that lists show something new.
	listed bool
}

// maxWaiting bounds what waits, per site, for a Redis that is away.
const maxWaiting = 50_000

// New prepares a desk; Run publishes.
func New(p Params) *Desk {
	d := &Desk{Params: p}
	d.lanes = batch.NewLanes(maxWaiting, d.publish, func(site string, n int) {
		d.Log.Warn("realtime events dropped: Redis was away too long", "site", site, "events", n)
	})
	return d
}

// Run publishes until ctx ends, and the rest then.
func (d *Desk) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { _ = d.Publisher.Run(ctx) })
	both.Go(func() { d.lanes.Run(ctx) })
	both.Wait()
	if err := d.Publisher.Close(); err != nil {
		d.Log.Warn("last realtime events not sent", "error", err)
	}
}

// Moved implements sites.Observer.
func (d *Desk) Moved(m sites.Moved) {
	message := map[string]any{"job_id": m.Name, "from_status": m.From, "to_status": m.To, "updated_at": m.Modified}
	for field, text := range map[string]string{"output_reference": m.Written.OutputReference, "error_message": m.Written.ErrorMessage} {
		if text != "" {
			message[field] = brief(text)
		}
	}
	d.lanes.Add(m.Site, news{about: m.Subject, name: EventStatusChanged, message: message, modified: m.Modified, listed: true})
	if m.To == rows.StatusCompleted {
		d.lanes.Add(m.Site, news{about: m.Subject, name: EventProgress, message: progressMessage(m.Name, m.To, 100, m.Written.ProgressMessage, m.Modified)})
	}
}

// Progressed implements sites.Observer.
func (d *Desk) Progressed(p sites.Progressed) {
	message := progressMessage(p.Name, rows.StatusRunning, p.Percent, p.Message, p.At)
	d.lanes.Add(p.Site, news{about: p.Subject, name: EventProgress, message: message, listed: true})
}

// PlainProgress tells the submitter about a job without a row, which nobody else may see and no document shows.
func (d *Desk) PlainProgress(site, user, id string, percent float64, text string) {
	if site == "" || user == "" {
		return
	}
	message := progressMessage(id, rows.StatusRunning, percent, text, "")
	d.lanes.Add(site, news{about: sites.Subject{Site: site, Owner: user}, name: EventProgress, message: message})
}

func progressMessage(id string, s rows.Status, percent float64, text, at string) map[string]any {
	return map[string]any{"job_id": id, "status": s, "progress": percent, "progress_message": text, "updated_at": at}
}

// publish tells one site's news.
func (d *Desk) publish(ctx context.Context, site string, all []news) {
	var events []realtime.Event
	for _, n := range all {
		if n.about.Name == "" {
			n.message["updated_at"] = d.Now(ctx, site)
			events = append(events, realtime.Event{Name: n.name, Site: site, Room: realtime.RoomUser(n.about.Owner), Message: n.message})
			continue
		}
		events = append(events, d.eventsOf(ctx, n)...)
		if n.modified != "" {
			d.Publisher.DocUpdate(site, sites.DocType, n.about.Name, n.modified)
		}
		if n.listed {
			d.Publisher.ListUpdate(site, sites.DocType, n.about.Name)
		}
	}
	if err := d.Publisher.Publish(ctx, events...); err != nil && ctx.Err() == nil {
		d.said.Warn(d.Log, "realtime events not published", site, "error", err, "site", site, "events", len(events))
	}
}

// eventsOf addresses an event to the organization's room, which the app's handler has, and to those of a stock server.
func (d *Desk) eventsOf(ctx context.Context, n news) []realtime.Event {
	// Encoded once for all rooms. A map of strings and numbers always encodes.
	encoded, _ := json.Marshal(n.message)
	rooms := []string{
		realtime.RoomOrganization(n.about.Organization),
		realtime.RoomDoc(sites.DocType, n.about.Name),
		realtime.RoomDoc("Organization", n.about.Organization),
	}
	for _, user := range d.audience(ctx, n.about) {
		rooms = append(rooms, realtime.RoomUser(user))
	}
	events := make([]realtime.Event, len(rooms))
	for i, room := range rooms {
		events[i] = realtime.Event{Name: n.name, Site: n.about.Site, Room: room, Message: json.RawMessage(encoded)}
	}
	return events
}

// maxAudience bounds the fan-out to single users; larger organizations follow doc:Organization/<name>.
const maxAudience = 50

// audience lists the users told by name: the owner and the organization's members, if those can be read now.
func (d *Desk) audience(ctx context.Context, s sites.Subject) []string {
	users := []string{s.Owner}
	members, err := d.Members(ctx, s.Site, s.Organization)
	if err != nil {
		return users
	}
	for _, m := range members {
		if m != s.Owner && len(users) < maxAudience {
			users = append(users, m)
		}
	}
	return users
}

// brief cuts what a row says at length, a panic's stack for instance, to what is sent to every member.
func brief(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if runes := []rune(text); len(runes) > 500 {
		return string(runes[:499]) + "…"
	}
	return text
}
