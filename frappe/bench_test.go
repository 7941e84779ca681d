package frappe

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func bench(t *testing.T, common string) *Bench {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sites", commonFile), common)
	b, err := openBench(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpenBench(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sites", commonFile), `{}`)
	write(t, filepath.Join(dir, "apps/frappe/frappe/__init__.py"), "import x\n__version__ = \"15.41.0\"\n")
	write(t, filepath.Join(dir, "env/lib/python3.11/site-packages/rq-1.15.1.dist-info/METADATA"), "")
	for _, arg := range []string{dir, filepath.Join(dir, "sites")} {
		b, err := openBench(t, arg)
		if err != nil {
			t.Fatal(err)
		}
		if b.Dir != dir || b.SitesDir != filepath.Join(dir, "sites") || b.Major != 15 || b.RQVersion() != "1.15.1" {
			t.Errorf("OpenBench(%s) = %+v", arg, b)
		}
		if want := strings.ReplaceAll(strings.Trim(dir, "/"), "/", "-"); b.ID != want {
			t.Errorf("id = %q, want %q", b.ID, want)
		}
	}
}

func TestOpenBenchErrors(t *testing.T) {
	empty := t.TempDir()
	if _, err := openBench(t, empty); !errors.Is(err, ErrNotABench) || !strings.Contains(err.Error(), "apps/ and sites/") {
		t.Errorf("an empty directory: %v", err)
	}
	if _, err := openBench(t, filepath.Join(empty, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent directory: %v", err)
	}
	write(t, filepath.Join(empty, "file"), "x")
	if _, err := openBench(t, filepath.Join(empty, "file")); !errors.Is(err, ErrNotABench) {
		t.Errorf("a file: %v", err)
	}
	for text, says := range map[string]string{
		"{\"a\": 1,\n}":                         commonFile + ":2:1",
		`{"party": {"frappe_version": "new"}}`:  "frappe_version",
		`{"party": {"job_id_separator": "--"}}`: "job_id_separator",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "sites", commonFile), text)
		if _, err := openBench(t, dir); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q in it", text, err, says)
		}
	}
}

func TestBenchID(t *testing.T) {
	if got := benchID(Config{"bench_id": "mine"}, "/x"); got != "mine" {
		t.Errorf("configured: %q", got)
	}
	root := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	dashed := func(p string) string { return strings.ReplaceAll(strings.Trim(p, "/"), "/", "-") }
	if got := benchID(Config{}, link); got != dashed(root) {
		t.Errorf("through a symlink: %q, want %q", got, dashed(root))
	}
	// With apps/frappe elsewhere, Frappe takes the directory above that for its bench.
	elsewhere := t.TempDir()
	write(t, filepath.Join(elsewhere, "src/frappe/frappe/__init__.py"), "")
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "apps"), 0o755), os.Symlink(filepath.Join(elsewhere, "src/frappe"), filepath.Join(root, "apps/frappe"))); err != nil {
		t.Fatal(err)
	}
	if got := benchID(Config{}, root); got != dashed(elsewhere) {
		t.Errorf("with a linked app: %q, want %q", got, dashed(elsewhere))
	}
	t.Setenv("FRAPPE_BENCH_ROOT", "/home/frappe/frappe-bench/")
	if got := benchID(Config{}, root); got != "home-frappe-frappe-bench" {
		t.Errorf("from the environment: %q", got)
	}
}

