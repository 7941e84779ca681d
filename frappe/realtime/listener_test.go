package realtime

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/redis/go-redis/v9"
)

func TestParseChange(t *testing.T) {
	// What Frappe writes: frappe.as_json, with keys in order and an indent.
	frappes := func(event, message string) string {
		return "{\n \"event\": \"" + event + "\",\n \"message\": " + message + ",\n \"namespace\": \"a.localhost\",\n \"room\": \"doc:Background Job/JOB-1\"\n}"
	}
	for name, tc := range map[string]struct {
		payload string
		want    Change
		ok      bool
	}{
		"a save":    {frappes("doc_update", `{"doctype": "Background Job", "modified": "2026-11-27 14:08:20.865747", "name": "JOB-1"}`), Change{"a.localhost", "Background Job", "JOB-1", ""}, true},
		"a list":    {frappes("list_update", `{"doctype": "Background Job", "name": "JOB-1", "user": "Administrator"}`), Change{"a.localhost", "Background Job", "JOB-1", ""}, true},
		"ours":      {`{"event":"list_update","message":{"doctype":"Background Job","name":"JOB-1"},"namespace":"a","room":"r","source":"x"}`, Change{"a", "Background Job", "JOB-1", "x"}, true},
		"another":   {frappes("docinfo_update", `{"doc": {}}`), Change{Site: "a.localhost"}, true},
		"no change": {frappes("job_progress", `{"job_id": "JOB-1", "text": "\"namespace\": \"b\""}`), Change{Site: "a.localhost"}, true},
		"a number":  {frappes("doc_update", `{"doctype": "Version", "name": 7}`), Change{Site: "a.localhost", DocType: "Version"}, true},
		"no object": {frappes("doc_update", `[1]`), Change{Site: "a.localhost"}, true},
		"no site":   {`{"event":"doc_update","message":{}}`, Change{}, false},
		"no JSON":   {`doc_update" {`, Change{}, false},
		"empty":     {"", Change{}, false},
		"an array":  {`["doc_update"]`, Change{}, false},
		"long":      {`{"namespace":"a","x":"` + strings.Repeat("x", maxPayload) + `"}`, Change{}, false},
		"long site": {`{"namespace":"` + strings.Repeat("x", maxRoom+1) + `"}`, Change{}, false},
		"bad site":  {`{"namespace":7}`, Change{}, false},
	} {
		got, ok := parseChange(tc.payload)
		if name == "a number" {
			tc.want.DocType, got.DocType = "", "" // read before the number or not
		}
		if diff := cmp.Diff(tc.want, got); diff != "" || ok != tc.ok {
			t.Errorf("%s: %v (-want +got):\n%s", name, ok, diff)
		}
	}
}

func FuzzParseChange(f *testing.F) {
	f.Add(`{"event":"list_update","message":{"doctype":"Background Job","name":"JOB-1"},"namespace":"a","room":"r"}`)
	f.Add(`{"event":"x","namespace": "a"}`)
	f.Fuzz(func(t *testing.T, payload string) {
		if c, ok := parseChange(payload); ok && c.Site == "" {
			t.Errorf("%q is of no site", payload)
		}
	})
}

// TestListen hears what a Publisher of ours and Frappe send, and says so when the connection is lost.
func TestListen(t *testing.T) {
	r := servertest.Redis(t)
	rdb := redis.NewClient(&redis.Options{Addr: r.Addr, MaxRetries: -1})
	defer rdb.Close()
	listening, heard, ended := make(chan bool, 1), make(chan Change, 10), make(chan error, 1)
	go func() {
		ended <- Listen(t.Context(), rdb, func() { listening <- true }, func(c Change) { heard <- c })
	}()
	<-listening
	p := NewPublisher(rdb, nil)
	p.Source = "us"
	if err := p.Publish(t.Context(), Event{Name: "doc_update", Site: "a", Rooms: []string{"r"}, Message: map[string]any{"doctype": "Background Job", "name": "JOB-1"}}); err != nil {
		t.Fatal(err)
	}
	rdb.Publish(t.Context(), eventsChannel, "nonsense")
	rdb.Publish(t.Context(), eventsChannel, `{"event": "doc_update", "message": {"doctype": "Background Job", "name": "JOB-2"}, "namespace": "a"}`)
	for _, want := range []Change{{"a", "Background Job", "JOB-1", "us"}, {"a", "Background Job", "JOB-2", ""}} {
		if got := <-heard; got != want {
			t.Errorf("heard %+v, want %+v", got, want)
		}
	}
	rdb.ClientKillByFilter(t.Context(), "TYPE", "pubsub")
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "listen for changes of documents") {
			t.Errorf("a lost connection: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a lost connection isn't told")
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- Listen(ctx, rdb, func() { listening <- true }, func(Change) {}) }()
	<-listening
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("after the end of its context: %v", err)
	}
}
