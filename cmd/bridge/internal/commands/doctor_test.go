package commands

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/doctor"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
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
		"workers": "bridge: 1 worker record, on default, go, long, short", "queue go": "0 waiting, 0 running", "realtime": rt.URL,
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
	b := newBed(t, servers.BenchConfig{Common: map[string]any{"bridge": map[string]any{"concurrency": 5}}})
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
	wantFinding(t, findings, doctor.Warning, "workers", "no bridge works this bench")
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
