package servers_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

var (
	jane  = servers.SiteUser{Name: "jane@example.com", SID: "jane-sid", Token: "k:s", Read: []string{"Background Job/JOB-1"}}
	guest = servers.SiteUser{Name: "web@example.com", Type: "Website User", SID: "web-sid"}
)

// desk is a realtime server with two sites that both know jane.
type desk struct {
	*servers.Realtime
	rdb *redis.Client
}

func startDesk(t *testing.T, major int) desk {
	t.Helper()
	site := servertest.FakeSite(t, map[string][]servers.SiteUser{"site1": {jane, guest}, "site2": {jane}})
	r := servertest.Redis(t)
	return desk{
		servertest.Realtime(t, servers.RealtimeConfig{RedisURL: r.URL(), SitesURL: site.URL, Major: major}), client(t, r),
	}
}

// publish sends an event as Frappe's publish_realtime does.
func (d desk) publish(t *testing.T, site, room, event string, message any) {
	t.Helper()
	b, err := json.Marshal(map[string]any{"namespace": site, "room": room, "event": event, "message": message})
	if err != nil {
		t.Fatal(err)
	}
	d.publishText(t, string(b))
}

func (d desk) publishText(t *testing.T, text string) {
	t.Helper()
	if n, err := d.rdb.Publish(t.Context(), "events", text).Result(); err != nil || n != 1 {
		t.Fatalf("publish reached %d subscribers, error %v; want 1", n, err)
	}
}

func TestRealtimeRooms(t *testing.T) {
	for _, major := range []int{15, 16} {
		d := startDesk(t, major)
		for _, tc := range []struct {
			name string
			cfg  servers.ListenerConfig
			want []string
		}{
			{"system user", servers.ListenerConfig{Cookie: jane.Cookie()}, []string{"all", "user:jane@example.com", "website"}},
			{"website user", servers.ListenerConfig{Cookie: guest.Cookie()}, []string{"user:web@example.com", "website"}},
			{"nobody", servers.ListenerConfig{Cookie: "x=1"}, []string{"user:Guest", "website"}},
			{"own document, its list, a task", servers.ListenerConfig{
				Cookie: jane.Cookie(), Docs: [][2]string{{"Background Job", "JOB-1"}},
				DocTypes: []string{"Background Job"}, Tasks: []string{"t1"},
			}, []string{
				"all", "doc:Background Job/JOB-1", "doctype:Background Job", "task_progress:t1",
				"user:jane@example.com", "website",
			}},
			{"what jane may not read", servers.ListenerConfig{
				Cookie: jane.Cookie(), Docs: [][2]string{{"Background Job", "JOB-2"}, {"User", "JOB-1"}},
				OpenDocs: [][2]string{{"Background Job", "JOB-2"}}, DocTypes: []string{"User"},
			}, []string{"all", "user:jane@example.com", "website"}},
		} {
			t.Run(tc.name, func(t *testing.T) {
				tc.cfg.URL, tc.cfg.Site = d.URL, "site1"
				l := servertest.Listener(t, tc.cfg)
				if diff := cmp.Diff(tc.want, l.Rooms); diff != "" {
					t.Errorf("Frappe %d: rooms (-want +got):\n%s", major, diff)
				}
			})
		}
	}
}

func TestRealtimeRefuses(t *testing.T) {
	for _, tc := range []struct {
		name  string
		major int
		cfg   servers.ListenerConfig
		want  string
	}{
		{"no credentials", 15, servers.ListenerConfig{}, "No authentication method"},
		{"header without cookie", 15, servers.ListenerConfig{Authorization: jane.Authorization()}, "No authentication method"},
		{"wrong key", 16, servers.ListenerConfig{Cookie: "x=1", Authorization: "token k:wrong"}, "answers 401"},
		{"another origin", 15, servers.ListenerConfig{Cookie: jane.Cookie(), Origin: "http://evil.example"}, "Invalid origin"},
		{
			"another site's host", 15,
			servers.ListenerConfig{Cookie: jane.Cookie(), Host: "site2", Origin: "http://site2"}, "Invalid namespace",
		},
		{"unknown site", 15, servers.ListenerConfig{Cookie: jane.Cookie(), Site: "site9"}, "answers 404"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := startDesk(t, tc.major)
			tc.cfg.URL = d.URL
			if tc.cfg.Site == "" {
				tc.cfg.Site = "site1"
			}
			l, err := servers.StartListener(t.Context(), tc.cfg)
			if err == nil {
				l.Stop()
			}
			if !errors.Is(err, servers.ErrRefused) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want ErrRefused with %q", err, tc.want)
			}
		})
	}
}

