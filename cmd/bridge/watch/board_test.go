package watch

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vbauerster/mpb/v8"
)

// shown collects states.
type shown struct{ states []State }

func (s *shown) Show(j State) { s.states = append(s.states, j) }
func (s *shown) Close()       {}

func TestEventsThatComeTwiceOrLate(t *testing.T) {
	view := &shown{}
	b := &board{what: Subject{All: true}, view: view, changed: map[string]bool{}, jobs: map[string]*State{"J": {ID: "J", Status: "Queued"}}}
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
	want := []State{
		{ID: "J", Status: "Running"},
		{ID: "J", Status: "Running", Progress: 50, Message: "half"},
		{ID: "J", Status: "Running", Progress: 100},
		{ID: "J", Status: "Completed", Progress: 100, Message: "out"},
		{ID: "J", Status: "Queued", Progress: 100},
	}
	if diff := cmp.Diff(want, view.states, cmpopts.IgnoreUnexported(State{}), cmpopts.IgnoreFields(State{}, "Updated")); diff != "" {
		t.Errorf("shown states (-want +got):\n%s", diff)
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
