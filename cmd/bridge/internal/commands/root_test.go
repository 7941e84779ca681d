package commands

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/spf13/cobra"
)

func TestEveryCommandIsExplained(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short help is %q", c.CommandPath(), c.Short)
		}
		if !strings.Contains(c.Example, "bridge ") {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for line := range strings.Lines(c.Long) {
			if len([]rune(line)) > 84 {
				t.Errorf("%s: a line of its help is too long for a terminal: %s", c.CommandPath(), line)
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(rootCommand(&cli.App{}))
}

func TestHelpIsPrinted(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"help", "exit-codes"}, {"watch", "--help"}, {"completion", "bash"}} {
		if got := bridgeCommand(t, args...); got.code != exitcode.OK || got.out == "" || got.err != "" {
			t.Errorf("bridge %q: code %d, stderr %q", args, got.code, got.err)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for _, tc := range []struct {
		args string
		want string
	}{
		{"jobz", "unknown command"},
		{"jobs --nope", "unknown flag"},
		{"jobs extra", "unknown command"},
		{"job", "accepts 1 arg"},
		{"jobs --status weird", `--status "weird" is none of Pending, Queued`},
		{"jobs --limit 0", "--limit is 0"},
		{"jobs --since yesterday", `"yesterday" is no time`},
		{"enqueue m x", `argument "x" is not key=value`},
		{"enqueue m --kwargs [1]", "no object"},
		{"submit t --params {", "no JSON"},
		{"watch", "name one of"},
		{"watch JOB-1 --organization O", "name one of"},
		{"pickle", "name one of"},
		{"worker --no-shared --shared-queue short", "exclude each other"},
		{"worker --concurrency 0", "--concurrency is 0, want at least 1"},
		{"worker --concurrency -1", "--concurrency is -1, want at least 1"},
		{"install --all-sites --site s", "exclude each other"},
		{"version --log-level loud", "--log-level"},
		{"version --log-format xml", "--log-format"},
	} {
		got := bridgeCommand(t, strings.Fields(tc.args)...)
		if got.code != exitcode.Usage || !strings.Contains(got.err, tc.want) || !strings.Contains(got.err, "--help") || got.out != "" {
			t.Errorf("bridge %s: %+v, want code %d and %q", tc.args, got, exitcode.Usage, tc.want)
		}
	}
}

func TestBenchIsFound(t *testing.T) {
	for _, variable := range []string{"BRIDGE_BENCH", "FRAPPE_BENCH_ROOT", "FRAPPE_SITE"} {
		t.Setenv(variable, "")
	}
	outside := t.TempDir()
	t.Chdir(outside)
	if got := bridgeCommand(t, "jobs"); got.code != exitcode.Config || !strings.Contains(got.err, "--bench") {
		t.Errorf("outside of a bench: %+v", got)
	}
	if got := bridgeCommand(t, "jobs", "--bench", filepath.Join(outside, "gone")); got.code != exitcode.Config || !strings.Contains(got.err, "gone") {
		t.Errorf("bench that isn't there: %+v", got)
	}
	dir := t.TempDir()
	sites := []servers.BenchSite{{Name: "a.example"}, {Name: "b.example"}}
	if err := servers.NewBench(dir, servers.BenchConfig{RedisQueue: "redis://127.0.0.1:1", Sites: sites}); err != nil {
		t.Fatal(err)
	}
	deep := filepath.Join(dir, "apps", "frappe")
	t.Chdir(deep)
	if got := bridgeCommand(t, "jobs"); got.code != exitcode.Usage || !strings.Contains(got.err, "a.example, b.example") {
		t.Errorf("two sites and none named: %+v", got)
	}
	if got := bridgeCommand(t, "jobs", "--site", "c.example"); got.code != exitcode.NotFound || !strings.Contains(got.err, "a.example, b.example") {
		t.Errorf("a site that isn't there: %+v", got)
	}
	if got := bridgeCommand(t, "cancel", "JOB-1", "--site", "a.example"); got.code != exitcode.Unavailable || !strings.Contains(got.err, "127.0.0.1:1: connect: connection refused; start it (bench start)") {
		t.Errorf("Redis away: %+v", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "sites", "common_site_config.json"), []byte("{\"a\": 1,}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := bridgeCommand(t, "jobs", "--site", "a.example"); got.code != exitcode.Config || !strings.Contains(got.err, "common_site_config.json:1:9") {
		t.Errorf("a comma too many: %+v", got)
	}
}

func TestVersion(t *testing.T) {
	v := decode[map[string]string](t, must(t, "version", "--json"))
	if v["version"] == "" || !strings.HasPrefix(v["go"], "go") || v["rq"] != supportedRQ {
		t.Errorf("version --json prints %v", v)
	}
	if text := must(t, "version"); !strings.HasPrefix(text, "bridge ") || strings.Count(text, "\n") != 1 {
		t.Errorf("version prints %q", text)
	}
}