func TestJobID(t *testing.T) {
	for _, tc := range []struct{ name, own, want string }{
		{"Frappe 15", `{"frappe_version": 15}`, "s::a:b"},
		{"Frappe 16", `{"frappe_version": "16.1"}`, "s||a|b"},
		{"unknown", `{}`, "s::a:b"},
		{"16 with RQ 1, as in October 2024", `{"frappe_version": 16, "rq_version": "1.16.2"}`, "s::a:b"},
		{"RQ 2 decides", `{"rq_version": "2.6.1"}`, "s||a|b"},
		{"configured", `{"frappe_version": 16, "job_id_separator": "::"}`, "s::a:b"},
	} {
		if got := bench(t, `{"party": `+tc.own+`}`).JobID("s", "a:b"); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestSplitJobID(t *testing.T) {
	b := bench(t, `{}`)
	for id, want := range map[string][2]string{
		"site1.localhost::a": {"site1.localhost", "a"}, "s||a": {"s", "a"}, "s||a::b": {"s", "a::b"}, "s::a||b": {"s", "a||b"},
		"s::": {"s", ""}, "plain": {}, "::a": {}, "s:a": {}, "": {},
	} {
		site, rest, ok := b.SplitJobID(id)
		if site != want[0] || rest != want[1] || ok != (want[0] != "") {
			t.Errorf("SplitJobID(%q) = %q, %q, %v", id, site, rest, ok)
		}
	}
}

func TestQueues(t *testing.T) {
	b := bench(t, `{"bench_id": "b", "workers": {"go": {"timeout": 3600, "background_workers": 2}, "a": {}, "long": {"timeout": 99}}}`)
	want := []QueueType{{"short", 300}, {"default", 300}, {"long", 99}, {"a", 300}, {"go", 3600}}
	if got := b.QueueTypes(); !slices.Equal(got, want) {
		t.Errorf("QueueTypes = %v, want %v", got, want)
	}
	if got := b.QueueName("go"); got != "b:go" {
		t.Errorf("QueueName = %q", got)
	}
	for queue, want := range map[string]string{"b:go": "go", "other:go": "", "b": ""} {
		if got := b.QueueTypeOf(queue); got != want {
			t.Errorf("QueueTypeOf(%q) = %q, want %q", queue, got, want)
		}
	}
}

func TestRedisOptions(t *testing.T) {
	sentinels := `"redis_queue_sentinel_enabled": 1, "redis_queue_sentinels": ["a:1", "b:2"], "redis_queue_sentinel_username": "su",
		"redis_queue_sentinel_password": "sp", "redis_queue_master_service": "m", "redis_queue_master_username": "mu", "redis_queue_master_password": "mp"`
	for _, tc := range []struct {
		name, config, admin      string
		addr, user, password, db string
	}{
		{"default", `{}`, "", "127.0.0.1:11311", "", "", "0"},
		{"url", `{"redis_queue": "redis://u:p@h:2/3"}`, "", "h:2", "u", "p", "3"},
		{"socket", `{"redis_queue": "unix:///run/redis.sock"}`, "", "/run/redis.sock", "", "", "0"},
		{"acl user", `{"use_rq_auth": 1, "rq_username": "ru", "rq_password": "rp"}`, "ap", "127.0.0.1:11311", "ru", "rp", "0"},
		{"acl user of the bench", `{"bench_id": "b", "use_rq_auth": true, "rq_password": "rp"}`, "", "127.0.0.1:11311", "b", "rp", "0"},
		{"admin", `{"redis_queue": "redis://u:p@h:2"}`, "ap", "h:2", "default", "ap", "0"},
		{"sentinel", `{` + sentinels + `}`, "", "the master of m (sentinels a:1, b:2)", "mu", "mp", "0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.admin != "" {
				t.Setenv("RQ_ADMIN_PASWORD", tc.admin)
			}
			o, err := bench(t, tc.config).RedisQueue()
			if err != nil {
				t.Fatal(err)
			}
			if o.Addrs[0] != tc.addr || o.Username != tc.user || o.Password != tc.password || o.DB != int(tc.db[0]-'0') || o.MaxRetries != -1 {
				t.Errorf("got %+v", o)
			}
		})
	}
	o, err := bench(t, `{"use_rq_auth": 1, "rq_password": "rp"}`).RedisRealtime()
	if err != nil || o.Username != "" || o.Password != "" {
		t.Errorf("realtime must not use the ACL user: %+v, %v", o, err)
	}
	o, err = bench(t, `{`+sentinels+`}`).RedisQueue()
	if err != nil || o.MasterName != "" || o.sentinels.service != "m" || o.sentinels.user != "su" || o.sentinels.pass != "sp" || len(o.sentinels.addrs) != 2 {
		t.Errorf("sentinel: %+v, %v", o, err)
	}
	if o, err = bench(t, `{"redis_cache": "rediss://h:2"}`).RedisCache(); err != nil || o.TLSConfig == nil || o.Addrs[0] != "h:2" {
		t.Errorf("cache: %+v, %v", o, err)
	}
}

