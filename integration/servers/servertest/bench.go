package servertest

import (
	"context"
	"testing"

	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// Bench writes a bench directory for this test and makes an empty database for each of its sites. What cfg leaves open
// is filled in: Redis URLs from r, a site "site1.localhost" when there is none, and the databases' names and passwords.
func Bench(t testing.TB, r *servers.Redis, cfg servers.BenchConfig) (dir string) {
	t.Helper()
	m := MariaDB(t)
	if cfg.RedisQueue == "" {
		cfg.RedisQueue = r.URL()
	}
	if len(cfg.Sites) == 0 {
		cfg.Sites = []servers.BenchSite{{Name: "site1.localhost"}}
	}
	sites := make([]servers.BenchSite, len(cfg.Sites))
	for i, site := range cfg.Sites {
		sites[i] = siteDatabase(t, m, site)
	}
	cfg.Sites = sites
	dir = t.TempDir()
	if err := servers.NewBench(dir, cfg); err != nil {
		t.Fatal(err)
	}
	return dir
}

// siteDatabase makes the database of a site that names none, with a user of the same name, as bench new-site does.
func siteDatabase(t testing.TB, m *servers.MariaDB, site servers.BenchSite) servers.BenchSite {
	t.Helper()
	if site.DBName != "" {
		return site
	}
	site.DBName, site.DBPassword, site.DBHost, site.DBPort = DatabaseName(), "secret", m.Host, m.Port
	if err := m.CreateDatabase(t.Context(), site.DBName, site.DBName, site.DBPassword); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop(t, func() error { return m.DropDatabase(context.Background(), site.DBName) })
	})
	return site
}
