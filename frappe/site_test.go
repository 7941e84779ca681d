package frappe

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// testMajor is the Frappe version of test benches that don't name one.
const testMajor = 15

// newSite is a site with an empty database of its own.
func newSite(t testing.TB, major int) *Site {
	t.Helper()
	dir := servertest.Bench(t, nil, servers.BenchConfig{Major: major, RedisQueue: "redis://127.0.0.1:1"})
	return openSite(t, dir, "site1.localhost")
}

func openSite(t testing.TB, dir, name string) *Site {
	t.Helper()
	b, err := OpenBench(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := b.Site(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// installed is a database with the bridge's tables.
func installed(t testing.TB, major int) (*Site, *DB) {
	t.Helper()
	s := newSite(t, major)
	if _, err := Install(t.Context(), s, InstallOptions{Samples: true}); err != nil {
		t.Fatal(err)
	}
	return s, siteDB(t, s)
}

func siteDB(t testing.TB, s *Site) *DB {
	t.Helper()
	d, err := s.DB(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
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
