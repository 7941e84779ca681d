package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("no JSON of mine") }

// TestABadEventIsAlone: whatever is wrong with some events, the others are sent, and nothing that could harm a server.
func TestABadEventIsAlone(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	bad := map[string]func(*Event){
		"no name":         func(e *Event) { e.Name = "" },
		"a reserved name": func(e *Event) { e.Name = "disconnect" },
		"no site":         func(e *Event) { e.Site = "" },
		"no rooms":        func(e *Event) { e.Rooms = nil },
		"an empty room":   func(e *Event) { e.Rooms = append(e.Rooms, "") },
		"nobody's room":   func(e *Event) { e.Rooms = []string{RoomUser("")} },
		"nobody's rooms":  func(e *Event) { e.Rooms = []string{RoomOrganization(""), RoomDoc("Organization", "")} },
		"an endless user": func(e *Event) { e.Rooms = []string{RoomUser(huge)} },
		"no number":       func(e *Event) { e.Message = math.NaN() },
		"no JSON":         func(e *Event) { e.Message = json.RawMessage("{") },
		"a channel":       func(e *Event) { e.Message = make(chan int) },
		"a panic":         func(e *Event) { e.Message = panics{} },
		"a megabyte":      func(e *Event) { e.Message = map[string]any{"text": huge} },
		"an endless name": func(e *Event) { e.Name = huge },
	}
	var kinds []string
	for kind := range bad {
		kinds = append(kinds, kind)
	}
	odd := []string{"jane@example.com", "a\xff\xfe", "\x00", "'\"\\", "日本", strings.Repeat("é", 140), "a/b:c", "</script>", "\u2028"}
	rapid.Check(t, func(t *rapid.T) {
		var sent [][]byte
		p := newPublisher(nil, func(_ context.Context, payloads [][]byte) error {
			sent = append(sent, payloads...)
			return nil
		})
		var events []Event
		var healthy []string
		wrong := 0
		for i := range rapid.IntRange(1, 30).Draw(t, "n") {
			name := rapid.SampledFrom(odd).Draw(t, "user")
			e := Event{Name: fmt.Sprint("event-", i), Site: "a.test", Rooms: []string{RoomUser(name), RoomDoc("Background Job", name)}, Message: map[string]any{"text": name}}
			if rapid.Bool().Draw(t, "no organization") {
				e.Rooms = append(e.Rooms, RoomOrganization(""))
			}
			if rapid.IntRange(0, 2).Draw(t, "bad") == 0 {
				bad[rapid.SampledFrom(kinds).Draw(t, "kind")](&e)
				wrong++
			} else {
				healthy = append(healthy, e.Name)
			}
			events = append(events, e)
		}
		err := p.Publish(t.Context(), events...)
		if _, refused := errors.AsType[*EventError](err); refused != (wrong > 0) || err != nil && len(err.Error()) > wrong*1500 {
			t.Fatalf("%d bad events: %d bytes of error, an *EventError %v", wrong, len(fmt.Sprint(err)), refused)
		}
		if len(sent) != len(healthy) {
			t.Fatalf("%d events are sent, want the %d healthy ones", len(sent), len(healthy))
		}
		for i, payload := range sent {
			var m struct {
				Event, Namespace string
				Room             any
			}
			if err := json.Unmarshal(payload, &m); err != nil || m.Event != healthy[i] || m.Namespace != "a.test" || len(payload) > maxPayload {
				t.Fatalf("sent %.200q, %v, want %s", payload, err, healthy[i])
			}
			rooms, list := m.Room.([]any)
			if room, one := m.Room.(string); !list && (!one || isNobodys(room) || room == "") {
				t.Fatalf("sent to %v", m.Room)
			}
			for _, room := range rooms {
				if name, text := room.(string); !text || name == "" || isNobodys(name) {
					t.Fatalf("sent to %q", room)
				}
			}
		}
	})
}
