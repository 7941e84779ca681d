package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// told is an event as the realtime server gets it from Redis.
type told struct {
	Event     string         `json:"event"`
	Message   map[string]any `json:"message"`
	Room      string         `json:"-"` // an event for several rooms is noted once for each
	Namespace string         `json:"namespace"`

	at time.Time
	// moves are the statuses that the job's log had when the event arrived.
	moves []string
}

// ears collects what is published on the channel events.
type ears struct {
	mu   sync.Mutex
	all  []told
	errs []error
}

func (b *bed) listenToEvents() *ears {
	b.t.Helper()
	e := &ears{}
	ps := b.rdb.Subscribe(b.t.Context(), "events")
	if _, err := ps.Receive(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = ps.Close() })
	messages := ps.Channel()
	go func() {
		for m := range messages {
			h := told{at: time.Now()}
			err := json.Unmarshal([]byte(m.Payload), &h)
			rooms := roomsOf(m.Payload)
			if id, ok := h.Message["job_id"].(string); ok && h.Event == EventStatusChanged {
				// The log, not the row: the job may have gone on by now.
				if err := b.sql.Select(&h.moves, "SELECT to_status FROM `tabJob Execution Log` WHERE background_job = ? ORDER BY timestamp, creation", id); err != nil {
					h.moves = []string{err.Error()}
				}
			}
			e.mu.Lock()
			for _, h.Room = range rooms {
				e.all = append(e.all, h)
			}
			if err != nil {
				e.errs = append(e.errs, fmt.Errorf("%q: %w", m.Payload, err))
			}
			e.mu.Unlock()
		}
	}()
	return e
}

// roomsOf reads the rooms of an event: a list, or the name of one.
func roomsOf(payload string) (rooms []string) {
	var several struct {
		Room []string `json:"room"`
	}
	if json.Unmarshal([]byte(payload), &several) == nil {
		return several.Room
	}
	var one struct {
		Room string `json:"room"`
	}
	_ = json.Unmarshal([]byte(payload), &one) // what is no JSON has been noted
	return []string{one.Room}
}

// of gives the events of one name, those of a room only unless room is empty.
func (e *ears) of(name, room string) (out []told) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.all {
		if h.Event == name && (room == "" || h.Room == room) {
			out = append(out, h)
		}
	}
	return out
}

// check looks at what every event must be.
func (e *ears) check(t *testing.T) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := errors.Join(e.errs...); err != nil {
		t.Errorf("events that are no JSON: %v", err)
	}
	for _, h := range e.all {
		if h.Namespace != testSite || h.Room == "" || h.Event == "" {
			t.Errorf("event without name, room or namespace: %+v", h)
		}
		if strings.Contains(h.Room, "omar") || strings.Contains(h.Room, "ORG-B") {
			t.Errorf("event for somebody of the other organization: %+v", h)
		}
	}
}

// addMember makes a user who is a member of an organization.
func (b *bed) addMember(user, organization string) {
	b.t.Helper()
	b.addUser(user)
	b.exec("INSERT INTO tabPerson (name, creation, modified, owner, modified_by, frappe_user) VALUES (?, NOW(6), NOW(6), 'Administrator', 'Administrator', ?)", "P-"+user, user)
	b.exec("INSERT INTO `tabOrg Member` (name, creation, modified, owner, modified_by, person, organization, status) VALUES (?, NOW(6), NOW(6), 'Administrator', 'Administrator', ?, ?, 'Active')", "M-"+user, "P-"+user, organization)
}

// noisy reports its progress all the time for a while.
func noisy(d time.Duration) func(context.Context, *Job[any]) (any, error) {
	return func(ctx context.Context, job *Job[any]) (any, error) {
		for begin := time.Now(); time.Since(begin) < d && ctx.Err() == nil; wait.Sleep(ctx, 5*time.Millisecond) {
			job.Progress(90*time.Since(begin).Seconds()/d.Seconds(), "working <on> \"it\" ☃")
		}
		job.SetOutput("/files/out.txt")
		return nil, ctx.Err()
	}
}

