package desk

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// EventDeadLetters tells that an organization's dead letters have become many.
const EventDeadLetters = "job_dead_letters"

// sayDeadLetters is what the bell says then.
const sayDeadLetters = "{0} has {1} dead letters"

// AlertParams are what an Alert needs.
type AlertParams struct {
	// Threshold is from how many dead letters on an organization's are told of, 0 for never; Role is who is told by the bell.
	Threshold int
	Role      string
	// Count counts an organization's dead letters, no further than most.
	Count   func(ctx context.Context, site, organization string, most int) (int, error)
	Told    Told
	InRole  func(ctx context.Context, site, role, organization string) ([]string, error)
	Write   func(ctx context.Context, site string, ns []rows.Notification) (told []string, err error)
	Publish func(ctx context.Context, events ...realtime.Event) error
	Tenant  func(ctx context.Context, site string) string
	Now     func(ctx context.Context, site string) string
	Log     *slog.Logger
}

// Alert tells once, of all processes one, when an organization's dead letters reach the threshold, and again only after they
// were fewer. It is looked when another one comes. It implements sites.Observer.
type Alert struct {
	AlertParams
	lanes *batch.Lanes[string, string]
	said  wait.Seldom
}

// NewAlert prepares an alert; Run tells.
func NewAlert(p AlertParams) *Alert {
	a := &Alert{AlertParams: p}
	a.lanes = batch.NewLanes(maxWaiting, a.look, func(string, int) {}) // the next dead letter has it looked at again
	return a
}

// Run tells until ctx ends, and of the rest then.
func (a *Alert) Run(ctx context.Context) { a.lanes.Run(ctx) }

// Moved implements sites.Observer.
func (a *Alert) Moved(m sites.Moved) {
	if a.Threshold > 0 && m.To == rows.StatusDeadLetter && m.Organization != "" {
		a.lanes.Add(m.Site, m.Organization)
	}
}

// Progressed implements sites.Observer.
func (a *Alert) Progressed(sites.Progressed) {}

// look counts the dead letters of organizations of one site.
func (a *Alert) look(ctx context.Context, site string, organizations []string) {
	slices.Sort(organizations)
	for _, organization := range slices.Compact(organizations) {
		if err := a.check(ctx, site, organization); err != nil {
			a.said.Warn(a.Log, "an organization's dead letters can't be counted or told of now", site, "error", err, "site", site, "organization", organization)
		}
	}
}

func (a *Alert) check(ctx context.Context, site, organization string) error {
	n, err := a.Count(ctx, site, organization, a.Threshold)
	if err != nil {
		return err
	}
	if n < a.Threshold {
		return a.Told.Forget(ctx, site, organization)
	}
	first, err := a.Told.First(ctx, site, organization)
	if err != nil || !first {
		return err
	}
	a.Log.Warn("the dead letters of an organization have reached the threshold; look at them with: bridge jobs --status dead-letter --group-by error",
		"site", site, "organization", organization, "dead_letters", n)
	return a.tell(ctx, site, organization, n)
}

// tell tells the organization's room, and those who have the role and may see the organization.
func (a *Alert) tell(ctx context.Context, site, organization string, n int) error {
	users, err := a.InRole(ctx, site, a.Role, organization)
	ns := make([]rows.Notification, len(users))
	for i, user := range users {
		ns[i] = rows.Notification{
			User: user, Text: sayDeadLetters, Args: []string{organization, strconv.Itoa(n)}, Doctype: sites.DocType,
			Link: listOf + "Dead%20Letter",
		}
	}
	told, notWritten := a.Write(ctx, site, ns)
	if errors.Is(notWritten, rows.ErrTableMissing) { // there is no desk that would show it
		notWritten = nil
	}
	rooms := []string{realtime.RoomOrganization(organization), realtime.RoomDoc(a.Tenant(ctx, site), organization)}
	var bells []string
	for _, user := range users {
		rooms = append(rooms, realtime.RoomUser(user))
	}
	for _, user := range told {
		bells = append(bells, realtime.RoomUser(user))
	}
	events := []realtime.Event{{Name: EventDeadLetters, Site: site, Rooms: rooms, Message: map[string]any{
		"organization": organization, "dead_letters": n, "updated_at": a.Now(ctx, site),
	}}}
	if len(bells) > 0 {
		events = append(events, realtime.Event{Name: eventNotification, Site: site, Rooms: bells, Message: map[string]any{}})
	}
	return errors.Join(err, notWritten, a.Publish(ctx, events...))
}

// Told remembers, for all processes, of whose dead letters people were told.
type Told struct{ Redis redis.UniversalClient }

// toldKey is a hash: site and organization → 1.
const toldKey = "rq:bridge:dead-letters-told"

func toldField(site, organization string) string {
	return site + "\x00" + strings.ToLower(organization)
}

// First notes that people are told, and reports whether nobody has done so before.
func (t Told) First(ctx context.Context, site, organization string) (bool, error) {
	return t.Redis.HSetNX(ctx, toldKey, toldField(site, organization), 1).Result()
}

// Forget notes that there is nothing to tell any more.
func (t Told) Forget(ctx context.Context, site, organization string) error {
	return t.Redis.HDel(ctx, toldKey, toldField(site, organization)).Err()
}
