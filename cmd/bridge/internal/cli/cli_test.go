package cli

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/spf13/pflag"
)

// parsed is an app with these flags.
func parsed(t *testing.T, flags string) *App {
	t.Helper()
	a := &App{Streams: Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}}
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	a.AddFlags(set)
	if err := set.Parse(strings.Fields(flags)); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestLogLevel(t *testing.T) {
	for _, tc := range []struct {
		flags, level string
		want         slog.Level
	}{
		{"", "warn", slog.LevelWarn}, {"", "info", slog.LevelInfo}, {"-q", "info", slog.LevelError},
		{"--log-level debug", "warn", slog.LevelDebug}, {"-q --log-level info", "warn", slog.LevelInfo},
	} {
		a := parsed(t, tc.flags)
		if err := a.OpenLog(tc.level); err != nil || !a.Log.Enabled(t.Context(), tc.want) || a.Log.Enabled(t.Context(), tc.want-1) {
			t.Errorf("flags %q, else %s: the log (%v) doesn't begin with %s", tc.flags, tc.level, err, tc.want)
		}
	}
	if err := parsed(t, "--log-level loud").OpenLog("info"); exitcode.Of(err) != exitcode.Usage {
		t.Errorf("error %v, want a mistake of usage", err)
	}
}

func TestSaying(t *testing.T) {
	for flags, want := range map[string]string{"": "hello you\n", "-q": "", "--json": ""} {
		a := parsed(t, flags)
		a.Say("hello %s", "you")
		if got := a.Out.(*bytes.Buffer).String(); got != want {
			t.Errorf("with flags %q it says %q, want %q", flags, got, want)
		}
	}
}

func TestSiteIsChosen(t *testing.T) {
	for _, tc := range []struct{ flags, env, configured, want string }{
		{"--site a", "b", "c", "a"}, {"", "b", "c", "b"}, {"", "", "c", "c"}, {"", "", "", ""},
	} {
		common := map[string]any{}
		if tc.configured != "" {
			common["default_site"] = tc.configured
		}
		dir := t.TempDir()
		if err := servers.NewBench(dir, servers.BenchConfig{Common: common, Sites: []servers.BenchSite{{Name: "a"}, {Name: "b"}, {Name: "c"}}}); err != nil {
			t.Fatal(err)
		}
		t.Setenv("FRAPPE_SITE", tc.env)
		b, err := benchconfig.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parsed(t, tc.flags).SiteName(b)
		if got != tc.want || tc.want == "" && exitcode.Of(err) != exitcode.Usage || tc.want != "" && err != nil {
			t.Errorf("%+v: site %q (%v)", tc, got, err)
		}
	}
}
