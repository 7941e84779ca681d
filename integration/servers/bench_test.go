package servers_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

func readJSON(t *testing.T, path string) map[string]any {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNewBench(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	err := servers.NewBench(dir, servers.BenchConfig{
		ID: "b1", Major: 16, RQVersion: "2.10.0", RedisQueue: "redis://127.0.0.1:1",
		Bridge: map[string]any{"concurrency": 5}, Common: map[string]any{"max_queued_jobs": 7, "redis_cache": "redis://c"},
		Sites: []servers.BenchSite{{
			Name: "s1", DBHost: "127.0.0.1", DBPort: 3, DBName: "d", DBPassword: "p", Config: map[string]any{"db_user": "u"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantCommon := map[string]any{
		"bench_id": "b1", "redis_queue": "redis://127.0.0.1:1", "redis_cache": "redis://c", "db_type": "mariadb",
		"workers": map[string]any{"go": map[string]any{"timeout": 3600., "background_workers": 1.}},
		"bridge":  map[string]any{"concurrency": 5.}, "max_queued_jobs": 7.,
	}
	if diff := cmp.Diff(wantCommon, readJSON(t, filepath.Join(dir, "sites/common_site_config.json"))); diff != "" {
		t.Errorf("common_site_config.json (-want +got):\n%s", diff)
	}
	wantSite := map[string]any{"db_name": "d", "db_password": "p", "db_host": "127.0.0.1", "db_port": 3., "db_user": "u"}
	if diff := cmp.Diff(wantSite, readJSON(t, filepath.Join(dir, "sites/s1/site_config.json"))); diff != "" {
		t.Errorf("site_config.json (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"sites/apps.txt":                 "frappe\n",
		"apps/frappe/frappe/__init__.py": "__version__ = \"16.0.0\"\n",
		"env/lib/python3.11/site-packages/rq-2.10.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: rq\nVersion: 2.10.0\n",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s = %q, error %v; want %q", name, got, err, want)
		}
	}
}

func TestNewBenchRefusesSiteOutsideTheBench(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../x", "a/b"} {
		if err := servers.NewBench(t.TempDir(), servers.BenchConfig{Sites: []servers.BenchSite{{Name: name}}}); err == nil {
			t.Errorf("site %q was accepted", name)
		}
	}
}

func TestBenchOfATestHasItsDatabases(t *testing.T) {
	dir := servertest.Bench(t, servertest.Redis(t), servers.BenchConfig{Sites: []servers.BenchSite{{Name: "a"}, {Name: "b"}}})
	m := servertest.MariaDB(t)
	for _, site := range []string{"a", "b"} {
		config := readJSON(t, filepath.Join(dir, "sites", site, "site_config.json"))
		name, password := config["db_name"].(string), config["db_password"].(string)
		mustExec(t, openDB(t, m.UserDSN(name, name, password)), "CREATE TABLE t (i int)")
	}
}

func TestBenchVariables(t *testing.T) {
	for name, want := range map[string]bool{
		"FRAPPE_SITE": true, "BRIDGE_BENCH": true, "RQ_ADMIN_PASWORD": true, "BRIDGE_CACHE": false, "PATH": false, "RQ_OTHER": false,
	} {
		if got := servers.IsBenchVariable(name); got != want {
			t.Errorf("does %s change what a bench is? %v, want %v", name, got, want)
		}
	}
}
