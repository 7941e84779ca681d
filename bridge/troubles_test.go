package bridge

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// troubled is a bench whose servers are its own.
type troubled struct {
	*bed
	mariadb *servers.MariaDB
	log     *logBuffer
	undo    []func()
}

func newTroubled(t *testing.T, settings map[string]any) *troubled {
	m := servertest.PrivateMariaDB(t)
	if err := m.CreateDatabase(t.Context(), "site", "site", "secret"); err != nil {
		t.Fatal(err)
	}
	b := newBedOn(t, servertest.Redis(t, servers.WithAppendOnly()), settings, servers.BenchConfig{Sites: []servers.BenchSite{
		{Name: testSite, DBHost: m.Host, DBPort: m.Port, DBName: "site", DBPassword: "secret"},
	}})
	b.countTypes()
	b.client() // which has a log of its own
	return &troubled{bed: b, mariadb: m, log: b.capture()}
}

// root runs statements as the server's administrator.
func (s *troubled) root(statements ...string) {
	s.t.Helper()
	if err := s.mariadb.Exec(s.t.Context(), statements...); err != nil {
		s.t.Fatal(err)
	}
}

// occupy takes all connections that the server has, those of the engine too.
func (s *troubled) occupy() {
	s.t.Helper()
	s.root("CREATE USER other@'%'", "SET GLOBAL max_connections=10")
	db, err := sql.Open("mysql", s.mariadb.UserDSN("", "other", ""))
	if err != nil {
		s.t.Fatal(err)
	}
	s.undo = append(s.undo, func() { _ = db.Close() })
	for taken := 0; taken < 10; {
		if conn, err := db.Conn(s.t.Context()); err == nil {
			taken++
			s.undo = append(s.undo, func() { _ = conn.Close() })
		} else {
			_ = s.mariadb.Exec(s.t.Context(), "KILL USER site") // root has a connection more, and the engine may have none
		}
	}
}

func (s *troubled) back() {
	for _, f := range s.undo {
		f()
	}
}

// killConnections ends every connection of the site's user, again and again for a while.
func (s *troubled) killConnections(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		_ = s.mariadb.Exec(context.Background(), "KILL USER site") // who has none
	}
}

// TestMariaDBInTrouble: what runs goes on, and what it comes to is written once the server takes it; of what waits nothing is
// claimed but what was on its way; jobs of others go on; and the log has one line when the trouble begins and one when it is over.
func TestMariaDBInTrouble(t *testing.T) { // not in parallel: it keeps the machine from others
	if testing.Short() {
		t.Skip("each trouble takes some seconds")
	}
	for name, trouble := range map[string]struct {
		begin, end func(s *troubled)
		passes     bool // what fails is tried again at once, and nobody notices
	}{
		"restarted": {begin: func(s *troubled) { s.mariadb.Kill() }, end: func(s *troubled) {
			if err := s.mariadb.Restart(s.t.Context()); err != nil {
				s.t.Fatal(err)
			}
		}},
		"read-only":            {begin: func(s *troubled) { s.root("SET GLOBAL read_only=1") }, end: func(s *troubled) { s.root("SET GLOBAL read_only=0") }},
		"too many connections": {begin: (*troubled).occupy, end: (*troubled).back},
		"connections killed":   {begin: func(s *troubled) { go s.killConnections(6 * time.Second) }, end: func(*troubled) {}, passes: true},
		"silent":               {begin: func(s *troubled) { _ = s.mariadb.Pause() }, end: func(s *troubled) { _ = s.mariadb.Resume() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTroubled(t, map[string]any{"concurrency": 16})
			c := newCounter()
			s.start(c.register)
			var held, waiting []string
			for range 4 {
				held = append(held, s.submit("holds", nil))
			}
			plain := s.plain("go.holds")
			c.waitHeld(s.bed, 5)
			trouble.begin(s)
			for i := range 40 {
				waiting = append(waiting, s.enqueue("count", map[string]any{"organization": "ORG-A", "n": i}))
			}
			close(c.open)
			s.waitJob(plain, rqcompat.StatusFinished)
			s.waitJob(s.plain("go.fine"), rqcompat.StatusFinished)
			time.Sleep(6 * time.Second)
			claimed := 0
			for _, id := range waiting {
				if s.rdb.HGet(t.Context(), rqcompat.JobKey(id), "status").Val() != string(rqcompat.StatusQueued) {
					claimed++
				}
			}
			trouble.end(s)
			begin := time.Now()
			for _, name := range held {
				s.waitRow(name, rows.StatusCompleted)
				s.waitJob(s.bench.JobID(testSite, name), rqcompat.StatusFinished)
				if got := s.path(name); got != "Pending Queued Running Completed" {
					t.Errorf("path %s", got)
				}
			}
			took := time.Since(begin)
			for _, id := range waiting {
				s.waitJob(id, rqcompat.StatusFinished)
			}
			t.Logf("%d of %d were claimed meanwhile; what had ended was written %s after the return, all was done after %s", claimed, len(waiting), took, time.Since(begin))
			if claimed > 0 && !trouble.passes {
				t.Errorf("%d of %d were claimed meanwhile", claimed, len(waiting))
			}
			if all := time.Since(begin); all > 15*time.Second {
				t.Errorf("all was done %s after the return", all)
			}
			c.wantOnce(t, waiting...)
			s.wantSaidOnce("the site's database can't be used; its jobs wait, others go on", "the site's database can be used again", trouble.passes)
		})
	}
}

