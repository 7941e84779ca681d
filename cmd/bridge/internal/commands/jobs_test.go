package commands

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// changing are the parts of an output that differ from run to run.
var changing = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|JOB-\d{4}-`)

func steady(text string) string {
	return changing.ReplaceAllStringFunc(text, func(s string) string {
		if strings.HasPrefix(s, "JOB-") {
			return "JOB-YYYY-"
		}
		return "YYYY-MM-DD hh:mm:ss"
	})
}

func TestJobFromSubmissionToHistory(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	if got, want := must(t, "jobs"), "NAME  TYPE  ORGANIZATION  STATUS  PROGRESS  CREATED  USER  ERROR\n"; got != want {
		t.Errorf("no jobs are listed as %q, want %q", got, want)
	}
	name := strings.TrimSpace(must(t, "submit", "echo_job", "--organization", testOrg, "--user", "jane@example.com", "token=s3cret"))
	want := `NAME            TYPE      ORGANIZATION  STATUS  PROGRESS  CREATED              USER              ERROR
JOB-YYYY-00001  echo_job  ORG-A         Queued  0%        YYYY-MM-DD hh:mm:ss  jane@example.com  -
`
	if got := steady(must(t, "jobs", "--status", "queued")); got != want {
		t.Errorf("jobs prints\n%s\nwant\n%s", got, want)
	}
	for _, filter := range []string{"--status=dead-letter", "--since=1h", "--until=-1h", "--type=sample_job", "--user=omar@example.com", "--organization=X", "--offset=1"} {
		if got := must(t, "jobs", filter); strings.Contains(got, name) {
			t.Errorf("jobs %s lets a queued job of jane's, just submitted, through: %s", filter, got)
		}
	}
	if got := must(t, "jobs", "--since=-1h", "--until=1h", "--type=echo_job", "--user=jane@example.com", "--organization", testOrg); !strings.Contains(got, name) {
		t.Errorf("filters that all fit leave the job out: %s", got)
	}
	zone, err := time.LoadLocation("Asia/Kolkata") // of a site that names none
	if err != nil {
		t.Fatal(err)
	}
	for off, want := range map[time.Duration]bool{-time.Minute: true, time.Minute: false} {
		since := time.Now().In(zone).Add(off).Format("2006-01-02 15:04:05")
		if got := strings.Contains(must(t, "jobs", "--since", since), name); got != want {
			t.Errorf("jobs --since %q, %s from the site's now, lists the job: %v, want %v", since, off, got, want)
		}
	}
	b.worker()
	waitStatus(t, name, "Completed")

	eventually(t, "RQ's outcome", func() bool { return decode[jobView](t, must(t, "job", name, "--json")).RQ.Status == "finished" })
	v := decode[jobView](t, must(t, "job", name, "--json", "--params"))
	if len(v.History) != 4 || v.History[3].To != "Completed" || !strings.Contains(string(v.Row.InputParameters), "s3cret") || len(v.RQ.Results) != 1 {
		t.Errorf("job --json --params: %+v", v)
	}
	text := must(t, "job", name)
	started := regexp.MustCompile(`started +(\S+ \S+)`).FindAllStringSubmatch(text, -1)
	if here := v.Row.StartedAt.In(zone).Format("2006-01-02 15:04:05"); len(started) != 2 || started[0][1] != here || started[1][1] != here {
		t.Errorf("row and RQ say that it started at %q, want both %s, the site's time:\n%s", started, here, text)
	}
	for _, want := range []string{"Times are those of Asia/Kolkata.\n", name + "  Completed", "Worker started execution", "Job completed successfully", "RQ  " + testSite + "::" + name + "  finished"} {
		if !strings.Contains(text, want) {
			t.Errorf("job %s lacks %q:\n%s", name, want, text)
		}
	}
	if byID := must(t, "job", testSite+"::"+name); !strings.Contains(byID, name+"  Completed") {
		t.Errorf("by its RQ id the job is shown as\n%s", byID)
	}
	if got := bridgeCommand(t, "cancel", name, "JOB-0"); got.code != exitcode.Refused || !strings.Contains(got.err, "Completed") || !strings.Contains(got.err, "JOB-0") {
		t.Errorf("cancel of a completed job: %+v", got)
	}
}

func TestArgumentsAreNotPrintedUnasked(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	id := strings.TrimSpace(must(t, "enqueue", "nobody.knows", "--queue", "go", "password=s3cret"))
	b.worker()
	eventually(t, "the job fails", func() bool { return decode[jobView](t, must(t, "job", id, "--json")).RQ.Status == "failed" })
	for _, args := range [][]string{{"job", id}, {"job", id, "--json"}} {
		got := bridgeCommand(t, args...)
		if got.code != exitcode.OK || strings.Contains(got.out+got.err, "s3cret") {
			t.Errorf("bridge %q: %+v", args, got)
		}
	}
	if got := must(t, "job", id); !strings.Contains(got, `no handler for "nobody.knows"`) {
		t.Errorf("job doesn't say why it failed:\n%s", got)
	}
	if got := must(t, "job", id, "--params"); !strings.Contains(got, "s3cret") {
		t.Errorf("job --params shows no arguments:\n%s", got)
	}
}

func TestCancelAndRetry(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	waiting := strings.TrimSpace(must(t, "submit", "sample_job", "--organization", testOrg))
	if got := must(t, "cancel", waiting, "--user", "jane@example.com"); got != waiting+" Canceled\n" {
		t.Errorf("cancel prints %q", got)
	}
	plain := strings.TrimSpace(must(t, "enqueue", "some.method", "--queue", "go", "--id", "plain"))
	if got := must(t, "cancel", plain); got != plain+" canceled\n" {
		t.Errorf("cancel of a job without a row prints %q", got)
	}
	if got := must(t, "retry", plain); got != plain+" queued\n" {
		t.Errorf("retry of a job without a row prints %q", got)
	}
	must(t, "cancel", plain)
	b.worker()
	running := strings.TrimSpace(must(t, "submit", "long_running_job", "--organization", testOrg, "duration=600"))
	waitStatus(t, running, "Running")
	must(t, "cancel", running)
	waitStatus(t, running, "Canceled")
	dead := strings.TrimSpace(must(t, "submit", "sample_job", "--organization", testOrg, "duration=0", "fail_type=permanent", "fail_attempts=1"))
	waitStatus(t, dead, "Dead Letter")
	if got := must(t, "retry", dead, "--json"); !strings.Contains(got, `"status": "Queued"`) {
		t.Errorf("retry --json prints %s", got)
	}
	if got := bridgeCommand(t, "retry", running); got.code != exitcode.Refused {
		t.Errorf("retry of a canceled job: %+v", got)
	}
	if got := bridgeCommand(t, "retry", "nothing"); got.code != exitcode.NotFound {
		t.Errorf("retry of nothing: %+v", got)
	}
}

func TestSubmitRefusals(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	b.exec("UPDATE `tabJob Type` SET is_enabled=0 WHERE name='echo_job'")
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"nope", "--organization", testOrg}, exitcode.NotFound, `"nope"`},
		{[]string{"echo_job", "--organization", testOrg}, exitcode.Refused, "disabled"},
		{[]string{"sample_job"}, exitcode.Usage, "no organization"},
		{[]string{"sample_job", "--organization", "ORG-X"}, exitcode.NotFound, "ORG-X"},
		{[]string{"sample_job", "--organization", testOrg, "--priority", "Urgent"}, exitcode.Usage, "Urgent"},
		{[]string{"sample_job", "--organization", testOrg, "--watch"}, exitcode.Usage, "BRIDGE_API_KEY"},
	} {
		if got := bridgeCommand(t, append([]string{"submit"}, tc.args...)...); got.code != tc.code || !strings.Contains(got.err, tc.want) {
			t.Errorf("submit %q: %+v, want code %d and %q", tc.args, got, tc.code, tc.want)
		}
	}
	if got := must(t, "jobs", "--json"); !strings.Contains(got, `"total": 0`) {
		t.Errorf("a refused submission left something: %s", got)
	}
}

func TestEnqueueAndWait(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	b.worker("--default-organization", testOrg)
	if got, want := must(t, "enqueue", "echo_job", "--queue", "go", "--wait", "text=hello"), "{\n  \"text\": \"hello\"\n}\n"; got != want {
		t.Errorf("enqueue --wait prints %q, want %q", got, want)
	}
	got := bridgeCommand(t, "enqueue", "nobody.knows", "--queue", "go", "--wait")
	if got.code != exitcode.Failure || !strings.Contains(got.err, "nobody.knows") || got.out != "" {
		t.Errorf("enqueue --wait of a job that fails: %+v", got)
	}
	got = bridgeCommand(t, "enqueue", "python.only", "--wait", "--wait-timeout", "300ms")
	if got.code != exitcode.Temporary || !strings.Contains(got.err, "queued") {
		t.Errorf("enqueue --wait of a job nobody takes: %+v", got)
	}
	got = bridgeCommand(t, "enqueue", "python.only", "--wait", "--wait-timeout", "2500ms")
	if !strings.Contains(got.err, "queue default is worked by 1 bridges and 0 Python workers") || !strings.Contains(got.err, `handler: no running bridge has a handler for "python.only"`) {
		t.Errorf("enqueue --wait on a queue that only a bridge works: %+v", got)
	}
	must(t, "pause", "go")
	time.Sleep(1100 * time.Millisecond) // by then every bridge has heard of it
	got = bridgeCommand(t, "enqueue", "echo_job", "--queue", "go", "--wait", "--wait-timeout", "2500ms")
	if got.code != exitcode.Temporary || !strings.Contains(got.err, "pause: queue go is paused") {
		t.Errorf("enqueue --wait on a paused queue: %+v", got)
	}
	if got := bridgeCommand(t, "enqueue", "m", "--queue", "nope"); got.code != exitcode.Usage || !strings.Contains(got.err, `"nope" is not one of the bench's: short, default, long`) {
		t.Errorf("enqueue on a queue that isn't there: %+v", got)
	}
	if got := must(t, "enqueue", "m", "--queue", "go", "--at", "1h", "--json"); !strings.Contains(got, `"status": "scheduled"`) {
		t.Errorf("enqueue --at prints %s", got)
	}
}