func TestRedisOptionErrors(t *testing.T) {
	for config, says := range map[string]string{
		`{"redis_queue": "http://u:hidden@h"}`:                                                           "redis_queue is not a Redis URL",
		`{"redis_queue": "redis://u:hidden@h:port/x"}`:                                                   "redis_queue is not a Redis URL",
		`{"use_rq_auth": 1}`:                                                                             "bench create-rq-users",
		`{"redis_queue_sentinel_enabled": 1}`:                                                            "redis_queue_sentinels is empty",
		`{"redis_queue_sentinel_enabled": 1, "redis_queue_sentinels": ["h"]}`:                            "host:port",
		`{"redis_queue_sentinel_enabled": 1, "redis_queue_sentinels": ["h:26", "redis://:hidden@h:26"]}`: "entry 2 of redis_queue_sentinels",
		`{"redis_queue_sentinel_enabled": 1, "redis_queue_sentinels": ["hidden@h"]}`:                     "entry 1 of redis_queue_sentinels",
		`{"redis_queue_sentinel_enabled": 1, "redis_queue_sentinels": ["h:26"]}`:                         "redis_queue_master_service",
	} {
		_, err := bench(t, config).RedisQueue()
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v, want %q and no password", config, err, says)
		}
	}
}

func TestSites(t *testing.T) {
	dir := t.TempDir()
	sites := filepath.Join(dir, "sites")
	write(t, filepath.Join(sites, commonFile), `{}`)
	write(t, filepath.Join(sites, "b.test", siteFile), `{"db_name": "b", "maintenance_mode": 1}`)
	write(t, filepath.Join(sites, "a.test", siteFile), `{"db_name": "a"}`)
	write(t, filepath.Join(sites, "broken", siteFile), `{"db_name": "a",}`)
	write(t, filepath.Join(sites, "assets", "x.json"), `{}`)
	if err := os.Symlink(filepath.Join(sites, "a.test"), filepath.Join(sites, "alias")); err != nil {
		t.Fatal(err)
	}
	b, err := openBench(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Sites()
	if want := []string{"a.test", "b.test", "broken"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("Sites = %v, %v, want %v", got, err, want)
	}
	for _, name := range []string{"absent", "assets", "", ".", "..", "../x", "a.test/", "/etc", "a.test ", "A.test", "a.test\x00", "\xff", strings.Repeat("x", 300)} {
		if _, err := b.Site(name); !errors.Is(err, ErrNoSuchSite) {
			t.Errorf("Site(%q): %v, want ErrNoSuchSite", name, err)
		}
	}
	// A domain's alias, or a site on a volume: not in Frappe's list, but everything works with it.
	if s, err := b.Site("alias"); err != nil || s.DBName() != "a" {
		t.Errorf("a site that is a symlink: %v, want the site behind it", err)
	}
	var e *ConfigError
	if _, err := b.Site("broken"); !errors.As(err, &e) || e.Line != 1 || e.Column != 17 {
		t.Errorf("broken site: %v", err)
	}
	s, err := b.Site("b.test")
	if err != nil || !s.MaintenanceMode() || s.DBName() != "b" {
		t.Errorf("b.test: %+v, %v", s, err)
	}
	if s, err = b.Site("a.test"); err != nil || s.MaintenanceMode() {
		t.Errorf("a.test: maintenance %v, %v", s.MaintenanceMode(), err)
	}
}
