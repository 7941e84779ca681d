package commands

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/doctor"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// findingsOf runs the doctor.
func findingsOf(t *testing.T) (findings []doctor.Finding, code int) {
	t.Helper()
	got := bridgeCommand(t, "doctor", "--json")
	return decode[[]doctor.Finding](t, got.out), got.code
}

// want fails unless there is such a finding with something to do.
func wantFinding(t *testing.T, findings []doctor.Finding, level doctor.Level, check, text string) {
	t.Helper()
	for _, f := range findings {
		if f.Level == level && f.Check == check && strings.Contains(f.Text, text) {
			return
		}
	}
	t.Errorf("no finding %s %s %q in:\n%+v", level, check, text, findings)
}

func TestDoctorOfAHealthyBench(t *testing.T) {
	b, rt := realtimeBed(t, 15)
	t.Setenv("FRAPPE_SOCKETIO_PORT", rt.URL[strings.LastIndexByte(rt.URL, ':')+1:])
	b.worker()
	var findings []doctor.Finding
	var code int
	eventually(t, "the worker is seen", func() bool {
		findings, code = findingsOf(t)
		for _, f := range findings {
			if f.Level != doctor.OK {
				return false
			}
		}
		return true
	})
	if code != exitcode.OK {
		t.Errorf("exit code %d", code)
	}
	for check, text := range map[string]string{
		"bench": b.dir, "frappe": "version 15", "redis_queue": "Redis ", "redis_cache": "Redis ", "rq version": "1.15.1, from bench",
		"workers": "bridge: 1, on default, go, long, short", "queue go": "0 waiting, 0 running", "redis rights": "all that the bridge needs", "realtime": rt.URL,
		"site " + testSite: "0 dead letter", "clock": "off this machine",
	} {
		wantFinding(t, findings, doctor.OK, check, text)
	}
	if text := must(t, "doctor"); !strings.Contains(text, "ok       realtime") {
		t.Errorf("doctor prints\n%s", text)
	}
	if text := must(t, "doctor", "-q"); text != "" {
		t.Errorf("doctor -q prints %q", text)
	}
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	b := newBed(t, servers.BenchConfig{Common: map[string]any{"bridge": map[string]any{"concurrency": 5}, "socketio_port": 1}})
	file := filepath.Join(b.dir, "sites", "common_site_config.json")
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(strings.Replace(string(text), "concurrency", "concurency", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.exec("DROP TABLE `tabJob Type`")
	b.exec("ALTER TABLE `tabBackground Job` DROP INDEX status_modified_index")
	rdb := redis.NewClient(&redis.Options{Addr: b.redis.Addr})
	defer rdb.Close()
	ctx := t.Context()
	bench := strings.Trim(strings.ReplaceAll(b.dir, "/", "-"), "-")
	queue := bench + ":go"
	for _, err := range []error{
		rdb.SAdd(ctx, "rq:workers", "rq:worker:py").Err(),
		rdb.HSet(ctx, "rq:worker:py", "queues", queue, "version", "1.15.1", "python_version", "3.11.7", "birth", "2026-01-01T00:00:00.000000Z", "pid", "1").Err(),
		rdb.Set(ctx, "rq:suspended", 1, 0).Err(),
		rdb.ZAdd(ctx, "rq:wip:"+queue, redis.Z{Score: float64(time.Now().Unix() - 100), Member: "lost"}).Err(),
		rdb.HSet(ctx, "rq:job:lost", "worker_name", "bridge-gone-0", "status", "started", "data", "x").Err(),
		rdb.ConfigSet(ctx, "maxmemory", "1gb").Err(),
		rdb.ConfigSet(ctx, "maxmemory-policy", "allkeys-lru").Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	findings, code := findingsOf(t)
	if code != exitcode.Failure {
		t.Errorf("exit code %d, want %d", code, exitcode.Failure)
	}
	wantFinding(t, findings, doctor.Error, "configuration", "bridge.concurency; did you mean bridge.concurrency?")
	wantFinding(t, findings, doctor.Error, "site "+testSite, "tabJob Type: the table is missing")
	wantFinding(t, findings, doctor.Warning, "site "+testSite, "tabBackground Job.status_modified_index")
	wantFinding(t, findings, doctor.OK, "rq version", "1.15.1, from live worker py")
	wantFinding(t, findings, doctor.Error, "workers", "no bridge works this bench")
	wantFinding(t, findings, doctor.Warning, "workers", `Python works "go" too`)
	wantFinding(t, findings, doctor.Warning, "rq", "suspended")
	wantFinding(t, findings, doctor.Warning, "queue go", "job lost lost its worker bridge-gone-0")
	wantFinding(t, findings, doctor.Warning, "redis_queue", "may evict jobs")
	wantFinding(t, findings, doctor.Warning, "realtime", "refused")
	for _, f := range findings {
		if f.Level == doctor.Warning && f.Fix == "" {
			t.Errorf("a warning doesn't say what to do: %+v", f)
		}
	}
}

func TestDoctorWithoutServers(t *testing.T) {
	for _, variable := range []string{"FRAPPE_REDIS_QUEUE", "FRAPPE_SITE", "FRAPPE_SOCKETIO_PORT"} {
		t.Setenv(variable, "")
	}
	dir := t.TempDir()
	t.Setenv("BRIDGE_BENCH", dir)
	findings, code := findingsOf(t)
	if code != exitcode.Failure {
		t.Errorf("exit code %d, want %d", code, exitcode.Failure)
	}
	wantFinding(t, findings, doctor.Error, "bench", "neither sites/")
	cfg := servers.BenchConfig{RedisQueue: "redis://user:s3cret@127.0.0.1:1", Sites: []servers.BenchSite{{Name: testSite, DBHost: "127.0.0.1", DBPort: 1, DBName: "x", DBPassword: "s3cret"}}}
	if err := servers.NewBench(dir, cfg); err != nil {
		t.Fatal(err)
	}
	got := bridgeCommand(t, "doctor")
	if got.code != exitcode.Failure || got.err != "" || strings.Contains(got.out, "s3cret") {
		t.Errorf("doctor without servers: %+v", got)
	}
	for _, want := range []string{"error    redis_queue", "127.0.0.1:1", "error    site " + testSite, "→ start it"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("doctor without servers lacks %q:\n%s", want, got.out)
		}
	}
	if got := bridgeCommand(t, "doctor", "--site", "other.example"); !strings.Contains(got.out, "error    site other.example") || strings.Contains(got.out, testSite) {
		t.Errorf("doctor of one site: %+v", got)
	}
	file := filepath.Join(dir, "sites", "common_site_config.json")
	if err := os.WriteFile(file, []byte(`{"bridge": {},}`), 0o600); err != nil {
		t.Fatal(err)
	}
	findings, _ = findingsOf(t)
	wantFinding(t, findings, doctor.Error, "bench", "common_site_config.json:1:15")
}

func TestDoctorTellsAWrongPassword(t *testing.T) {
	r := servertest.Redis(t, servers.WithPassword("right"))
	dir := t.TempDir()
	t.Setenv("BRIDGE_BENCH", dir)
	if err := servers.NewBench(dir, servers.BenchConfig{RedisQueue: "redis://:wrong@" + r.Addr}); err != nil {
		t.Fatal(err)
	}
	findings, _ := findingsOf(t)
	wantFinding(t, findings, doctor.Error, "redis_queue", "WRONGPASS")
	if got := bridgeCommand(t, "worker"); got.code != exitcode.Denied {
		t.Errorf("worker with a wrong password: %+v, want code %d", got, exitcode.Denied)
	}
}

// bench writes into the bed's Redis and names its queues.
func (b *bed) bench(do func(ctx context.Context, rq *rqcompat.Client, rdb *redis.Client, queue func(kind string) string) error) {
	b.t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: b.redis.Addr})
	defer rdb.Close()
	dialect, err := rqcompat.ParseDialect("1.15.1")
	if err != nil {
		b.t.Fatal(err)
	}
	id := strings.Trim(strings.ReplaceAll(b.dir, "/", "-"), "-")
	if err := do(b.t.Context(), rqcompat.NewClient(rdb, dialect), rdb, func(kind string) string { return id + ":" + kind }); err != nil {
		b.t.Fatal(err)
	}
}

