package watch

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/vbauerster/mpb/v8"
)

// shown collects states.
type shown struct{ states []State }

func (s *shown) Show(j State) { s.states = append(s.states, j) }
func (s *shown) Close()       {}

func TestEventsThatComeTwiceOrLate(t *testing.T) {
	view := &shown{}
	b := &board{Follower: Follower{What: Subject{All: true}, View: view}, changed: map[string]bool{}, jobs: map[string]*State{"J": {ID: "J", Status: "Queued"}}}
	for _, event := range []struct{ name, message string }{
		{"job_progress", `{"job_id":"J","status":"Running","progress":5,"updated_at":"02"}`}, // a late one: it waits again
		{"job_status_changed", `{"job_id":"J","to_status":"Running","updated_at":"10"}`},
		{"job_status_changed", `{"job_id":"J","to_status":"Running","updated_at":"10"}`}, // by another room
		{"job_progress", `{"job_id":"J","status":"Running","progress":50,"progress_message":"half","updated_at":"12"}`},
		{"job_progress", `{"job_id":"J","status":"Running","progress":40,"updated_at":"11"}`},  // older
		{"job_progress", `{"job_id":"J","status":"Running","progress":100,"updated_at":"21"}`}, // written while the job ended
		{"job_status_changed", `{"job_id":"J","to_status":"Completed","output_reference":"out","updated_at":"20"}`},
		{"job_progress", `{"job_id":"J","status":"Running","progress":99,"updated_at":"22"}`}, // after the end
		{"job_progress", `{"job_id":"J","status":"Completed","progress":100,"progress_message":"done","updated_at":"20"}`},
		{"job_status_changed", `{"job_id":"J","to_status":"Queued","updated_at":"30"}`}, // by hand
		{"something_else", `{"job_id":"J"}`},
		{"job_progress", `garbage`},
	} {
		b.event(event.name, []json.RawMessage{json.RawMessage(event.message)})
	}
	if !b.changed["J"] {
		t.Error("after changes of status, which come without texts to who may not read the document, the row isn't read")
	}
	want := []State{
		{ID: "J", Status: "Running"},
		{ID: "J", Status: "Running", Progress: 50, Message: "half"},
		{ID: "J", Status: "Running", Progress: 100, Message: "half"}, // an event without text takes none away
		{ID: "J", Status: "Completed", Progress: 100, Message: "out"},
		{ID: "J", Status: "Queued", Progress: 100},
	}
	if diff := cmp.Diff(want, view.states, cmpopts.IgnoreUnexported(State{}), cmpopts.IgnoreFields(State{}, "Updated")); diff != "" {
		t.Errorf("shown states (-want +got):\n%s", diff)
	}
}