// wantSaidOnce checks that the log has one line when a trouble begins and one when it is over, and no other warning; none at all if
// it passes.
func (s *troubled) wantSaidOnce(begin, end string, passes bool) {
	s.t.Helper()
	want := map[string]int{begin: 1, end: 1}
	said, unexpected := map[string]int{}, ""
	s.eventually("the log says that it is over", func() bool {
		clear(said)
		unexpected = ""
		for line := range strings.Lines(s.log.String()) {
			var l struct{ Level, Msg, Error string }
			// redis_cache is the same server here; and what a server has lost that was started again is a matter of its own.
			if json.Unmarshal([]byte(line), &l) != nil || strings.HasPrefix(l.Msg, "document cache not invalidated") || strings.HasPrefix(l.Msg, "Redis was emptied, started again") {
				continue
			}
			if l.Level == "WARN" || l.Level == "ERROR" || l.Msg == end || strings.HasSuffix(l.Msg, ": over") && l.Level == "INFO" {
				said[l.Msg]++
				if l.Level != "INFO" {
					unexpected += line
				}
			}
		}
		switch n := said[begin]; {
		case passes && n == 0:
			want = map[string]int{}
		case passes, n == 2: // on a slow machine somebody meets it more often than he tries again, and a server comes back in two steps
			want = map[string]int{begin: n, end: n}
		}
		return said[end] == want[end]
	}, func() string { return fmt.Sprint(said) })
	if diff := cmp.Diff(want, said); diff != "" {
		s.t.Errorf("lines of the log (-want +got):\n%s\n%s", diff, unexpected)
	}
}

// spin keeps Redis busy with a script.
func (s *troubled) spin(d time.Duration) {
	rdb := redis.NewClient(&redis.Options{Addr: s.redis.Addr, ReadTimeout: time.Minute, MaxRetries: -1})
	defer rdb.Close()
	_ = rdb.Eval(context.Background(), "local function now() local t = redis.call('TIME'); return t[1] + t[2] / 1000000 end "+
		"local till = now() + tonumber(ARGV[1]); while now() < till do end", nil, d.Seconds()).Err()
}

// TestRedisInTrouble: rows of what runs are settled meanwhile, RQ hears of it when Redis is back, in which all that waits is found
// as it was; each job runs once, and the log has one line when the trouble begins and one when it is over.
func TestRedisInTrouble(t *testing.T) { // not in parallel: it keeps the machine from others
	if testing.Short() {
		t.Skip("each trouble takes some seconds")
	}
	for name, trouble := range map[string]struct {
		begin, end func(s *troubled)
	}{
		"restarted": {begin: func(s *troubled) { s.bed.redis.Kill() }, end: func(s *troubled) {
			if err := s.bed.redis.Restart(s.t.Context()); err != nil {
				s.t.Fatal(err)
			}
		}},
		"no memory": {begin: func(s *troubled) { s.redisDo("CONFIG SET maxmemory 1") }, end: func(s *troubled) { s.redisDo("CONFIG SET maxmemory 0") }},
		"a replica": {begin: func(s *troubled) { s.redisDo("REPLICAOF 127.0.0.1 1") }, end: func(s *troubled) { s.redisDo("REPLICAOF NO ONE") }},
		"silent":    {begin: func(s *troubled) { _ = s.bed.redis.Pause() }, end: func(s *troubled) { _ = s.bed.redis.Resume() }},
		"slow":      {begin: func(s *troubled) { go s.spin(4500 * time.Millisecond) }, end: func(*troubled) {}},
		"busy": {begin: func(s *troubled) {
			s.redisDo("CONFIG SET lua-time-limit 200")
			go s.spin(4500 * time.Millisecond)
		}, end: func(*troubled) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTroubled(t, map[string]any{"concurrency": 8})
			c := newCounter()
			s.start(c.register)
			var held, waiting []string
			for range 3 {
				held = append(held, s.submit("holds", nil))
			}
			for range 5 {
				waiting = append(waiting, s.plain("go.holds"))
			}
			c.waitHeld(s.bed, 7) // one slot is for others
			for i := range 20 {
				waiting = append(waiting, s.enqueue("count", map[string]any{"organization": "ORG-A", "n": i}))
			}
			trouble.begin(s)
			time.Sleep(200 * time.Millisecond)
			close(c.open)
			for _, name := range held {
				s.waitRow(name, rows.StatusCompleted)
			}
			time.Sleep(5 * time.Second)
			trouble.end(s)
			begin := time.Now()
			for _, name := range held {
				waiting = append(waiting, s.bench.JobID(testSite, name))
			}
			for _, id := range waiting {
				s.waitJob(id, rqcompat.StatusFinished)
			}
			t.Logf("all was done %s after the return", time.Since(begin))
			if all := time.Since(begin); all > 15*time.Second {
				t.Errorf("all was done %s after the return", all)
			}
			c.wantOnce(t, waiting...)
			if name == "slow" { // shorter than an answer may take; whether anybody waited too long is chance
				return
			}
			s.wantSaidOnce("Redis (redis_queue) can't be used; what runs goes on, nothing new is claimed", "Redis (redis_queue) can be used again", false)
		})
	}
}
