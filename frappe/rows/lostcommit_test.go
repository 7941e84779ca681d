package rows

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// cutter is a proxy before MariaDB that breaks connections at their COMMIT.
type cutter struct {
	addr     string
	target   string
	forward  atomic.Bool  // let the server see the COMMIT before its answer is lost
	cuts     atomic.Int32 // how many more to make
	thenDown atomic.Bool  // after a cut, be away
	down     atomic.Bool
	l        net.Listener
	wg       sync.WaitGroup
	mu       sync.Mutex
	sessions map[net.Conn]bool
}

func newCutter(t testing.TB, target string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{addr: l.Addr().String(), target: target, l: l, sessions: map[net.Conn]bool{}}
	c.wg.Go(c.accept)
	t.Cleanup(func() {
		l.Close()
		c.mu.Lock()
		for s := range c.sessions {
			s.Close()
		}
		c.mu.Unlock()
		c.wg.Wait()
	})
	return c
}

func (c *cutter) accept() {
	for {
		client, err := c.l.Accept()
		if err != nil {
			return
		}
		if c.down.Load() {
			client.Close()
			continue
		}
		server, err := net.Dial("tcp", c.target)
		if err != nil {
			client.Close()
			continue
		}
		c.mu.Lock()
		c.sessions[client], c.sessions[server] = true, true
		c.mu.Unlock()
		mute := &atomic.Bool{}
		c.wg.Go(func() { c.requests(client, server, mute) })
		c.wg.Go(func() { c.answers(client, server, mute) })
	}
}

