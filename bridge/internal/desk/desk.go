// Package desk is step 7 of a job's life: it tells the clients of a site's Socket.IO server what was committed. Events
// go out in the order in which they happened, joined into pipelines. Realtime is a hint, the row is the truth: a Redis
// that is away costs events, never a job, and holds nobody up.
package desk

import (
	"context"
	"log/slog"
	"maps"
	"slices"
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
	// Tenant is the DocType of a site's organizations.
	Tenant func(ctx context.Context, site string) string
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
	// details are fields that only those hear of who may read the document.
	details map[string]any
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
	details := map[string]any{}
	if m.Written.OutputReference != "" {
		details["output_reference"] = rows.Data(m.Written.OutputReference)
	}
	if m.Written.ErrorMessage != "" {
		details["error_message"] = brief(m.Written.ErrorMessage)
	}
	d.lanes.Add(m.Site, news{about: m.Subject, name: EventStatusChanged, message: message, details: details, modified: m.Modified, listed: true})
	if m.To == rows.StatusCompleted {
		d.lanes.Add(m.Site, progress(m.Subject, m.To, 100, m.Written.ProgressMessage, m.Modified))
	}
}

// Progressed implements sites.Observer.
func (d *Desk) Progressed(p sites.Progressed) {
	n := progress(p.Subject, rows.StatusRunning, p.Percent, p.Message, p.At)
	n.listed = true
	d.lanes.Add(p.Site, n)
}

// PlainProgress tells the submitter about a job without a row, which nobody else may see and no document shows.
func (d *Desk) PlainProgress(site, user, id string, percent float64, text string) {
	if site == "" || user == "" {
		return
	}
	n := progress(sites.Subject{Site: site, Owner: user}, rows.StatusRunning, percent, text, "")
	n.message["job_id"] = id
	d.lanes.Add(site, n)
}

// Deleted has lists read anew after rows were deleted, one of which is named.
func (d *Desk) Deleted(site, name string) { d.Publisher.ListUpdate(site, sites.DocType, name) }

func progress(about sites.Subject, s rows.Status, percent float64, text, at string) news {
	return news{
		about: about, name: EventProgress, details: map[string]any{"progress_message": rows.Data(text)},
		message: map[string]any{"job_id": about.Name, "status": s, "progress": percent, "updated_at": at},
	}
}

// publish tells one site's news.
func (d *Desk) publish(ctx context.Context, site string, all []news) {
	var events []realtime.Event
	for _, n := range all {
		if n.about.Name == "" {
			n.message["updated_at"] = d.Now(ctx, site)
			events = append(events, n.event(n.full(), realtime.RoomUser(n.about.Owner)))
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

// eventsOf addresses an event twice. Everything is told to the owner and to open forms, which Frappe has asked whether
// they may read the document. The others, the organization's room of the app's handler and those of a stock server, may
// not be allowed to: they hear what any list shows. Each is one message, since a client that is in several of its rooms
// then gets it once.
func (d *Desk) eventsOf(ctx context.Context, n news) []realtime.Event {
	others := []string{realtime.RoomOrganization(n.about.Organization), realtime.RoomDoc(d.Tenant(ctx, n.about.Site), n.about.Organization)}
	for _, user := range d.members(ctx, n.about) {
		others = append(others, realtime.RoomUser(user))
	}
	return []realtime.Event{
		n.event(n.message, others...),
		// Last, so that what somebody shows who gets both is the whole.
		n.event(n.full(), realtime.RoomDoc(sites.DocType, n.about.Name), realtime.RoomUser(n.about.Owner)),
	}
}

func (n news) event(message map[string]any, rooms ...string) realtime.Event {
	return realtime.Event{Name: n.name, Site: n.about.Site, Rooms: rooms, Message: message}
}

// full is the message with its details.
func (n news) full() map[string]any {
	all := maps.Clone(n.message)
	maps.Copy(all, n.details)
	return all
}

// maxAudience bounds the fan-out to single users; larger organizations follow their own document, doc:Organization/<name>.
const maxAudience = 50

// members lists those members of the organization that are told by name beside the owner, if they can be read now.
func (d *Desk) members(ctx context.Context, s sites.Subject) []string {
	members, err := d.Members(ctx, s.Site, s.Organization)
	if err != nil {
		return nil
	}
	others := slices.DeleteFunc(slices.Clone(members), func(user string) bool { return user == s.Owner })
	return others[:min(len(others), maxAudience)]
}

// brief cuts an error that a row has at length, a panic with its stack for instance, to what is sent, with a mark.
func brief(text string) string {
	if runes := []rune(text); len(runes) > 500 {
		return string(runes[:499]) + "…"
	}
	return text
}