func TestEventsOfAJob(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.addMember("anna@example.com", "ORG-A")
	b.addMember("omar@example.com", "ORG-B")
	b.exec("UPDATE `tabJob Type` SET name = 'noisy', type_name = 'noisy', handler_method = 'go.noisy' WHERE name = 'echo_job'")
	e := b.listenToEvents()
	b.start(func(en *Engine) { Register(en, "go.noisy", noisy(3500*time.Millisecond)) })
	id := b.enqueue("go.noisy", map[string]any{"organization": "ORG-A"})
	b.waitJob(id, rqcompat.StatusFinished)
	row, err := b.db.NewestByHash(t.Context(), sites.ArrivalsHash(id))
	if err != nil {
		t.Fatal(err)
	}
	rooms := []string{"doc:Background Job/" + row.Name, "doc:Organization/ORG-A", "org:ORG-A", "user:anna@example.com", "user:jane@example.com"}
	b.eventually("the last events came", func() bool {
		last := e.of("doc_update", "")
		return len(e.of(EventStatusChanged, "")) >= 2*len(rooms) && len(last) > 0 && last[len(last)-1].Message["modified"] == row.ModifiedRaw
	}, func() string { return fmt.Sprintf("%+v", e.of("doc_update", "")) })
	time.Sleep(300 * time.Millisecond)
	e.check(t)

	var informed []string
	for _, h := range e.of(EventStatusChanged, "") {
		if h.Message["to_status"] == "Completed" {
			informed = append(informed, h.Room)
		}
		if !slices.Contains(h.moves, h.Message["to_status"].(string)) {
			t.Errorf("%v was published before its COMMIT: log has %v", h.Message, h.moves)
		}
	}
	slices.Sort(informed)
	if diff := cmp.Diff(rooms, informed); diff != "" {
		t.Errorf("rooms that were told (-want +got):\n%s", diff)
	}
	for _, room := range rooms {
		b.checkStory(t, e, room, row)
	}
	b.checkDeskUpdates(t, e, row)
}

// checkStory checks what one room was told about a noisy job.
func (b *bed) checkStory(t *testing.T, e *ears, room string, row *rows.BackgroundJob) {
	t.Helper()
	// Of the others nobody has asked whether they may read the document.
	mayRead := room == "doc:Background Job/"+row.Name || room == "user:jane@example.com"
	details := func(message map[string]any, field, text string) map[string]any {
		if mayRead {
			message[field] = text
		}
		return message
	}
	changes := e.of(EventStatusChanged, room)
	if len(changes) != 2 {
		t.Fatalf("room %s: %d status events, want 2: %+v", room, len(changes), changes)
	}
	running := changes[0].Message
	want := map[string]any{"job_id": row.Name, "from_status": "Queued", "to_status": "Running", "updated_at": running["updated_at"]}
	if diff := cmp.Diff(want, running); diff != "" {
		t.Errorf("room %s (-want +got):\n%s", room, diff)
	}
	want = details(map[string]any{"job_id": row.Name, "from_status": "Running", "to_status": "Completed", "updated_at": row.ModifiedRaw}, "output_reference", "/files/out.txt")
	if diff := cmp.Diff(want, changes[1].Message); diff != "" {
		t.Errorf("room %s (-want +got):\n%s", room, diff)
	}
	progress := e.of(EventProgress, room)
	last := len(progress) - 1
	if last < 3 || last > 5 {
		t.Fatalf("room %s: %d progress events in 3.5 s, want one per second and the last", room, last+1)
	}
	for i, p := range progress[:last] {
		if i > 0 && p.at.Sub(progress[i-1].at) < 300*time.Millisecond { // the clock of the sender says a second
			t.Errorf("room %s: two reports within %s", room, p.at.Sub(progress[i-1].at))
		}
		want := details(map[string]any{"job_id": row.Name, "status": "Running", "progress": p.Message["progress"], "updated_at": p.Message["updated_at"]}, "progress_message", "working <on> \"it\" ☃")
		if diff := cmp.Diff(want, p.Message); diff != "" {
			t.Errorf("room %s (-want +got):\n%s", room, diff)
		}
		if i > 0 && p.Message["progress"].(float64) <= progress[i-1].Message["progress"].(float64) {
			t.Errorf("room %s: progress goes from %v to %v", room, progress[i-1].Message["progress"], p.Message["progress"])
		}
	}
	want = details(map[string]any{"job_id": row.Name, "status": "Completed", "progress": 100.0, "updated_at": row.ModifiedRaw}, "progress_message", "working <on> \"it\" ☃")
	if diff := cmp.Diff(want, progress[last].Message); diff != "" {
		t.Errorf("room %s (-want +got):\n%s", room, diff)
	}
}

