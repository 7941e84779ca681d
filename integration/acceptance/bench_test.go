package main

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/redis/go-redis/v9"
)

const testSite = "site1.localhost"

// notThereHere are the cases that need the real Frappe, by a part of their names.
var notThereHere = []string{
	"told: the bell", "rules:",
	"a Document", "Server Script", "now=True", "desk:", "desk pages:", "site:", "by hand:", "made in the desk", "install: DocTypes", "install: trim-database",
}

// testBench is a bench of stand-ins: real RQ, Redis, MariaDB and a Socket.IO server, and a Python with as much of
// Frappe as enqueues and runs jobs.
type testBench struct {
	dir   string
	redis *servers.Redis
	args  []string
}

func newTestBench(t *testing.T) testBench {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes a minute and a half")
	}
	b := testBench{redis: servertest.Redis(t)}
	owner := servers.SiteUser{Name: "jane@example.com", Token: "jane:secret", Read: []string{"Background Job/*"}}
	other := servers.SiteUser{Name: "omar@example.com", Token: "omar:secret", Read: []string{"Background Job"}}
	site := servertest.FakeSite(t, map[string][]servers.SiteUser{testSite: {owner, other}})
	realtime := servertest.Realtime(t, servers.RealtimeConfig{RedisURL: b.redis.URL(), SitesURL: site.URL, DefaultSite: testSite})
	b.dir = servertest.Bench(t, b.redis, servers.BenchConfig{ID: "bench", Common: map[string]any{
		"webserver_port": port(t, site.URL), "socketio_port": port(t, realtime.URL), "default_site": testSite,
	}})
	b.usePython(t)
	b.args = []string{"--bench", b.dir, "--site", testSite, "--bridge", buildBridge(t), "--owner", "jane@example.com,jane,secret", "--other", "omar@example.com,omar,secret"}
	b.install(t)
	return b
}

func port(t *testing.T, address string) int {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// usePython gives the bench an interpreter and a Python worker.
func (b testBench) usePython(t *testing.T) {
	t.Helper()
	python := servertest.Python(t, "1.15.1")
	modules, err := filepath.Abs("../../testdata/python")
	if err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nPYTHONDONTWRITEBYTECODE=1 PYTHONPATH='" + modules + "' exec '" + python + "' \"$@\"\n"
	path := filepath.Join(b.dir, "env", "bin", "python")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	worker, err := servers.StartChild("Python worker", modules, nil, nil, path,
		"-m", "rq.cli", "worker", "--with-scheduler", "--url", b.redis.URL(), "bench:short", "bench:default", "bench:long")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := worker.Stop(10 * time.Second); err != nil {
			t.Error(err)
		}
	})
	rdb := b.client(t)
	for rdb.SCard(t.Context(), "rq:workers").Val() == 0 {
		if err := worker.Ended(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (b testBench) client(t *testing.T) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: b.redis.Addr})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// db opens the site's database.
func (b testBench) db(t *testing.T) *rows.DB {
	t.Helper()
	bench, err := benchconfig.Open(b.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	pool := rows.NewPool(bench)
	t.Cleanup(func() { _ = pool.Close() })
	db, err := pool.DB(t.Context(), testSite)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (b testBench) install(t *testing.T) {
	t.Helper()
	if _, err := rows.Install(t.Context(), b.db(t), rows.InstallOptions{Samples: true}); err != nil {
		t.Fatal(err)
	}
}

// start runs the program in a process of its own.
func (b testBench) start(t *testing.T, out *servertest.Output, args ...string) *servers.Child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := servers.StartChild("acceptance", b.dir, nil, out, self, append(slices.Clone(b.args), args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(30 * time.Second); err != nil {
			t.Error(err)
		}
	})
	return c
}

// wantNothingLeft looks for what the program made.
func (b testBench) wantNothingLeft(t *testing.T) {
	t.Helper()
	if keys := b.client(t).Keys(t.Context(), "*"+name+"*").Val(); len(keys) > 0 {
		t.Errorf("left in Redis: %v", keys)
	}
	db := b.db(t)
	for _, table := range []string{"Background Job", "Job Execution Log", "Organization", "Person", "Org Member"} {
		left, err := db.Strings(t.Context(), "look for what is left", "SELECT name FROM `tab"+table+"`")
		if err != nil {
			t.Fatal(err)
		}
		if len(left) > 0 {
			t.Errorf("left in %s: %v", table, left)
		}
	}
	if types, err := db.JobTypes(t.Context()); err != nil || len(types) != 3 {
		t.Errorf("Job Types: %v, %v; want the three samples", slices.Collect(maps.Keys(types)), err)
	}
}

func TestAcceptance(t *testing.T) {
	b := newTestBench(t)
	var out servertest.Output
	c := b.start(t, &out, "--json", "--quiet")
	<-c.Done()
	var summary struct{ Cases []reportJSON }
	if err := json.Unmarshal([]byte(out.String()), &summary); err != nil {
		t.Fatalf("%v in %q; %s", err, out.String(), c.Output())
	}
	if len(summary.Cases) < 50 {
		t.Errorf("%d cases, want all", len(summary.Cases))
	}
	for _, r := range summary.Cases {
		wanted := ok
		if slices.ContainsFunc(notThereHere, func(part string) bool { return strings.Contains(r.Case, part) }) {
			wanted = notThere
		}
		if r.Result != wanted {
			t.Errorf("%s: %s, want %s: %s", r.Case, r.Result, wanted, r.Seen)
		}
	}
	if c.ExitCode() != exitcode.OK {
		t.Errorf("exit code %d, want %d", c.ExitCode(), exitcode.OK)
	}
	b.wantNothingLeft(t)
}

func TestInterrupted(t *testing.T) {
	b := newTestBench(t)
	var progress servertest.Output
	b.args = append(b.args, "--only", "deduplicate")
	c := b.start(t, &progress)
	deadline := time.Now().Add(30 * time.Second)
	for !strings.Contains(c.Output(), "deduplicate ...") {
		if time.Now().After(deadline) {
			t.Fatalf("it never began: %s", c.Output())
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := syscall.Kill(c.PID(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if code := c.ExitCode(); code != exitcode.Interrupted {
		t.Errorf("exit code %d, want %d: %s", code, exitcode.Interrupted, c.Output())
	}
	b.wantNothingLeft(t)
}
