package bridge

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{}) // its complaints come back as errors
	if dir := os.Getenv(workerBench); dir != "" {
		workerProcess(dir)
		return
	}
	zones, err := os.MkdirTemp("", "zones")
	if err != nil {
		panic(err)
	}
	os.Setenv("ZONEINFO", zones) // read before the first zone is looked up, and never again
	// A call that is being decoded as its engine stops is decoded to the end of its budget.
	decoding := goleak.IgnoreAnyFunction("github.com/opensoft/dartwing-bridge/bridge/internal/route.(*Router).read")
	goleak.VerifyTestMain(m, decoding, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(zones)
		os.Exit(code)
	}))
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

const testSite = "site1.localhost"

// bed is a bench with one installed site, two organizations and private servers.
type bed struct {
	t     testing.TB
	dir   string
	redis *servers.Redis
	bench *frappe.Bench
	cfg   Config
	// settings are those of the configuration, for worker processes.
	settings map[string]any
	pool     *rows.Pool
	db       *rows.DB
	sql      *sqlx.DB
	rdb      *redis.Client
	// client submits and looks; opened on first use.
	opened *Client
}

// newBed makes a bed; settings are fields of its Config, times in seconds.
func newBed(t testing.TB, settings map[string]any) *bed {
	t.Helper()
	return newBedOn(t, servertest.Redis(t), settings, servers.BenchConfig{})
}

