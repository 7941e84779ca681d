package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// childVariable makes this test program an engine of its own process: see childMain.
const childVariable = "BRIDGE_TEST_CHILD"

// childMain works the bench whose directory childVariable names, until it is killed. Its handler never ends.
func childMain() int {
	do := workUntilKilled
	switch os.Getenv(childDoes) {
	case "works":
		do = worksAnything
	case "disturbs":
		do = disturbs
	}
	if err := do(os.Getenv(childVariable)); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}

func workUntilKilled(dir string) error {
	bench, err := benchconfig.Open(dir, nil)
	if err != nil {
		return err
	}
	cfg, err := benchconfig.Load(bench)
	if err != nil {
		return err
	}
	e, err := bridge.New(cfg)
	if err != nil {
		return err
	}
	bridge.Register(e, "go.work", func(ctx context.Context, job *bridge.Job[json.RawMessage]) (any, error) {
		fmt.Println(job.ID)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	// Without the test there is nobody to end this process.
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		cancel()
	}()
	return e.Run(ctx)
}

// TestKilledWorker kills the process of an engine while it runs jobs, with rows and without, next to Python workers
// and readers. Another engine brings the jobs back within 20 s, and each ends once.
func TestKilledWorker(t *testing.T) {
	// The two forms of entries in the started registry; each version would take 20 s of waiting.
	for _, version := range []string{"1.15.1", "2.10.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			killsAndRescues(t, newFleet(t, version, nil))
		})
	}
}

func killsAndRescues(t *testing.T, f *fleet) {
	db := f.install()
	addJobType(t, f, db)
	ids := f.enqueue(f.own(), values{"id": "plain-1", "func": "go.work"}, values{"id": "plain-2", "func": "go.work", "retry": values{"max": 1}})
	ids = append(ids, f.frappeEnqueue("go", "go.work", values{"job_id": "enqueued", "organization": "ORG-A"}))
	killChild(t, f, ids)
	killed := time.Now()

	runs := &attempts{}
	f.start(func(e *bridge.Engine) {
		bridge.Register(e, "go.work", func(_ context.Context, job *bridge.Job[json.RawMessage]) (any, error) {
			return runs.next(job.ID), nil
		})
	})
	for _, id := range ids {
		f.waitStatus(id, rqcompat.StatusFinished)
		if took := time.Since(killed); took > 20*time.Second {
			t.Errorf("%s was back after %s, want at most 20 s", id, took)
		}
		// Whatever cleans must not take the dead worker's traces for a failure now.
		f.py.call("work.clean", values{"queues": []string{f.own()}}, nil)
		want(t, "runs of "+id, runs.of(id), 1)
	}
	for id, job := range f.py.jobs(ids...) {
		want(t, id+": status", job.Status, "finished")
		want(t, id+": results", fmt.Sprint(job.Results), "[SUCCESSFUL]")
		if strings.HasPrefix(id, "plain-2") {
			want(t, "retries left", *job.RetriesLeft, 1)
		}
	}
	registries := f.py.registries(f.own())
	want(t, "failed", len(registries["failed"]), 0)
	want(t, "started", len(registries["started"]), 0)
	want(t, "finished", len(registries["finished"]), len(ids))
	checkKilledRow(t, db)
}

// addJobType adds a Job Type for go.work, and an organization.
func addJobType(t *testing.T, f *fleet, db *rows.DB) {
	t.Helper()
	work := rows.JobType{TypeName: "work", DisplayName: "Work", Enabled: true, HandlerMethod: "go.work", DefaultTimeout: 600, MaxRetries: 3}
	if _, err := db.InsertJobTypes(t.Context(), []rows.JobType{work}); err != nil {
		t.Fatal(err)
	}
	s, err := f.bench.Site(site)
	if err != nil {
		t.Fatal(err)
	}
	err = servertest.MariaDB(t).Exec(t.Context(), "USE `"+s.DBName()+"`",
		"INSERT INTO tabOrganization (name, creation, modified, owner, modified_by, org_name, status) VALUES ('ORG-A', NOW(6), NOW(6), 'Administrator', 'Administrator', 'A', 'Active')")
	if err != nil {
		t.Fatal(err)
	}
}

// killChild lets a process of its own start the jobs and kills it.
func killChild(t *testing.T, f *fleet, ids []string) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childVariable+"="+f.dir)
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	started := bufio.NewScanner(out)
	for range ids {
		if !started.Scan() {
			t.Errorf("the child ended early")
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = child.Wait()
	for _, id := range ids {
		want(t, id+" after the kill", statusOf(fetch(t, f, id)), "started")
	}
}

// checkKilledRow sees that the enqueued job got one row, which tells the story.
func checkKilledRow(t *testing.T, db *rows.DB) {
	t.Helper()
	rows, total, err := db.ListJobs(t.Context(), rows.ListFilter{JobType: "work"})
	if err != nil || total != 1 {
		t.Fatalf("%d rows, %v; want 1", total, err)
	}
	want(t, "row", fmt.Sprintln(rows[0].Status, rows[0].RetryCount), fmt.Sprintln("Completed", 0))
	history, err := db.History(t.Context(), rows[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	var path []string
	for _, h := range history {
		path = append(path, string(h.ToStatus))
	}
	want(t, "history", strings.Join(path, " "), "Pending Queued Running Failed Queued Running Completed")
}