func TestRowsOnABoard(t *testing.T) {
	view := &shown{}
	var heard []string
	b := &board{
		Follower: Follower{
			What: Subject{Organization: "A"}, View: view,
			Title: func(id string) string { return "title of " + id }, Heard: func(id string) { heard = append(heard, id) },
		},
		jobs: map[string]*State{}, changed: map[string]bool{},
	}
	event := func(id string) json.RawMessage {
		return json.RawMessage(`{"job_id":"` + id + `","status":"Running","progress":10,"updated_at":"02"}`)
	}
	// Jobs that nobody knew: they wait for their rows.
	for _, id := range []string{"mine", "theirs", "plain"} {
		if !b.event("job_progress", []json.RawMessage{event(id)}) {
			t.Errorf("the row of %s, of which nothing is known, is not to be read", id)
		}
	}
	if b.event("job_progress", []json.RawMessage{event("mine")}) {
		t.Error("a row that is to be read already is asked for again")
	}
	if len(view.states) > 0 {
		t.Errorf("shown before a row was read: %+v", view.states)
	}
	b.row(&rows.BackgroundJob{Name: "over", JobType: "type", Organization: "A", Status: rows.StatusCompleted, OutputReference: "out", ErrorMessage: "earlier"})
	b.row(&rows.BackgroundJob{Name: "open", Organization: "A", Status: rows.StatusFailed, ErrorMessage: "why", ProgressMessage: "half"})
	names := b.toRead(map[string]bool{"open": true})
	slices.Sort(names)
	if want := []string{"mine", "plain", "theirs"}; !slices.Equal(names, want) {
		t.Errorf("rows to be read are %q, want %q: neither those that were seen nor those that are over", names, want)
	}
	b.rows(names, map[string]*rows.BackgroundJob{
		"mine":   {Name: "mine", JobType: "type", Organization: "A", Status: rows.StatusRunning, Progress: 20, ProgressMessage: "on", ErrorMessage: "earlier"},
		"theirs": {Name: "theirs", JobType: "type", Organization: "B", Status: rows.StatusRunning},
	})
	want := []State{
		{ID: "over", Title: "type", Organization: "A", Status: "Completed", Message: "out"},
		{ID: "open", Organization: "A", Status: "Failed", Message: "why"},
		{ID: "mine", Title: "type", Organization: "A", Status: "Running", Progress: 20, Message: "on"},
		{ID: "plain", Title: "title of plain", Status: "Running", Progress: 10},
	}
	if diff := cmp.Diff(want, view.states, cmpopts.IgnoreUnexported(State{}), cmpopts.IgnoreFields(State{}, "Updated")); diff != "" {
		t.Errorf("shown states (-want +got):\n%s", diff)
	}
	if want := []string{"mine", "theirs", "plain", "mine"}; !slices.Equal(heard, want) {
		t.Errorf("heard of %q, want %q", heard, want)
	}
	if len(b.changed) > 0 {
		t.Errorf("rows that were read are to be read again: %v", b.changed)
	}
}

func TestListUpdatesNameRows(t *testing.T) {
	message := []json.RawMessage{json.RawMessage(`{"doctype":"Background Job","name":"new"}`)}
	for _, tc := range []struct {
		what Subject
		want bool
	}{{Subject{All: true}, true}, {Subject{Organization: "A"}, false}} {
		b := &board{Follower: Follower{What: tc.what, View: &shown{}}, jobs: map[string]*State{}, changed: map[string]bool{}}
		if got := b.event("list_update", message); got != tc.want || slices.Contains(b.toRead(nil), "new") != tc.want {
			t.Errorf("who watches %+v has the row read: %v, want %v", tc.what, got, tc.want)
		}
	}
}

func TestBoardOfOneJobIgnoresOthers(t *testing.T) {
	view := &shown{}
	b := &board{Follower: Follower{What: Subject{Job: "J"}, View: view}, jobs: map[string]*State{"J": {ID: "J", Status: "Queued"}}, changed: map[string]bool{}}
	for _, id := range []string{"other", "J"} {
		b.event("job_status_changed", []json.RawMessage{json.RawMessage(`{"job_id":"` + id + `","to_status":"Completed","updated_at":"02"}`)})
	}
	if len(view.states) != 1 || view.states[0].ID != "J" || len(b.jobs) != 1 || !b.done() {
		t.Errorf("shown %+v of jobs %v, want J alone, which is done", view.states, b.jobs)
	}
}

func TestDisplays(t *testing.T) {
	s := State{ID: "site1||3f8e7a44-5a0e-4d4e-9d5c-0c1c8d6e2b11", Title: "sample_job", Status: "Running", Progress: 41.6, Message: "step\x1b[2J 4\n of 10"}
	if got, want := stateLine(s), "…3f8e7a44-5a…    sample_job         Running      42%  step\uFFFD[2J 4 of 10"; got != want {
		t.Errorf("line %q, want %q", got, want)
	}
	var out bytes.Buffer
	view := newBars(&out, mpb.WithAutoRefresh(), mpb.WithWidth(130))
	view.Show(s)
	s.ID, s.Status = "JOB-1", "Failed"
	view.Show(s)
	s.Status, s.Progress, s.Message = "Completed", 100, "all done"
	view.Show(s)
	view.Close()
	text := out.String()
	for _, want := range []string{"JOB-1", "Completed", "all done", "[====", "3f8e7a44"} {
		if !strings.Contains(text, want) {
			t.Errorf("the bars lack %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b[2J") {
		t.Errorf("an escape sequence of a job reaches the terminal: %q", text)
	}
}
