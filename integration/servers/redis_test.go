package servers_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// client connects by the URL, as a bench does, and so checks that too.
func client(t *testing.T, r *servers.Redis) *redis.Client {
	t.Helper()
	opts, err := redis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	opts.MaxRetries = -1
	opts.ReadTimeout = 300 * time.Millisecond
	rdb := redis.NewClient(opts)
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func TestRedisServesByItsURL(t *testing.T) {
	for name, opts := range map[string][]servers.Option{
		"tcp":      nil,
		"unix":     {servers.WithUnixSocket()},
		"password": {servers.WithPassword("p@ss/word")},
		"directive": {
			servers.WithConfig("maxmemory", "50mb"), servers.WithConfig("user", "u", "on", ">p", "~*", "&*", "+@all"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			rdb := client(t, servertest.Redis(t, opts...))
			if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestRedisRestartKeepsTheAddress(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts []servers.Option
		want string
	}{
		{"in memory", nil, ""},
		{"append only", []servers.Option{servers.WithAppendOnly()}, "v"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := t.Context()
			r := servertest.Redis(t, tc.opts...)
			rdb := client(t, r)
			if err := rdb.Set(ctx, "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
			r.Kill()
			if err := rdb.Ping(ctx).Err(); err == nil {
				t.Fatal("a killed server answers")
			}
			if err := r.Restart(ctx); err != nil {
				t.Fatal(err)
			}
			if got := rdb.Get(ctx, "k").Val(); got != tc.want {
				t.Errorf("after the crash k = %q, want %q", got, tc.want)
			}
			if err := r.Restart(ctx); err != nil {
				t.Fatalf("restart a running server: %v", err)
			}
			if err := rdb.Ping(ctx).Err(); err != nil {
				t.Errorf("after the second restart: %v", err)
			}
		})
	}
}

func TestRedisPauseHangsClients(t *testing.T) {
	r := servertest.Redis(t)
	rdb := client(t, r)
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := rdb.Ping(t.Context()).Err(); err == nil {
		t.Error("a paused server answers")
	}
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Errorf("after Resume: %v", err)
	}
}

func TestRedisStartErrorHasTheServersWords(t *testing.T) {
	_, err := servers.StartRedis(t.Context(), servers.WithConfig("no-such-directive", "x"))
	if err == nil || !strings.Contains(err.Error(), "no-such-directive") {
		t.Errorf("error = %v, want one with redis-server's complaint", err)
	}
}

func TestStopLeavesNoFiles(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	r, err := servers.StartRedis(context.Background())
	servertest.Need(t, err)
	if n := entries(t, tmp); n != 1 {
		t.Errorf("a running server has %d directories, want 1", n)
	}
	for range 2 {
		if err := r.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if n := entries(t, tmp); n != 0 {
		t.Errorf("%d entries left after Stop", n)
	}
}

func entries(t *testing.T, dir string) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}
