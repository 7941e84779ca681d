package bridge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// redisDo runs commands of the server's administrator.
func (b *bed) redisDo(commands ...string) {
	b.t.Helper()
	for _, command := range commands {
		var args []any
		for _, arg := range strings.Fields(command) {
			args = append(args, arg)
		}
		if err := b.rdb.Do(b.t.Context(), args...).Err(); err != nil {
			b.t.Fatalf("%s: %v", command, err)
		}
	}
}

// breakSnapshots makes the server unable to save, after which it refuses writes (MISCONF).
func (b *bed) breakSnapshots() {
	b.t.Helper()
	dir := b.rdb.ConfigGet(b.t.Context(), "dir").Val()["dir"]
	if err := os.Mkdir(filepath.Join(dir, "dump.rdb"), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := b.rdb.ConfigSet(b.t.Context(), "save", "3600 1").Err(); err != nil {
		b.t.Fatal(err)
	}
	b.redisDo("BGSAVE")
	b.eventually("a snapshot failed", func() bool {
		return strings.Contains(b.rdb.Info(b.t.Context(), "persistence").Val(), "rdb_last_bgsave_status:err")
	}, func() string { return "" })
}

// TestRedisRefusesWrites for three leases while jobs end, with a second process that would rescue them: each job runs
// once, and its end is written when Redis takes writes again.
func TestRedisRefusesWrites(t *testing.T) {
	t.Parallel()
	for name, redis := range map[string]struct{ refuse, recover func(b *bed) }{
		"no memory": {
			func(b *bed) { b.redisDo("CONFIG SET maxmemory 1") }, func(b *bed) { b.redisDo("CONFIG SET maxmemory 0") },
		},
		"a replica": {
			func(b *bed) { b.redisDo("REPLICAOF 127.0.0.1 1") }, func(b *bed) { b.redisDo("REPLICAOF NO ONE") },
		},
		"no snapshot": {
			(*bed).breakSnapshots, func(b *bed) { b.redisDo("CONFIG SET stop-writes-on-bgsave-error no") },
		},
		"no right to scripts": {
			func(b *bed) { b.redisDo("ACL SETUSER default -evalsha -eval -zadd") }, func(b *bed) { b.redisDo("ACL SETUSER default +@all") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, map[string]any{"lease": 1})
			b.countTypes()
			b.cfg.pace = fastPace
			c := newCounter()
			b.start(c.register)
			plain, row := b.plain("go.holds"), b.submit("holds", nil)
			c.waitHeld(b, 2)
			b.start(nil) // has no handler for them, and rescues all the same
			redis.refuse(b)
			close(c.open)
			b.waitRow(row, rows.StatusCompleted)
			time.Sleep(3 * time.Second)
			redis.recover(b)
			b.waitJob(plain, rqcompat.StatusFinished)
			b.waitJob(b.bench.JobID(testSite, row), rqcompat.StatusFinished)
			time.Sleep(time.Second) // a rescue would be here by now
			c.wantOnce(t, plain, b.bench.JobID(testSite, row))
			if got := b.path(row); got != "Pending Queued Running Completed" {
				t.Errorf("path %s", got)
			}
			if kills := b.rdb.HGet(t.Context(), rqcompat.JobKey(plain), "bridge_kills").Val(); kills != "" {
				t.Errorf("%s kills are counted, want none", kills)
			}
		})
	}
}