func (c *cutter) requests(client, server net.Conn, mute *atomic.Bool) {
	defer server.Close()
	defer client.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if bytes.HasSuffix(buf[:n], []byte("\x03COMMIT")) && c.cuts.Add(-1) >= 0 {
			mute.Store(true)
			c.down.Store(c.thenDown.Load())
			if c.forward.Load() {
				_, _ = server.Write(buf[:n])
				_, _ = io.ReadFull(server, make([]byte, 5)) // the server has answered: it is committed
			}
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (c *cutter) answers(client, server net.Conn, mute *atomic.Bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil || mute.Load() {
			client.Close()
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cutSite is an installed site whose database is behind a cutter.
func cutSite(t testing.TB) (*DB, *cutter) {
	t.Helper()
	m := servertest.MariaDB(t)
	dir := servertest.Bench(t, nil, servers.BenchConfig{RedisQueue: "redis://127.0.0.1:1"})
	c := newCutter(t, m.Addr)
	_, port, _ := net.SplitHostPort(c.addr)
	path := filepath.Join(dir, "sites", "site1.localhost", siteFile)
	name := openSite(t, dir, "site1.localhost").DBName()
	write(t, path, fmt.Sprintf(`{"db_name": %q, "db_password": "secret", "db_host": "127.0.0.1", "db_port": %s}`, name, port))
	d := siteDB(t, openSite(t, dir, "site1.localhost"))
	if _, err := Install(t.Context(), d, InstallOptions{}); err != nil {
		t.Fatal(err)
	}
	return d, c
}

// The answer to COMMIT gets lost. Whether the transaction happened or not: each move is applied once, is reported as
// applied, and left one log row.
func TestTransitionWhoseCommitIsLost(t *testing.T) {
	for _, forward := range []bool{true, false} {
		t.Run("committed="+strconv.FormatBool(forward), func(t *testing.T) {
			d, c := cutSite(t)
			jobs := newJobs(t, d, 3, StatusQueued)
			c.forward.Store(forward)
			c.cuts.Store(1)
			at := d.Now()
			results, err := d.Transition(t.Context(), []Transition{start(jobs[0].Name, at), start(jobs[1].Name, at), start(jobs[2].Name, at)})
			if err != nil {
				t.Fatal(err)
			}
			if c.cuts.Load() > 0 {
				t.Fatal("no COMMIT was cut")
			}
			for i, r := range results {
				j := row(t, d, jobs[i].Name)
				if !r.Applied || r.Current != StatusRunning || r.Modified != j.ModifiedRaw || j.Status != StatusRunning {
					t.Errorf("%+v, the row is %s", r, j.Status)
				}
				if lines := history(t, d, jobs[i].Name); len(lines) != 3 {
					t.Errorf("log: %q", lines)
				}
			}
		})
	}
}

func TestTransitionWhoseOutcomeStaysUnknown(t *testing.T) {
	d, c := cutSite(t)
	name := newJobs(t, d, 1, StatusQueued)[0].Name
	c.cuts.Store(100)
	results, err := d.Transition(t.Context(), []Transition{start(name, d.Now())})
	if !errors.Is(err, ErrUnavailable) || !errors.Is(results[0].Err, ErrUnavailable) || results[0].Applied {
		t.Errorf("%+v, %v, want ErrUnavailable", results, err)
	}
}

// A start that nobody can be asked about is made again once the server is back: it is applied, and was made once.
func TestAStartIsMadeAgain(t *testing.T) {
	for _, forward := range []bool{true, false} {
		d, c := cutSite(t)
		name := newJobs(t, d, 1, StatusQueued)[0].Name
		c.forward.Store(forward)
		c.thenDown.Store(true)
		c.cuts.Store(1)
		at := d.Now()
		if _, err := d.Transition(t.Context(), []Transition{start(name, at)}); !errors.Is(err, ErrOutcomeUnknown) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v, want ErrOutcomeUnknown and ErrUnavailable", err)
		}
		c.down.Store(false)
		results, err := d.Transition(t.Context(), []Transition{start(name, at)})
		j := row(t, d, name)
		if err != nil || !results[0].Applied || results[0].StartedRaw != j.StartedRaw || j.Status != StatusRunning {
			t.Errorf("committed %t: %+v, %v; the row is %s", forward, results, err, j.Status)
		}
		if lines := history(t, d, name); len(lines) != 3 {
			t.Errorf("committed %t: log: %q", forward, lines)
		}
		if results, err := d.Transition(t.Context(), []Transition{start(name, at.Add(time.Millisecond))}); err != nil || results[0].Applied {
			t.Errorf("another start: %+v, %v", results, err)
		}
	}
}

func TestCreateJobsWhoseCommitIsLost(t *testing.T) {
	for _, forward := range []bool{true, false} {
		t.Run("committed="+strconv.FormatBool(forward), func(t *testing.T) {
			d, c := cutSite(t)
			c.forward.Store(forward)
			c.cuts.Store(1)
			jobs := newJobs(t, d, 3, StatusQueued)
			if c.cuts.Load() > 0 {
				t.Fatal("no COMMIT was cut")
			}
			_, total, err := d.ListJobs(context.Background(), ListFilter{})
			if err != nil || total != 3 {
				t.Errorf("%d rows, %v, want 3", total, err)
			}
			for _, j := range jobs {
				if got := row(t, d, j.Name); got.ModifiedRaw != j.ModifiedRaw {
					t.Errorf("%s: modified %s, want %s", j.Name, got.ModifiedRaw, j.ModifiedRaw)
				}
			}
		})
	}
}

// If nobody can be asked how the COMMIT ended, the rows are not made a second time.
func TestCreateJobsWhoseOutcomeStaysUnknown(t *testing.T) {
	d, c := cutSite(t)
	c.forward.Store(true)
	c.thenDown.Store(true)
	c.cuts.Store(1)
	_, err := d.CreateJobs(t.Context(), []NewJob{newJob(StatusQueued)})
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "is not known; look before submitting again") {
		t.Errorf("%v, want ErrUnavailable and a warning", err)
	}
	c.down.Store(false)
	if _, total, err := d.ListJobs(t.Context(), ListFilter{}); err != nil || total != 1 {
		t.Errorf("%d rows, %v, want 1", total, err)
	}
}
