// Package servertest gives tests the servers of package servers, and ends them when the test ends.
//
// A missing server program skips the test on a developer's machine and fails it where CI is set: a green run there
// means that everything ran.
package servertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// startTimeout covers a first start on a busy machine, with building what is cached later.
const startTimeout = 5 * time.Minute

// Redis starts a redis-server for this test alone.
func Redis(t testing.TB, opts ...servers.Option) *servers.Redis {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	r, err := servers.StartRedis(ctx, opts...)
	Need(t, err)
	t.Cleanup(func() { stop(t, r.Stop) })
	return r
}

// Sentinel starts three redis-servers, and the sentinels that watch them, for this test alone.
func Sentinel(t testing.TB, opts ...servers.Option) *servers.Sentinel {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	s, err := servers.StartSentinel(ctx, opts...)
	Need(t, err)
	t.Cleanup(func() { stop(t, s.Stop) })
	return s
}

var shared struct {
	once sync.Once
	m    *servers.MariaDB
	err  error
}

// MariaDB is the server that all tests of this process share. It is started by the first call and ends with the
// process, after which its files are removed. Tests that kill or reconfigure theirs use PrivateMariaDB.
func MariaDB(t testing.TB) *servers.MariaDB {
	t.Helper()
	shared.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		shared.m, shared.err = servers.StartMariaDB(ctx)
	})
	Need(t, shared.err)
	return shared.m
}

// PrivateMariaDB starts a mariadbd for this test alone.
func PrivateMariaDB(t testing.TB, arguments ...string) *servers.MariaDB {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	m, err := servers.StartMariaDB(ctx, arguments...)
	Need(t, err)
	t.Cleanup(func() { stop(t, m.Stop) })
	return m
}

var databases atomic.Int64

// Database is the root DSN of an empty database of this test's own on the shared MariaDB, dropped after the test.
func Database(t testing.TB) (dsn string) {
	t.Helper()
	m := MariaDB(t)
	name := DatabaseName()
	if err := m.CreateDatabase(t.Context(), name, "root", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop(t, func() error { return m.DropDatabase(context.Background(), name) })
	})
	return m.DSN(name)
}

// DatabaseName is a database name that no other test of this process uses.
func DatabaseName() string {
	return fmt.Sprintf("test_%d_%d", os.Getpid(), databases.Add(1))
}

// Python is the interpreter of an environment with that RQ version.
func Python(t testing.TB, rqVersion string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	python, err := servers.PythonVenv(ctx, rqVersion)
	Need(t, err)
	return python
}

// Need ends the test when err is not nil: it skips it for a missing program unless CI is set.
func Need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, servers.ErrNotInstalled) && os.Getenv("CI") == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

func stop(t testing.TB, f func() error) {
	if err := f(); err != nil {
		t.Error(err)
	}
}

// Browser starts a browser for this test.
func Browser(t testing.TB) *servers.Browser {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	b, err := servers.StartBrowser(ctx)
	Need(t, err)
	t.Cleanup(func() { stop(t, b.Stop) })
	return b
}
