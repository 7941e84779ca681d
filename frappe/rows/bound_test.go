package rows

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// manySites is a bench of n sites with databases on one server, which has few connections for all.
func manySites(t testing.TB, m *servers.MariaDB, n int) (*frappe.Bench, []string) {
	t.Helper()
	var cfg servers.BenchConfig
	cfg.RedisQueue = "redis://127.0.0.1:1"
	var names []string
	for i := range n {
		name := fmt.Sprintf("site%02d.localhost", i)
		db := fmt.Sprintf("db%02d", i)
		if err := m.CreateDatabase(t.Context(), db, db, "secret"); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
		cfg.Sites = append(cfg.Sites, servers.BenchSite{Name: name, DBName: db, DBPassword: "secret", DBHost: m.Host, DBPort: m.Port})
	}
	dir := t.TempDir()
	if err := servers.NewBench(dir, cfg); err != nil {
		t.Fatal(err)
	}
	return openBench(t, dir), names
}

// watched counts the connections that the server has, but for its own, until most is called.
func watched(t testing.TB, m *servers.MariaDB) (now func() int, most func() int) {
	t.Helper()
	root, err := sql.Open("mysql", m.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	root.SetMaxOpenConns(1)
	t.Cleanup(func() { root.Close() })
	now = func() (n int) {
		err := root.QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE user LIKE 'db%'").Scan(&n)
		if err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		return n
	}
	var highest atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				highest.Store(max(highest.Load(), int64(now())))
			}
		}
	}()
	most = sync.OnceValue(func() int {
		close(stop)
		<-stopped
		return int(highest.Load())
	})
	t.Cleanup(func() { most() })
	return now, most
}

// TestManySites: sixty-one sites that all work at once stay within the bound, each gets its turn, and once they are idle
// nothing of them is left, neither connections nor goroutines.
func TestManySites(t *testing.T) {
	const limit = 6
	m := servertest.PrivateMariaDB(t, "--max-connections=10")
	bench, names := manySites(t, m, 61)
	now, most := watched(t, m)
	goroutines := runtime.NumGoroutine()
	p := newPool(t, bench)
	p.SetMaxConnections(limit)
	var work sync.WaitGroup
	for i, name := range names {
		users := 1
		if i == 0 {
			users = 30 // one site is busier than all others
		}
		for range users {
			work.Go(func() {
				d, err := p.DB(t.Context(), name)
				for range 5 {
					if err == nil {
						_, err = d.Strings(t.Context(), "sleep", "SELECT SLEEP(0.01) WHERE ?=?", 1, 1)
					}
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	work.Wait()
	// The server still has one that was just ended.
	if n := most(); n > limit+2 || n < limit/2 {
		t.Errorf("%d connections at a time, want at most %d, and that they are used", n, limit)
	}
	until(t, "nothing is left of idle sites", func() bool {
		time.Sleep(20 * time.Millisecond)
		return now() == 0 && runtime.NumGoroutine() <= goroutines+1
	})
	p.bound.mu.Lock()
	defer p.bound.mu.Unlock()
	if p.bound.open != 0 || p.bound.using != 0 {
		t.Errorf("%d connections and %d turns are counted when all is idle", p.bound.open, p.bound.using)
	}
}

// TestOneConnectionIsEnough: nothing that is done with rows needs a second connection while it has one.
func TestOneConnectionIsEnough(t *testing.T) {
	s := newSite(t, testMajor)
	p := newPool(t, s.Bench)
	p.SetMaxConnections(1)
	d := poolDB(t, p, s.Name)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := Install(ctx, d, InstallOptions{Samples: true})
	jobs, err2 := d.CreateOrFindJobs(ctx, []NewJob{
		{JobType: "echo_job", Organization: "O", OwnerUser: "u", JobHash: "h", Status: StatusQueued},
		{JobType: "echo_job", Organization: "O", OwnerUser: "u", JobHash: "i", Status: StatusQueued},
	})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	mustUse(t, d, "UPDATE tabSeries SET current=0") // the next name is taken: the series catches up
	more, err := d.CreateJobs(ctx, []NewJob{{JobType: "echo_job", Organization: "O", OwnerUser: "u"}})
	if err != nil {
		t.Fatal(err)
	}
	var moves []Transition
	for _, j := range slices.Concat(jobs, more) {
		moves = append(moves, Transition{Name: j.Name, From: j.Status, To: StatusCanceled})
	}
	results, err := d.Transition(ctx, moves)
	_, err2 = d.SetProgress(ctx, []Progress{{Name: jobs[0].Name, Percent: 1, Fence: "2026-01-01 00:00:00.000001"}})
	_, err3 := d.History(ctx, jobs[0].Name)
	_, err4 := d.JobTypes(ctx)
	if err := errors.Join(err, err2, err3, err4); err != nil || !results[0].Applied || !results[2].Applied {
		t.Errorf("with one connection: %v, moved %+v", err, results)
	}
}

func mustUse(t testing.TB, d *DB, statement string) {
	t.Helper()
	if err := d.define(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// TestTurns: a site gets half of what the others leave, and of those that wait the one with the fewest turns is next.
func TestTurns(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sites", commonFile), `{}`)
	write(t, filepath.Join(dir, "sites", "s", siteFile), `{"db_name": "n", "db_port": 1}`)
	cfg, err := siteDatabase(openSite(t, dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	b := newBound(8)
	connector, err := mysql.NewConnector(cfg.driver)
	if err != nil {
		t.Fatal(err)
	}
	site := func(name string) *database {
		d := &database{site: name, bound: b, connector: connector}
		t.Cleanup(func() { b.shut(d) })
		return d
	}
	busy, other, third := site("busy"), site("other"), site("third")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	// take takes as many turns as there are.
	take := func(d *database) (leaves []func()) {
		for {
			leave, err := b.enter(ended, d)
			if err != nil {
				if !errors.Is(err, ErrConnections) {
					t.Errorf("no turn is left: %v, want ErrConnections", err)
				}
				return leaves
			}
			leaves = append(leaves, leave)
		}
	}
	first, second, last := take(busy), take(other), take(third)
	if len(first) != 4 || len(second) != 2 || len(last) != 1 {
		t.Errorf("the sites get %d, %d and %d of 8 turns, want 4, 2 and 1", len(first), len(second), len(last))
	}
	take(site("fourth"))
	order := make(chan string, 2)
	wait := func(d *database) {
		go func() {
			if _, err := b.enter(t.Context(), d); err == nil {
				order <- d.site
			}
		}()
		until(t, d.site+" waits", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return slices.ContainsFunc(b.waiting, func(w *turn) bool { return w.d == d })
		})
	}
	wait(other)
	wait(site("new"))
	first[0]()
	if next := <-order; next != "new" {
		t.Errorf("the next turn is %s's, want the one that has none", next)
	}
	first[1]()
	first[2]()
	first[3]()
	if next := <-order; next != "other" {
		t.Errorf("the next turn is %s's, want other's", next)
	}
	b.shut(third)
	if _, err := b.enter(t.Context(), third); !errors.Is(err, errPoolClosed) {
		t.Errorf("a database that was closed: %v", err)
	}
}
