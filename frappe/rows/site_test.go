package rows

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

const (
	testMajor   = 15      // the Frappe version of test benches that don't name one
	testSection = "party" // the key of common_site_config.json for whoever uses a test bench
	commonFile  = "common_site_config.json"
	siteFile    = "site_config.json"
)

// newSite is a site with an empty database of its own.
func newSite(t testing.TB, major int) *frappe.Site {
	t.Helper()
	dir := servertest.Bench(t, nil, servers.BenchConfig{Major: major, RedisQueue: "redis://127.0.0.1:1"})
	return openSite(t, dir, "site1.localhost")
}

func openSite(t testing.TB, dir, name string) *frappe.Site {
	t.Helper()
	s, err := openBench(t, dir).Site(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openBench(t testing.TB, dir string) *frappe.Bench {
	t.Helper()
	b, err := frappe.OpenBench(dir, frappe.Options{Section: testSection})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// installed is a database with the tables of this package.
func installed(t testing.TB, major int) (*frappe.Site, *DB) {
	t.Helper()
	s := newSite(t, major)
	d := siteDB(t, s)
	if _, err := Install(t.Context(), d, InstallOptions{Samples: true}); err != nil {
		t.Fatal(err)
	}
	return s, d
}

// siteDB is a database whose x a test may use at any time.
func siteDB(t testing.TB, s *frappe.Site) *DB {
	t.Helper()
	d, err := Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	leave, err := d.bound.enter(t.Context(), &d.database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		leave()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func newPool(t testing.TB, b *frappe.Bench) *Pool {
	t.Helper()
	p := NewPool(b)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// until waits for something that comes about elsewhere.
func until(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !happened(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s in vain until %s", what)
		}
	}
}

// lockWaits is how many transactions of the tests' server wait for a lock.
func lockWaits(t testing.TB) (n int) {
	t.Helper()
	root, err := sqlx.Open("mysql", servertest.MariaDB(t).DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	// innodb_trx would say it too, but whoever asks it again within 0.1 s gets the old answer.
	if err := root.Get(&n, "SELECT variable_value FROM information_schema.global_status WHERE variable_name='INNODB_ROW_LOCK_CURRENT_WAITS'"); err != nil {
		t.Fatal(err)
	}
	return n
}

func mustExec(t testing.TB, d *DB, query string, args ...any) {
	t.Helper()
	if _, err := d.x.ExecContext(context.Background(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