func TestRealtimeAcceptsHeaders(t *testing.T) {
	for _, tc := range []struct {
		name  string
		major int
		cfg   servers.ListenerConfig
	}{
		{"key and any cookie", 15, servers.ListenerConfig{Cookie: "x=1", Authorization: jane.Authorization()}},
		{"key alone", 17, servers.ListenerConfig{Authorization: jane.Authorization()}},
		{"site by host", 15, servers.ListenerConfig{Cookie: jane.Cookie(), Host: "site1:80", Origin: "http://site1"}},
		{"polling", 15, servers.ListenerConfig{Cookie: jane.Cookie(), Transports: []string{"polling", "websocket"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.cfg.URL, tc.cfg.Site = startDesk(t, tc.major).URL, "site1"
			l := servertest.Listener(t, tc.cfg)
			if !slices.Contains(l.Rooms, "user:jane@example.com") {
				t.Errorf("rooms = %v, want jane's", l.Rooms)
			}
		})
	}
}

func TestRealtimeDeliversToTheRoomAndNowhereElse(t *testing.T) {
	d := startDesk(t, 15)
	subscribed := servertest.Listener(t, servers.ListenerConfig{
		URL: d.URL, Site: "site1", Cookie: jane.Cookie(), Docs: [][2]string{{"Background Job", "JOB-1"}},
	})
	others := []*servers.Listener{
		servertest.Listener(t, servers.ListenerConfig{URL: d.URL, Site: "site1", Cookie: guest.Cookie()}),
		servertest.Listener(t, servers.ListenerConfig{
			URL: d.URL, Site: "site2", Cookie: jane.Cookie(), Docs: [][2]string{{"Background Job", "JOB-1"}},
		}),
	}
	d.publish(t, "site1", "doc:Background Job/JOB-1", "job_progress", map[string]any{"progress": 40})
	d.publish(t, "wrong", "doc:Background Job/JOB-1", "to_nobody", 1)
	d.publish(t, "site1", "user:jane@example.com", "to_jane", "ü")

	got := servertest.WantEvents(t, subscribed, 2*time.Second, "job_progress", "to_jane")
	if message := string(got[0].Message()); message != `{"progress":40}` {
		t.Errorf("message = %s", message)
	}
	for _, l := range others {
		servertest.WantEvents(t, l, time.Second)
	}

	// Without a room it goes to everybody on every site.
	d.publish(t, "site1", "", "to_all", nil)
	for _, l := range append(others, subscribed) {
		servertest.WantEvents(t, l, 2*time.Second, "to_all")
	}
}

func TestRealtimeViewers(t *testing.T) {
	d := startDesk(t, 15)
	cfg := servers.ListenerConfig{
		URL: d.URL, Site: "site1", Cookie: jane.Cookie(), OpenDocs: [][2]string{{"Background Job", "JOB-1"}},
	}
	first := servertest.Listener(t, cfg)
	servertest.WantEvents(t, servertest.Listener(t, cfg), 2*time.Second, "doc_viewers")
	// Once for itself, once for the second.
	for _, event := range servertest.WantEvents(t, first, 2*time.Second, "doc_viewers", "doc_viewers") {
		const want = `{"doctype":"Background Job","docname":"JOB-1","users":["jane@example.com"]}`
		if message := string(event.Message()); message != want {
			t.Errorf("doc_viewers = %s, want %s", message, want)
		}
	}
}

func TestRealtimeDiesOfWhatKillsTheRealOne(t *testing.T) {
	for name, text := range map[string]string{
		"not JSON":       `{"event": "x", `,
		"reserved event": `{"event": "disconnect", "room": "all", "namespace": "site1", "message": 1}`,
	} {
		t.Run(name, func(t *testing.T) {
			d := startDesk(t, 15)
			// The namespace exists once somebody connected.
			l := servertest.Listener(t, servers.ListenerConfig{URL: d.URL, Site: "site1", Cookie: jane.Cookie()})
			d.publishText(t, text)
			for deadline := time.Now().Add(5 * time.Second); d.Running(); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("still running")
				}
			}
			if event, err := l.Next(t.Context()); err == nil {
				t.Errorf("the client got %v, want to lose its connection", event)
			}
			if err := d.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			servertest.Listener(t, servers.ListenerConfig{URL: d.URL, Site: "site1", Cookie: jane.Cookie()})
		})
	}
}
