package bridge

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// TestAnIdleBenchOfManySites keeps hardly a connection to the database, and never asks all sites at one moment.
func TestAnIdleBenchOfManySites(t *testing.T) {
	t.Parallel()
	m, r := servertest.PrivateMariaDB(t, "--max-connections=30"), servertest.Redis(t)
	cfg := servers.BenchConfig{ID: "bench", Major: 15, RQVersion: "1.15.1", RedisQueue: r.URL()}
	for i := range 61 {
		name := fmt.Sprintf("db%02d", i)
		if err := m.CreateDatabase(t.Context(), name, name, "secret"); err != nil {
			t.Fatal(err)
		}
		cfg.Sites = append(cfg.Sites, servers.BenchSite{Name: name + ".localhost", DBName: name, DBPassword: "secret", DBHost: m.Host, DBPort: m.Port})
	}
	dir := t.TempDir()
	if err := servers.NewBench(dir, cfg); err != nil {
		t.Fatal(err)
	}
	bench, err := frappe.OpenBench(dir, frappe.Options{Section: "bridge"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{Bench: bench})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	root, err := sql.Open("mysql", m.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	most, all, looks, users := 0, 0, 0, map[string]bool{}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		n := 0
		found, err := root.Query("SELECT user FROM information_schema.processlist WHERE user LIKE 'db%'")
		if err != nil {
			t.Fatal(err)
		}
		for found.Next() {
			var user string
			if err := found.Scan(&user); err != nil {
				t.Fatal(err)
			}
			users[user] = true
			n++
		}
		if err := found.Err(); err != nil {
			t.Fatal(err)
		}
		most, all, looks = max(most, n), all+n, looks+1
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(users) < 61 {
		t.Errorf("%d sites were asked in 20 s, want all 61", len(users))
	}
	// The server shows a connection for a moment after it was closed: some more than the bound.
	if mean := float64(all) / float64(looks); mean > 10 || most > 16+4 {
		t.Errorf("%.1f connections on average and %d at most for 61 idle sites, want ten at most, and never more than the bound of 16", mean, most)
	}
}