func newBedOn(t testing.TB, r *servers.Redis, settings map[string]any, cfg servers.BenchConfig) *bed {
	t.Helper()
	b := &bed{t: t, redis: r, dir: servertest.Bench(t, r, cfg), settings: settings}
	b.rdb = redis.NewClient(&redis.Options{Addr: r.Addr, MaxRetries: -1})
	t.Cleanup(func() { _ = b.rdb.Close() })
	b.bench = b.openBench()
	b.pool = rows.NewPool(b.bench)
	t.Cleanup(func() { _ = b.pool.Close() })
	b.db = b.install(testSite)
	b.openSQL()
	for _, org := range []string{"ORG-A", "ORG-B"} {
		b.exec("INSERT INTO `tabOrganization` (name, creation, modified, owner, modified_by, org_name, status) VALUES (?, NOW(6), NOW(6), 'Administrator', 'Administrator', ?, 'Active')", org, org)
	}
	// Tests submit the same again and again; those of duplicates say so.
	b.exec("UPDATE `tabJob Type` SET deduplication_window=0")
	b.exec("ALTER TABLE `tabJob Type` ALTER deduplication_window SET DEFAULT 0")
	b.addUser("jane@example.com", "System Manager")
	b.cfg = configured(b.bench, settings)
	if os.Getenv("BRIDGE_TEST_LOG") != "" {
		b.cfg.Log = slog.New(slog.NewJSONHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return b
}

// configured is the Config of some settings, as configuration files write them. Nobody waits half a minute for what a test has left
// running.
func configured(bench *frappe.Bench, settings map[string]any) Config {
	text, err := json.Marshal(settings)
	if err != nil {
		panic(err)
	}
	var s struct {
		Concurrency  int
		Queues       []string
		SharedQueues []string `json:"shared_queues"`
		First        []string
		Lease        float64
		StopTimeout  float64 `json:"stop_timeout"`
		CancelGrace  float64 `json:"cancel_grace"`
		RowGrace     float64 `json:"row_grace"`
		RQVersion    string  `json:"rq_version"`
		Retry        struct{ Base float64 }
		Foreign      map[string]ForeignHandler
		Trust        bool `json:"trust_enqueuer"`
		PerOrg       int  `json:"running_per_organization"`
		Weights      map[string]int
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		panic(err)
	}
	seconds := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	return Config{
		Bench: bench, Concurrency: s.Concurrency, Queues: s.Queues, SharedQueues: s.SharedQueues, First: s.First, Lease: seconds(s.Lease),
		StopTimeout: cmp.Or(seconds(s.StopTimeout), 3*time.Second), CancelGrace: seconds(s.CancelGrace), RowGrace: seconds(s.RowGrace), RQVersion: s.RQVersion,
		Retry: RetryPolicy{Base: seconds(s.Retry.Base)}, RetryIntervals: []time.Duration{}, Foreign: s.Foreign, TrustEnqueuer: s.Trust, Weights: s.Weights,
		RunningPerOrganization: s.PerOrg,
	}
}

// addUser makes a user with some roles.
func (b *bed) addUser(user string, roles ...string) {
	b.t.Helper()
	b.exec("INSERT INTO tabUser (name, creation, modified, owner, modified_by, email) VALUES (?, NOW(6), NOW(6), 'Administrator', 'Administrator', ?)", user, user)
	for _, role := range roles {
		b.exec("INSERT INTO `tabHas Role` (name, creation, modified, owner, modified_by, parent, parenttype, parentfield, role) VALUES (?, NOW(6), NOW(6), 'Administrator', 'Administrator', ?, 'User', 'roles', ?)",
			role+" "+user, user, role)
	}
}

// install makes the tables of a site.
func (b *bed) install(site string) *rows.DB {
	b.t.Helper()
	db, err := b.pool.DB(b.t.Context(), site)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := rows.Install(b.t.Context(), db, rows.InstallOptions{Samples: true}); err != nil {
		b.t.Fatal(err)
	}
	return db
}

func (b *bed) openBench() *frappe.Bench {
	b.t.Helper()
	bench, err := frappe.OpenBench(b.dir, frappe.Options{Section: "bridge"})
	if err != nil {
		b.t.Fatal(err)
	}
	return bench
}

// openSQL opens a second way to the site's database, for what tests set up and
// look at behind the engine's back.
func (b *bed) openSQL() {
	b.t.Helper()
	raw, err := os.ReadFile(filepath.Join(b.dir, "sites", testSite, "site_config.json"))
	if err != nil {
		b.t.Fatal(err)
	}
	var c struct {
		Host     string      `json:"db_host"`
		Port     json.Number `json:"db_port"`
		Name     string      `json:"db_name"`
		Password string      `json:"db_password"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		b.t.Fatal(err)
	}
	b.sql = sqlx.MustOpen("mysql", fmt.Sprintf("%s:%s@tcp(%s:%s)/%s", c.Name, c.Password, c.Host, c.Port, c.Name))
	b.t.Cleanup(func() { _ = b.sql.Close() })
}

func (b *bed) exec(query string, args ...any) {
	b.t.Helper()
	if _, err := b.sql.ExecContext(b.t.Context(), query, args...); err != nil {
		b.t.Fatalf("%s: %v", query, err)
	}
}

// start runs an engine until the test ends; register adds its handlers.
func (b *bed) start(register func(*Engine)) *running {
	b.t.Helper()
	e, err := New(b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	if register != nil {
		register(e)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Engine: e, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- e.Run(ctx) }()
	b.t.Cleanup(func() {
		if err := r.stop(); err != nil {
			b.t.Errorf("engine: %v", err)
		}
	})
	return r
}

type running struct {
	*Engine
	cancel  context.CancelFunc
	done    chan error
	stopped bool
}

// stop stops the engine in order and returns what Run returned.
func (r *running) stop() error {
	if r.stopped {
		return nil
	}
	r.stopped = true
	r.cancel()
	select {
	case err := <-r.done:
		return err
	case <-time.After(60 * time.Second):
		return errors.New("Run did not return within a minute of its stop")
	}
}

func (b *bed) client() *Client {
	b.t.Helper()
	if b.opened == nil {
		c, err := NewClient(b.t.Context(), b.cfg)
		if err != nil {
			b.t.Fatal(err)
		}
		b.opened = c
		b.t.Cleanup(func() { _ = c.Close() })
	}
	return b.opened
}

// submit submits a job of ORG-A.
func (b *bed) submit(jobType string, params any) string {
	b.t.Helper()
	row, err := b.client().Submit(b.t.Context(), SubmitRequest{Site: testSite, JobType: jobType, Organization: "ORG-A", User: "jane@example.com", Parameters: params})
	if err != nil {
		b.t.Fatal(err)
	}
	return row.Name
}

// enqueue does what frappe.enqueue(method, queue="go", **kwargs) does.
func (b *bed) enqueue(method string, kwargs map[string]any) string {
	b.t.Helper()
	job, err := b.client().Enqueue(b.t.Context(), EnqueueRequest{Site: testSite, Method: method, Queue: "go", User: "jane@example.com", Kwargs: kwargs})
	if err != nil {
		b.t.Fatal(err)
	}
	return job.ID
}

func (b *bed) row(name string) *rows.BackgroundJob {
	b.t.Helper()
	row, err := b.db.BackgroundJob(b.t.Context(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	return row
}

// waitRow waits until the row has the status.
func (b *bed) waitRow(name string, want rows.Status) *rows.BackgroundJob {
	b.t.Helper()
	var row *rows.BackgroundJob
	b.eventually(fmt.Sprintf("row %s becomes %s", name, want), func() bool {
		row = b.row(name)
		return row.Status == want
	}, func() string { return fmt.Sprintf("%+v", row) })
	return row
}

// waitJob waits until RQ's job has the status.
func (b *bed) waitJob(id string, want rqcompat.Status) *rqcompat.Job {
	b.t.Helper()
	var job *rqcompat.Job
	b.eventually(fmt.Sprintf("job %s becomes %s", id, want), func() bool {
		job, _ = b.client().RQ().Fetch(b.t.Context(), id)
		return job != nil && job.Status == want
	}, func() string { return fmt.Sprintf("%+v", job) })
	return job
}

func (b *bed) eventually(what string, ok func() bool, state func() string) {
	b.t.Helper()
	b.within(30*time.Second, what, ok, state)
}

func (b *bed) within(limit time.Duration, what string, ok func() bool, state func() string) {
	b.t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			b.t.Fatalf("timed out: %s; last seen: %s", what, state())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// history gives a row's log as "from>to message" lines.
func (b *bed) history(name string) (lines []string) {
	b.t.Helper()
	entries, err := b.db.History(b.t.Context(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, h := range entries {
		lines = append(lines, fmt.Sprintf("%s>%s %s", h.FromStatus, h.ToStatus, h.Message))
	}
	return lines
}

// path gives the statuses a row went through.
func (b *bed) path(name string) string {
	b.t.Helper()
	entries, err := b.db.History(b.t.Context(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	var states []string
	for _, h := range entries {
		states = append(states, string(h.ToStatus))
	}
	return strings.Join(states, " ")
}

// lastExc gives the newest failure text of an RQ job.
func (b *bed) lastExc(id string) string {
	b.t.Helper()
	results, err := b.client().RQ().Results(b.t.Context(), id)
	if err != nil || len(results) == 0 {
		b.t.Fatalf("results of %s: %v, %v", id, results, err)
	}
	return results[0].ExcString
}
func plainOf(v any) any {
	plain, _ := pickle.Plain(v)
	return plain
}