// checkDeskUpdates checks the hints for open forms and lists.
func (b *bed) checkDeskUpdates(t *testing.T, e *ears, row *rows.BackgroundJob) {
	t.Helper()
	docs := e.of("doc_update", "")
	for i, d := range docs {
		want := map[string]any{"doctype": "Background Job", "name": row.Name, "modified": d.Message["modified"]}
		if diff := cmp.Diff(want, d.Message); diff != "" || d.Room != "doc:Background Job/"+row.Name {
			t.Errorf("doc_update in room %s (-want +got):\n%s", d.Room, diff)
		}
		if i > 0 && d.at.Sub(docs[i-1].at) < 1500*time.Millisecond {
			t.Errorf("two doc_update within %s", d.at.Sub(docs[i-1].at))
		}
	}
	lists := e.of("list_update", "")
	if len(lists) < 1 || len(lists) > 3 {
		t.Errorf("%d list_update, want one at once and one per 3 s", len(lists))
	}
	for _, l := range lists {
		if l.Message["doctype"] != "Background Job" || l.Message["name"] != row.Name || l.Room != "doctype:Background Job" {
			t.Errorf("list_update %+v", l)
		}
	}
}

// TestListUpdatesAreCollected has many jobs move at once: open lists hear of it
// in bursts that are three seconds apart.
func TestListUpdatesAreCollected(t *testing.T) { // not in parallel: it looks at times of arrival
	b := newBed(t, nil)
	e := b.listenToEvents()
	b.start(nil)
	const jobs = 60
	for range jobs {
		b.enqueue("echo_job", map[string]any{"organization": "ORG-A"})
		time.Sleep(20 * time.Millisecond)
	}
	b.eventually("every job is named", func() bool {
		names := map[any]bool{}
		for _, h := range e.of("list_update", "") {
			names[h.Message["name"]] = true
		}
		return len(names) == jobs
	}, func() string { return fmt.Sprint(len(e.of("list_update", ""))) })
	e.check(t)
	var bursts []time.Time
	last := time.Time{}
	for _, h := range e.of("list_update", "") {
		if h.at.Sub(last) > 500*time.Millisecond {
			bursts = append(bursts, h.at)
		}
		last = h.at
	}
	for i := 1; i < len(bursts); i++ {
		if gap := bursts[i].Sub(bursts[i-1]); gap < 2500*time.Millisecond {
			t.Errorf("bursts of list_update %s apart", gap)
		}
	}
}

func TestFailureAndCancelAreTold(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	e := b.listenToEvents()
	c := newCounter()
	b.start(c.register)
	failing := b.submit("sample_job", map[string]any{"duration": 0, "fail_type": "permanent"})
	b.waitRow(failing, rows.StatusDeadLetter)
	canceled := b.submit("holds", nil)
	c.waitHeld(b, 1)
	if _, err := b.client().Cancel(t.Context(), testSite, canceled, "jane@example.com"); err != nil {
		t.Fatal(err)
	}
	b.waitJob(b.bench.JobID(testSite, canceled), rqcompat.StatusStopped)
	story := func(name string) (steps []string) {
		for _, h := range e.of(EventStatusChanged, "doc:Background Job/"+name) {
			steps = append(steps, fmt.Sprintf("%v>%v %v", h.Message["from_status"], h.Message["to_status"], h.Message["error_message"]))
		}
		return steps
	}
	for name, want := range map[string][]string{
		failing:  {"Pending>Queued <nil>", "Queued>Running <nil>", "Running>Dead Letter Simulated permanent failure at completion"},
		canceled: {"Pending>Queued <nil>", "Queued>Running <nil>", "Running>Canceled <nil>"},
	} {
		b.eventually("the whole story of "+name, func() bool { return len(story(name)) >= 3 }, func() string { return fmt.Sprint(story(name)) })
		got := story(name)
		slices.Sort(got) // submitter and engine publish on connections of their own
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	e.check(t)
}

func TestProgressOfAPlainJobIsItsSubmittersAlone(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	e := b.listenToEvents()
	b.start(func(en *Engine) { Register(en, "go.noisy", noisy(300*time.Millisecond)) })
	id := b.enqueue("go.noisy", nil)
	b.waitJob(id, rqcompat.StatusFinished)
	b.eventually("progress is told", func() bool { return len(e.of(EventProgress, "")) > 0 }, func() string { return "" })
	e.check(t)
	for _, h := range e.of(EventProgress, "") {
		if h.Room != "user:jane@example.com" || h.Message["job_id"] != id {
			t.Errorf("event %+v", h)
		}
	}
}
