package bridge

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
)

// Step 7: publish. Events go out after COMMIT, in the order in which they
// happened, joined into pipelines. Realtime is a hint, the row is the truth: a
// Redis that is away costs events, never a job.

// Names of the events that tell about a Background Job.
const (
	// EventProgress carries job_id, status, progress, progress_message and
	// updated_at; at most one per job and second.
	EventProgress = "job_progress"
	// EventStatusChanged carries job_id, from_status, to_status, updated_at and,
	// where there is one, output_reference or error_message.
	EventStatusChanged = "job_status_changed"
)

// maxWaitingEvents bounds what waits for a Redis that is away.
const maxWaitingEvents = 50_000

// outbox keeps events in order until the publisher takes them.
type outbox struct {
	mu      sync.Mutex
	waiting []frappe.Event
	lost    int
	filled  chan struct{}
}

func (o *outbox) add(events ...frappe.Event) {
	o.mu.Lock()
	if len(o.waiting)+len(events) > maxWaitingEvents {
		o.lost += len(o.waiting)
		o.waiting = nil
	}
	o.waiting = append(o.waiting, events...)
	o.mu.Unlock()
	signal(o.filled)
}

func (o *outbox) take() (events []frappe.Event, lost int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	events, lost = o.waiting, o.lost
	o.waiting, o.lost = nil, 0
	return events, lost
}

// publish sends what is in the outbox until ctx ends, and the rest then.
func (e *Engine) publish(ctx context.Context) {
	for await(ctx, e.outbox.filled) {
		e.flushEvents(ctx)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	e.flushEvents(last)
}

func (e *Engine) flushEvents(ctx context.Context) {
	events, lost := e.outbox.take()
	if lost > 0 {
		e.log.Warn().Int("events", lost).Msg("realtime events dropped: Redis was away too long")
	}
	if len(events) == 0 {
		return
	}
	if err := e.publisher.Publish(ctx, events...); err != nil && ctx.Err() == nil {
		e.log.Warn().Err(err).Int("events", len(events)).Msg("realtime events not published")
	}
}

// publishMove tells about a committed change of status.
func (e *Engine) publishMove(site string, row *frappe.BackgroundJob, t frappe.Transition, result frappe.TransitionResult) {
	row.Status = t.To
	e.tellAudience(site, row, EventStatusChanged, statusMessage(row, t, result.Modified))
	e.publisher.DocUpdate(site, doctype, row.Name, result.Modified)
	e.publisher.ListUpdate(site, doctype, row.Name)
	if t.To == frappe.StatusCompleted {
		e.tellAudience(site, row, EventProgress, progressMessage(row.Name, t.To, 100, textOf(t.Set["progress_message"]), result.Modified))
	}
}

func statusMessage(row *frappe.BackgroundJob, t frappe.Transition, modified string) map[string]any {
	message := map[string]any{
		"job_id": row.Name, "from_status": t.From, "to_status": t.To, "updated_at": modified,
	}
	for _, field := range []string{"output_reference", "error_message"} {
		if text := textOf(t.Set[field]); text != "" {
			message[field] = brief(text)
		}
	}
	return message
}

// publishProgress tells about a committed progress report.
func (e *Engine) publishProgress(r *run, p frappe.Progress) {
	now := r.e.siteTime(r.site)
	e.tellAudience(r.site, r.row, EventProgress, progressMessage(p.Name, frappe.StatusRunning, p.Percent, p.Message, now))
	e.publisher.ListUpdate(r.site, doctype, p.Name)
}

// publishPlainProgress tells the submitter about a job without a row; nobody
// else may see it, and there is no document to look at.
func (e *Engine) publishPlainProgress(r *run, p frappe.Progress) {
	if r.site == "" || r.user == "" {
		return
	}
	e.outbox.add(frappe.Event{
		Name: EventProgress, Site: r.site, Room: frappe.RoomUser(r.user),
		Message: progressMessage(r.id, frappe.StatusRunning, p.Percent, p.Message, e.siteTime(r.site)),
	})
}

func progressMessage(id string, s frappe.Status, percent float64, text, at string) map[string]any {
	return map[string]any{"job_id": id, "status": s, "progress": percent, "progress_message": text, "updated_at": at}
}

// tellAudience sends one event to everybody who may see the job.
func (e *Engine) tellAudience(site string, row *frappe.BackgroundJob, name string, message map[string]any) {
	users := []string{row.OwnerUser}
	if w, err := e.sites.of(e.settleCtx, site); err == nil {
		users = audienceOf(e.settleCtx, w, row)
	}
	e.outbox.add(audienceEvents(site, row, users, name, message)...)
}

// audienceEvents addresses one event to the room of the organization, which a
// server with the app's own handler has, and to rooms that clients of a stock
// server are in.
func audienceEvents(site string, row *frappe.BackgroundJob, users []string, name string, message map[string]any) []frappe.Event {
	// Encoded once for all rooms. A map of texts and numbers always encodes.
	encoded, _ := json.Marshal(message)
	rooms := []string{
		frappe.RoomOrganization(row.Organization),
		frappe.RoomDoc(doctype, row.Name),
		frappe.RoomDoc("Organization", row.Organization),
	}
	for _, user := range users {
		rooms = append(rooms, frappe.RoomUser(user))
	}
	events := make([]frappe.Event, len(rooms))
	for i, room := range rooms {
		events[i] = frappe.Event{Name: name, Site: site, Room: room, Message: json.RawMessage(encoded)}
	}
	return events
}

// maxAudience bounds the fan-out to single users; larger organizations follow
// their jobs through doc:Organization/<name>.
const maxAudience = 50

// audienceOf lists the users told by name: the owner and the organization's
// members. The owner alone if they can't be read now.
func audienceOf(ctx context.Context, w *siteRowsWriter, row *frappe.BackgroundJob) []string {
	users := []string{row.OwnerUser}
	members, _, err := w.db.Members(ctx, row.Organization)
	if err != nil {
		return users
	}
	for _, m := range members {
		if m != row.OwnerUser && len(users) < maxAudience {
			users = append(users, m)
		}
	}
	return users
}

// siteTime is now as the desk writes it.
func (e *Engine) siteTime(site string) string {
	w, err := e.sites.of(e.settleCtx, site)
	if err != nil {
		return time.Now().UTC().Format(deskTime)
	}
	return w.db.Now().Format(deskTime)
}

// deskTime is how Frappe writes a datetime: str(datetime) with microseconds.
const deskTime = "2006-01-02 15:04:05.000000"

// brief cuts what a row may say at length, a panic with its stack for instance,
// to what every member of an organization is sent.
func brief(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if runes := []rune(text); len(runes) > 500 {
		return string(runes[:499]) + "…"
	}
	return text
}

func textOf(v any) string {
	s, _ := v.(string)
	return s
}