// TestEnqueueAndWaitWhereNobodyWorks says so, instead of waiting without a word.
func TestEnqueueAndWaitWhereNobodyWorks(t *testing.T) {
	newBed(t, servers.BenchConfig{})
	got := bridgeCommand(t, "enqueue", "python.only", "--wait", "--wait-timeout", "2500ms")
	if got.code != exitcode.Temporary || !strings.Contains(got.err, "workers: nobody works queue default") {
		t.Errorf("enqueue --wait on a queue that nobody works: %+v", got)
	}
}

func TestInstall(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	if got := must(t, "install"); !strings.HasPrefix(got, testSite+": nothing to do") {
		t.Errorf("a second install prints %q", got)
	}
	b.exec("DROP TABLE `tabJob Execution Log`")
	if got, want := must(t, "install"), testSite+": created tabJob Execution Log\n"; got != want {
		t.Errorf("install prints %q, want %q", got, want)
	}
	if got, want := must(t, "install", "--organization", "ORG-1"), testSite+": added organization ORG-1\n"; got != want {
		t.Errorf("install --organization prints %q, want %q", got, want)
	}
	if got := must(t, "install", "--organization", "ORG-1"); !strings.HasPrefix(got, testSite+": nothing to do") {
		t.Errorf("a second install --organization prints %q", got)
	}
	must(t, "submit", "echo_job", "--organization", "ORG-1")
	if got := must(t, "install", "--json", "--samples"); !strings.Contains(got, `"created": null`) || !strings.Contains(got, `"kept": [`) {
		t.Errorf("install --json prints %s", got)
	}
}