// process pretends that a bridge works the queue go.
func (b *bed) process(running int, abandoned ...rqcompat.Abandoned) {
	b.t.Helper()
	b.bench(func(ctx context.Context, rq *rqcompat.Client, _ *redis.Client, queue func(string) string) error {
		p := rqcompat.NewProcess("bridge-pretended", "1.2.3")
		p.Queues, p.Handlers, p.Slots, p.Running, p.Abandoned = []string{queue("go")}, []string{"echo_job"}, 2, running, abandoned
		return rq.Publish(ctx, p)
	})
}

// TestDoctorFindsWhatWaitsForAPerson: what RQ's records and counts don't say.
func TestDoctorFindsWhatWaitsForAPerson(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	hung := rqcompat.Abandoned{JobID: "site1||JOB-7", Method: "ocr", Since: time.Now().Add(-time.Hour)}
	b.process(2, hung, hung)
	must(t, "enqueue", "frappe.ping", "--queue", "long")
	must(t, "enqueue", "frappe.ping", "--queue", "long")
	must(t, "pause", "go")
	name := strings.TrimSpace(must(t, "submit", "echo_job", "--organization", testOrg))
	dead := strings.TrimSpace(must(t, "submit", "echo_job", "--organization", testOrg))
	late := strings.TrimSpace(must(t, "submit", "echo_job", "--organization", testOrg))
	b.exec("UPDATE `tabBackground Job` SET status='Dead Letter', error_message='no paper\ntrace' WHERE name=?", dead)
	b.exec("UPDATE `tabBackground Job` SET status='Failed', next_retry_at='2026-01-01 10:00:00' WHERE name=?", late)
	b.exec("UPDATE `tabBackground Job` SET modified='2026-01-01 10:00:00' WHERE name=?", name)
	b.exec("CREATE TABLE `tabDocType` (`name` varchar(140) PRIMARY KEY)")
	b.bench(func(ctx context.Context, rq *rqcompat.Client, rdb *redis.Client, queue func(string) string) error {
		return errors.Join(
			rq.Delete(ctx, testSite+"::"+name),
			rdb.ZAdd(ctx, "rq:failed:"+queue("short"), redis.Z{Score: 1, Member: "x"}).Err(),
			rdb.XAdd(ctx, &redis.XAddArgs{Stream: "rq:results:x", Values: []any{"type", 2, "created_at", 1, "exc_string", rqcompat.EncodeExc("Traceback\nValueError: bad\n")}}).Err(),
		)
	})
	if err := os.WriteFile(filepath.Join(b.dir, "Procfile"), []byte("web: bench serve\nworker_go: bench worker --queue go 1>> logs/worker.log\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	findings, code := findingsOf(t)
	if code != exitcode.Failure {
		t.Errorf("exit code %d, want %d", code, exitcode.Failure)
	}
	wantFinding(t, findings, doctor.Error, "workers", "all 2 slots are held by handlers that ignore their context, ocr of job site1||JOB-7 since ")
	wantFinding(t, findings, doctor.Warning, "workers", "Procfile line 2 starts a Python worker on \"go\"")
	wantFinding(t, findings, doctor.Warning, "queue long", "nobody works it, and 2 jobs wait there (the first for ")
	wantFinding(t, findings, doctor.Warning, "queue go", "it is paused")
	wantFinding(t, findings, doctor.Warning, "queue short", "1 job failed, the last x: ValueError: bad")
	wantFinding(t, findings, doctor.Warning, "site "+testSite, "1 dead letter, the newest "+dead+": no paper")
	wantFinding(t, findings, doctor.Warning, "site "+testSite, "1 retry is overdue, the first since 2026-01-01 10:00:00")
	wantFinding(t, findings, doctor.Warning, "site "+testSite, "1 row has no delivery and no attempt, the first is "+name)
	wantFinding(t, findings, doctor.Warning, "site "+testSite, "no DocType describes the table")
	wantFinding(t, findings, doctor.OK, "site "+testSite, "its documents were not looked at: the bench's Python can't be used here")

	b.process(1, hung)
	findings, code = findingsOf(t)
	wantFinding(t, findings, doctor.Warning, "workers", "1 of 2 slots are held")
	if code != exitcode.Warnings {
		t.Errorf("exit code %d with warnings only, want %d", code, exitcode.Warnings)
	}
}

// TestDoctorPutsBackWhatWasPopped, and only when it is told to.
func TestDoctorPutsBackWhatWasPopped(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	b.bench(func(ctx context.Context, _ *rqcompat.Client, rdb *redis.Client, queue func(string) string) error {
		return rdb.RPush(ctx, rqcompat.FirstKey(queue("short")), "a", "b").Err()
	})
	findings, _ := findingsOf(t)
	wantFinding(t, findings, doctor.Error, "queue short", "2 jobs taken by a bridge that died")
	findings = decode[[]doctor.Finding](t, bridgeCommand(t, "doctor", "--fix", "--json").out)
	wantFinding(t, findings, doctor.OK, "queue short", "put back 2 jobs that a dead bridge had taken: a, b")
	b.bench(func(ctx context.Context, _ *rqcompat.Client, rdb *redis.Client, queue func(string) string) error {
		if waiting := rdb.LRange(ctx, rqcompat.QueueKey(queue("short")), 0, -1).Val(); !slices.Equal(waiting, []string{"a", "b"}) {
			t.Errorf("on the queue stand %v, want what was popped", waiting)
		}
		return nil
	})
}

// TestDoctorOfARestrictedUser names the rights that are missing, and so does the worker, once.
func TestDoctorOfARestrictedUser(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	b.bench(func(ctx context.Context, _ *rqcompat.Client, rdb *redis.Client, _ func(string) string) error {
		// As bench create-rq-users makes it.
		return rdb.Do(ctx, "ACL", "SETUSER", "bench", "on", ">s3cret", "~rq:*", "+@all", "-@admin", "resetchannels").Err()
	})
	t.Setenv("FRAPPE_REDIS_QUEUE", "redis://bench:s3cret@"+b.redis.Addr)
	findings, _ := findingsOf(t)
	for what, grant := range map[string]string{
		"may not subscribe to rq:pubsub:*": "ACL SETUSER bench &rq:pubsub:* +psubscribe", "may not publish on rq:pubsub:*": "&rq:pubsub:*",
		"may not be heard by a subscription": "&rq:pubsub:* +subscribe +pubsub|numsub", "may not CLIENT LIST": "+client|list", "may not CLIENT UNBLOCK": "+client|unblock",
	} {
		wantFinding(t, findings, doctor.Warning, "redis rights", what)
		if !slices.ContainsFunc(findings, func(f doctor.Finding) bool { return strings.Contains(f.Text, what) && strings.Contains(f.Fix, grant) }) {
			t.Errorf("for %q nobody says %q", what, grant)
		}
	}
}
