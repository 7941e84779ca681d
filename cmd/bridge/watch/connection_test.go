package watch

import (
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/spf13/pflag"
)

func TestConnections(t *testing.T) {
	dir := t.TempDir()
	if err := servers.NewBench(dir, servers.BenchConfig{Common: map[string]any{"socketio_port": 9100}}); err != nil {
		t.Fatal(err)
	}
	b, err := benchconfig.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	const withKey = "BRIDGE_API_KEY=k BRIDGE_API_SECRET=s"
	for _, tc := range []struct {
		env, flags                 string
		url, cookie, authorization string
		wrong                      string // what a mistake of usage says
	}{
		{env: withKey, url: "http://127.0.0.1:9100", cookie: "system_user=yes", authorization: "token k:s"},
		{env: withKey + " FRAPPE_SOCKETIO_PORT=9200", url: "http://127.0.0.1:9200", cookie: "system_user=yes", authorization: "token k:s"},
		{env: withKey, flags: "--url https://e --api-key other", url: "https://e", cookie: "system_user=yes", authorization: "token other:s"},
		{env: withKey, flags: "--sid x", url: "http://127.0.0.1:9100", cookie: "sid=x"},
		{env: withKey + " BRIDGE_SID=x", url: "http://127.0.0.1:9100", cookie: "system_user=yes", authorization: "token k:s"},
		{env: "BRIDGE_SID=x", url: "http://127.0.0.1:9100", cookie: "sid=x"},
		{env: "BRIDGE_API_KEY=k", wrong: "belong together"},
		{env: "", wrong: "as whom?"},
		{env: "", flags: "--sid x;y", wrong: "semicolon"},
	} {
		t.Run(tc.env+" "+tc.flags, func(t *testing.T) {
			for _, name := range []string{"BRIDGE_API_KEY", "BRIDGE_API_SECRET", "BRIDGE_SID", "FRAPPE_SOCKETIO_PORT"} {
				t.Setenv(name, "")
			}
			for _, pair := range strings.Fields(tc.env) {
				name, value, _ := strings.Cut(pair, "=")
				t.Setenv(name, value)
			}
			var c Connection
			flags := pflag.NewFlagSet("", pflag.ContinueOnError)
			c.AddFlags(flags)
			if err := flags.Parse(strings.Fields(tc.flags)); err != nil {
				t.Fatal(err)
			}
			got, err := c.Config(b, "site")
			if tc.wrong != "" {
				if exitcode.Of(err) != exitcode.Usage || !strings.Contains(err.Error(), tc.wrong) {
					t.Errorf("error %v, want a mistake of usage with %q", err, tc.wrong)
				}
				return
			}
			if err != nil || got.URL != tc.url || got.Header.Get("Cookie") != tc.cookie || got.Header.Get("Authorization") != tc.authorization || got.Site != "site" {
				t.Errorf("%+v (%v), want %+v", got, err, tc)
			}
		})
	}
}

// TestOrigin is where the realtime server asks who connects.
func TestOrigin(t *testing.T) {
	t.Setenv("BRIDGE_API_KEY", "k")
	t.Setenv("BRIDGE_API_SECRET", "s")
	for _, tc := range []struct {
		common map[string]any
		flags  Connection
		want   string
	}{
		{nil, Connection{}, "http://site1.localhost:8000"},
		{map[string]any{"webserver_port": 8001}, Connection{}, "http://site1.localhost:8001"},
		{map[string]any{"webserver_port": 8001, "host_name": "https://erp.example.com/"}, Connection{}, "https://erp.example.com"},
		{map[string]any{"host_name": "erp.example.com"}, Connection{}, "http://erp.example.com"},
		{map[string]any{"host_name": "erp.example.com"}, Connection{URL: "https://other.example.com"}, "https://other.example.com"},
		{map[string]any{"host_name": "erp.example.com"}, Connection{URL: "https://other.example.com", origin: "http://app"}, "http://app"},
	} {
		dir := t.TempDir()
		if err := servers.NewBench(dir, servers.BenchConfig{Common: tc.common}); err != nil {
			t.Fatal(err)
		}
		b, err := benchconfig.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tc.flags.Config(b, "site1.localhost"); err != nil || got.Origin != tc.want {
			t.Errorf("with %v and %+v the origin is %q (%v), want %q", tc.common, tc.flags, got.Origin, err, tc.want)
		}
	}
}
