package integration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const site = "site1.localhost"

// fleet is a bench on which Python with one version of RQ and Go work side by side.
type fleet struct {
	t       *testing.T
	version string
	redis   *servers.Redis
	dir     string
	bench   *frappe.Bench
	cfg     bridge.Config
	rdb     *redis.Client
	rq      *rqcompat.Client
	py      *python
}

// forEachRQ runs a test beside each version of RQ, all at the same time: they mostly wait.
func forEachRQ(t *testing.T, test func(t *testing.T, version string)) {
	t.Helper()
	for _, version := range servers.RQVersions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

// newFleet makes a fleet without an engine yet; settings is the key "bridge" of the bench's configuration.
func newFleet(t *testing.T, version string, settings map[string]any) *fleet {
	t.Helper()
	major := 15
	if strings.HasPrefix(version, "2.") {
		major = 16
	}
	f := &fleet{t: t, version: version, redis: servertest.Redis(t)}
	f.dir = servertest.Bench(t, f.redis, servers.BenchConfig{ID: "bench", Major: major, RQVersion: version, Bridge: settings})
	f.rdb = redis.NewClient(&redis.Options{Addr: f.redis.Addr, MaxRetries: -1})
	t.Cleanup(func() { _ = f.rdb.Close() })
	dialect, err := rqcompat.ParseDialect(version)
	if err != nil {
		t.Fatal(err)
	}
	f.rq = rqcompat.NewClient(f.rdb, dialect)
	f.cfg.Log = testLog(t)
	if f.bench, err = benchconfig.Open(f.dir, f.cfg.Log); err != nil {
		t.Fatal(err)
	}
	if f.cfg, err = benchconfig.Load(f.bench); err != nil {
		t.Fatal(err)
	}
	f.cfg.Log = testLog(t)
	f.cfg.RetryIntervals = []time.Duration{} // RQ has none, and what the two write is compared
	f.py = startPython(t, version, f.redis)
	return f
}

func testLog(t *testing.T) *slog.Logger {
	if os.Getenv("BRIDGE_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewJSONHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// plainIDs says that this RQ refuses Frappe's ids, with the site in front.
func (f *fleet) plainIDs() bool { return f.version == "2.10.0" }

// jobID is Frappe's id for a job of the test site, or the bare one where RQ refuses that.
func (f *fleet) jobID(id string) string {
	if f.plainIDs() {
		return id
	}
	return f.bench.JobID(site, id)
}

// own and shared are the RQ queues that belong to Go alone and to both.
func (f *fleet) own() string    { return f.bench.QueueName("go") }
func (f *fleet) shared() string { return f.bench.QueueName("default") }

// install makes the site's tables, for tests with rows.
func (f *fleet) install() *rows.DB {
	f.t.Helper()
	pool := rows.NewPool(f.bench)
	f.t.Cleanup(func() { _ = pool.Close() })
	db, err := pool.DB(f.t.Context(), site)
	if err == nil {
		_, err = rows.Install(f.t.Context(), db, rows.InstallOptions{Samples: true})
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return db
}

// engine is a running bridge.
type engine struct {
	cancel  context.CancelFunc
	done    chan error
	stopped bool
}

// start runs an engine until the test ends; register adds its handlers.
func (f *fleet) start(register func(*bridge.Engine)) *engine {
	f.t.Helper()
	e, err := bridge.New(f.cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	if register != nil {
		register(e)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &engine{cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- e.Run(ctx) }()
	f.t.Cleanup(func() {
		if err := r.stop(); err != nil {
			f.t.Errorf("engine: %v", err)
		}
	})
	return r
}

// stop stops the engine in order and returns what Run returned.
func (r *engine) stop() error {
	if r.stopped {
		return nil
	}
	r.cancel()
	return r.wait()
}

// wait waits until the engine has ended by itself or by stop.
func (r *engine) wait() error {
	r.stopped = true
	select {
	case err := <-r.done:
		r.cancel()
		return err
	case <-time.After(60 * time.Second):
		return errors.New("Run did not return within a minute of its stop")
	}
}

// client submits and looks as the command line does.
func (f *fleet) client() *bridge.Client {
	f.t.Helper()
	c, err := bridge.NewClient(f.t.Context(), f.cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	return c
}

// eventually waits for ok, up to half a minute.
func (f *fleet) eventually(what string, ok func() bool) {
	f.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			f.t.Fatalf("timed out: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// waitStatus waits until a job has a status, and returns it.
func (f *fleet) waitStatus(id string, want rqcompat.Status) *rqcompat.Job {
	f.t.Helper()
	var job *rqcompat.Job
	deadline := time.Now().Add(30 * time.Second)
	for {
		job, _ = f.rq.Fetch(f.t.Context(), id)
		if job != nil && job.Status == want {
			return job
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("job %s is %v instead of %s after half a minute", id, statusOf(job), want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func statusOf(job *rqcompat.Job) string {
	if job == nil {
		return "not there"
	}
	return string(job.Status)
}

// enqueue has Python's RQ enqueue jobs on a queue, and returns their ids.
func (f *fleet) enqueue(queue string, jobs ...values) (ids []string) {
	f.t.Helper()
	f.py.call("produce.jobs", values{"queue": queue, "jobs": jobs}, &ids)
	return ids
}

// frappeEnqueue has Python do what frappe.enqueue does, and returns the id.
func (f *fleet) frappeEnqueue(queue, method string, options values) (id string) {
	f.t.Helper()
	args := values{"method": method, "queue": queue, "site": site, "plain_id": f.plainIDs()}
	for k, v := range options {
		args[k] = v
	}
	f.py.call("produce.frappe", args, &id)
	return id
}

// burst lets a Python worker work the queues until they are empty.
func (f *fleet) burst(kind string, scheduler bool, queues ...string) {
	f.t.Helper()
	f.py.call("work.burst", values{"queues": queues, "kind": kind, "scheduler": scheduler}, nil)
}

func want[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}
