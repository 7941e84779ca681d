package rows

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// poolDB is a site's database from a pool.
func poolDB(t testing.TB, p *Pool, site string) *DB {
	t.Helper()
	d, err := p.DB(t.Context(), site)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A server that accepts connections and says nothing must not hold up other sites, nor who only wants the
// configuration.
func TestSilentServerHoldsUpNobodyElse(t *testing.T) {
	m := servertest.PrivateMariaDB(t)
	p := newPool(t, siteOn(t, m, "secret").Bench)
	write(t, filepath.Join(p.bench.SitesDir, "other", siteFile), `{"db_name": "n", "db_port": 1}`)
	if err := m.Pause(); err != nil {
		t.Fatal(err)
	}
	gaveUp := errors.New("gave up")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() {
		_, err := p.DB(ctx, "s")
		done <- err
	}()
	e, err := p.entry("s")
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the site's database is being opened", func() bool { return len(e.turn) == 1 })
	begun := time.Now()
	if _, err := p.bench.Site("s"); err != nil {
		t.Error(err)
	}
	if _, err := p.DB(t.Context(), "other"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("another site, on a server that is away: %v", err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("the configuration and another site took %v while the first one connected", took)
	}
	cancel(gaveUp)
	if err := <-done; !errors.Is(err, gaveUp) || errors.Is(err, ErrUnavailable) {
		t.Errorf("who gave up waiting for a silent server was told %v", err)
	}
	if err := m.Resume(); err != nil {
		t.Fatal(err)
	}
	poolDB(t, p, "s") // that somebody gave up waiting is not the server's failure
}

func TestPoolFollowsTheConfiguration(t *testing.T) {
	b := newSite(t, testMajor).Bench
	p := newPool(t, b)
	before := poolDB(t, p, "site1.localhost")
	if poolDB(t, p, "site1.localhost") != before {
		t.Error("asked again with the same settings: another DB")
	}
	site, err := b.Site("site1.localhost")
	if err != nil {
		t.Fatal(err)
	}
	changed := maps.Clone(site.Config())
	changed["db_host"] = "localhost"
	text, err := json.Marshal(changed)
	if err != nil {
		t.Fatal(err)
	}
	write(t, site.ConfigFile(), string(text))
	after := poolDB(t, p, "site1.localhost")
	if after == before {
		t.Error("the settings changed: the same DB")
	}
	until(t, "the DB of before is closed", func() bool {
		_, err := before.Statuses(t.Context(), []string{"JOB-1"})
		return errors.Is(err, errPoolClosed)
	})
}

func TestPoolErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sites", commonFile), `{}`)
	write(t, filepath.Join(dir, "sites", "away", siteFile), `{"db_name": "n", "db_port": 1}`)
	p := newPool(t, openBench(t, dir))
	if _, err := p.DB(t.Context(), "absent"); !errors.Is(err, frappe.ErrNoSuchSite) {
		t.Errorf("no such site: %v", err)
	}
	_, first := p.DB(t.Context(), "away")
	if !errors.Is(first, ErrUnavailable) {
		t.Fatalf("no such server: %v, want ErrUnavailable", first)
	}
	if _, again := p.DB(t.Context(), "away"); again != first {
		t.Errorf("asked again at once: %v; the answer should be that of the attempt before", again)
	}
	p.sites["away"].failedAt = time.Now().Add(-reconnectPause)
	if _, later := p.DB(t.Context(), "away"); later == first {
		t.Error("asked again a second later: no other attempt was made")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := p.DB(t.Context(), "away"); !errors.Is(err, errPoolClosed) {
		t.Errorf("asked a closed pool: %v", err)
	}
}