// TestInstallOnFrappe needs Frappe itself, whose documents no database row can stand for.
func TestInstallOnFrappe(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	b.exec("CREATE TABLE tabDocType (name varchar(140) PRIMARY KEY)")
	for _, c := range []struct{ args, want string }{
		{"install", "the bench's Python can't be used here: stat " + b.dir + "/env/bin/python: no such file or directory; with --rest the site's web server does it"},
		{"uninstall", "the bench's Python can't be used here"},
		{"install --rest", "--rest needs an API key of Administrator"},
		{"install --all-sites --url http://x", "--url and --all-sites exclude each other"},
	} {
		if got := bridgeCommand(t, strings.Fields(c.args)...); got.code == exitcode.OK || !strings.Contains(got.err, c.want) {
			t.Errorf("%s: %+v, want %q", c.args, got, c.want)
		}
	}
}

func TestWorkerStopsInOrder(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	w := b.worker("--queue", "go", "--no-shared")
	name := strings.TrimSpace(must(t, "submit", "long_running_job", "--organization", testOrg, "duration=600"))
	waitStatus(t, name, "Running")
	if err := syscall.Kill(w.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := w.Wait(); err != nil {
		t.Fatal(err)
	}
	if log := w.Output(); !strings.Contains(log, "stopping; a second signal") || !strings.Contains(log, "bridge stopped") || !strings.Contains(log, `"signal":"terminated"`) {
		t.Errorf("log of the stop:\n%s", log)
	}
	waitStatus(t, name, "Queued") // given back
}

func TestWorkerStopsHardOnTheSecondSignal(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	w := b.worker("--stop-timeout", "1m")
	name := strings.TrimSpace(must(t, "submit", "long_running_job", "--organization", testOrg, "duration=600"))
	waitStatus(t, name, "Running")
	for _, said := range []string{"waiting for running jobs", "stopped hard"} {
		if err := syscall.Kill(w.PID(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		eventually(t, said, func() bool { return strings.Contains(w.Output(), said) })
	}
	select {
	case <-w.Done():
	case <-time.After(waitLong):
		t.Fatal("the worker goes on after a second signal")
	}
	if code := w.ExitCode(); code != exitcode.Interrupted {
		t.Errorf("exit code %d, want %d", code, exitcode.Interrupted)
	}
}

func TestWorkerRefusesAWrongConfiguration(t *testing.T) {
	newBed(t, servers.BenchConfig{Bridge: map[string]any{"lease": 5}})
	for _, tc := range []struct{ flag, want string }{
		{"--concurrency=100001", "bridge.concurrency is 100001"},
		{"--queue=nope", `queue "nope"`},
		{"--lease=1m", "bridge.lease is 1m0s"},
		{"--rq-version=0.1", "0.1"},
	} {
		if got := bridgeCommand(t, "worker", tc.flag); got.code != exitcode.Config || !strings.Contains(got.err, tc.want) {
			t.Errorf("worker %s: %+v, want code %d and %q", tc.flag, got, exitcode.Config, tc.want)
		}
	}
}
