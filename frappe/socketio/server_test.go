package socketio

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/redis/go-redis/v9"
)

const testSite = "site1.localhost"

var (
	jane = servers.SiteUser{Name: "jane@example.com", SID: "sid-jane", Read: []string{"Background Job/*"}}
	joe  = servers.SiteUser{Name: "joe@example.com", SID: "sid-joe"}
)

// realtimeServer is a Node realtime server with two users and a Publisher.
func realtimeServer(t *testing.T) (*servers.Realtime, *realtime.Publisher) {
	t.Helper()
	queue := servertest.Redis(t)
	site := servertest.FakeSite(t, map[string][]servers.SiteUser{testSite: {jane, joe}})
	rt := servertest.Realtime(t, servers.RealtimeConfig{RedisURL: queue.URL(), SitesURL: site.URL})
	options, err := redis.ParseURL(queue.URL())
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries = -1
	rdb := redis.NewClient(options)
	t.Cleanup(func() { _ = rdb.Close() })
	return rt, realtime.NewPublisher(rdb, nil)
}

func dialAs(t *testing.T, rt *servers.Realtime, header http.Header) (*Conn, error) {
	t.Helper()
	return Dial(t.Context(), Config{
		URL: rt.URL, Site: testSite, Header: header, Origin: "http://" + testSite,
	})
}

func mustDial(t *testing.T, rt *servers.Realtime, user servers.SiteUser) *Conn {
	t.Helper()
	s, err := dialAs(t, rt, http.Header{"Cookie": {user.Cookie()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func toRoom(room, name string, message any) realtime.Event {
	return realtime.Event{Name: name, Site: testSite, Rooms: []string{room}, Message: message}
}

// untilFence publishes events and then one to the user alone, and returns what the user's connection got before it.
func untilFence(t *testing.T, p *realtime.Publisher, s *Conn, user servers.SiteUser, events ...realtime.Event) (got []string) {
	t.Helper()
	events = append(events, toRoom(realtime.RoomUser(user.Name), "fence", nil))
	if err := p.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		name, args, err := s.Next(ctx)
		if err != nil {
			t.Fatalf("%v after %v", err, got)
		}
		if name == "fence" {
			return got
		}
		got = append(got, fmt.Sprintf("%s %s", name, args))
	}
}

func TestWithFrappesServer(t *testing.T) {
	rt, p := realtimeServer(t)
	a, b := mustDial(t, rt, jane), mustDial(t, rt, joe)
	for _, s := range []*Conn{a, b} {
		if err := s.Emit(t.Context(), "doc_subscribe", "Background Job", "JOB-1"); err != nil {
			t.Fatal(err)
		}
		if err := s.Emit(t.Context(), "doctype_subscribe", "Background Job"); err != nil {
			t.Fatal(err)
		}
	}
	// Rooms are joined when the site has answered; nobody tells the client.
	probes := []realtime.Event{toRoom(realtime.RoomDoc("Background Job", "JOB-1"), "probe", 1), toRoom(realtime.RoomDocType("Background Job"), "probe", 2)}
	for deadline := time.Now().Add(10 * time.Second); len(untilFence(t, p, a, jane, probes...)) < 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the rooms were never joined")
		}
	}

	events := []realtime.Event{
		toRoom(realtime.RoomDoc("Background Job", "JOB-1"), "job_progress", map[string]any{"progress": 40, "text": "<é 😀>"}),
		toRoom(realtime.RoomDoc("Background Job", "JOB-2"), "job_progress", "not subscribed"),
		toRoom(realtime.RoomOrganization("ORG-1"), "job_progress", "a stock server joins nobody"),
		{Name: "job_progress", Site: "site2.localhost", Rooms: []string{realtime.RoomUser(jane.Name)}, Message: "another site"},
		toRoom(realtime.RoomUser(jane.Name), "job_status_changed", nil),
	}
	want := []string{`job_progress [{"progress":40,"text":"<é 😀>"}]`, "job_status_changed [null]"}
	if diff := cmp.Diff(want, untilFence(t, p, a, jane, events...)); diff != "" {
		t.Errorf("jane got (-want +got):\n%s", diff)
	}
	if got := untilFence(t, p, b, joe, events...); len(got) != 0 {
		t.Errorf("joe, who may read nothing, got %v", got)
	}
	untilFence(t, p, a, jane) // what the events for joe's turn left

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	p.ListUpdate(testSite, "Background Job", "JOB-1", "JOB-2")
	p.DocUpdate(testSite, "Background Job", "JOB-1", "2025-11-23 10:00:00.123456")
	desk := map[string]bool{}
	for len(desk) < 3 {
		name, args, err := a.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		desk[fmt.Sprintf("%s %s", name, args)] = true
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	wantDesk := map[string]bool{
		`list_update [{"doctype":"Background Job","name":"JOB-1","user":"Administrator"}]`:                 true,
		`list_update [{"doctype":"Background Job","name":"JOB-2","user":"Administrator"}]`:                 true,
		`doc_update [{"doctype":"Background Job","modified":"2025-11-23 10:00:00.123456","name":"JOB-1"}]`: true,
	}
	if diff := cmp.Diff(wantDesk, desk); diff != "" {
		t.Errorf("desk events (-want +got):\n%s", diff)
	}

	if err := rt.Stop(); err != nil {
		t.Fatal(err)
	}
	if name, args, err := a.Next(t.Context()); err == nil || errors.Is(err, ErrClosed) {
		t.Errorf("server stopped: got %s %s, error = %v", name, args, err)
	}
}

func TestRefusedByFrappesServer(t *testing.T) {
	rt, _ := realtimeServer(t)
	for name, tc := range map[string]struct {
		header http.Header
		want   string
	}{
		"no credentials": {nil, "No authentication method used"},
		"wrong API key":  {http.Header{"Cookie": {"x=1"}, "Authorization": {"token wrong:secret"}}, "Unauthorized"},
		"another site":   {http.Header{"Cookie": {jane.Cookie()}, "X-Frappe-Site-Name": {"site2.localhost"}}, "Invalid namespace"},
	} {
		s, err := dialAs(t, rt, tc.header)
		if err == nil {
			_ = s.Close()
		}
		var refused *ConnectError
		if !errors.As(err, &refused) || refused.Namespace != "/"+testSite || !strings.Contains(refused.Message, tc.want) {
			t.Errorf("%s: error = %v, want a *ConnectError with %q", name, err, tc.want)
		}
	}
	if _, err := Dial(t.Context(), Config{URL: rt.URL + "/elsewhere", Site: testSite}); err == nil {
		t.Error("a path without Socket.IO: no error")
	}
	if !rt.Running() {
		t.Error("the server is gone")
	}
}
