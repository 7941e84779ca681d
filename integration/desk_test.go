package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// deskJob is a row of the desk's list RQ Job.
type deskJob struct {
	Name, Queue, Status, Arguments, Creation, Modified, Owner, Site string
	JobName                                                         string `json:"job_name"`
	StartedAt                                                       string `json:"started_at"`
	EndedAt                                                         string `json:"ended_at"`
	ExcInfo                                                         string `json:"exc_info"`
	TimeTaken                                                       any    `json:"time_taken"`
	Timeout                                                         int
}

// TestDeskReaders reads jobs of Go in every state as the desk's pages RQ Job and RQ Worker and bench doctor do.
func TestDeskReaders(t *testing.T) {
	forEachRQ(t, func(t *testing.T, version string) {
		f := newFleet(t, version, nil)
		f.install()
		h, runs := newHolder(), &attempts{}
		e := f.start(func(e *bridge.Engine) {
			h.register(e)
			registerTasks(runs)(e)
		})
		wanted := deskJobs(t, f)
		var rows map[string][]deskJob
		f.py.call("desk.rq_jobs", values{"bench": "bench", "site": prefix(f), "cleanup": f.rq.Dialect().Major == 1}, &rows)
		for status, id := range wanted {
			t.Run(status, func(t *testing.T) { checksDeskRow(t, f, rows[status], id, status) })
		}
		checksDeskWorkers(t, f, wanted["started"])
		f.py.call("desk.doctor", values{"bench": "bench"}, nil)
		close(h.going)
		if err := e.stop(); err != nil {
			t.Error(err)
		}
		f.py.call("desk.rq_jobs", values{"bench": "bench", "site": prefix(f), "cleanup": f.rq.Dialect().Major == 1}, nil)
		var workers []values
		f.py.call("desk.rq_workers", values{"site": prefix(f)}, &workers)
		want(t, "workers after the end", len(workers), 0)
	})
}

// prefix is what the desk filters ids by; RQ 2.10 can't have the site in them.
func prefix(f *fleet) string {
	if f.plainIDs() {
		return ""
	}
	return site
}

// deskJobs makes a job of each state and gives its id by the state's list.
func deskJobs(t *testing.T, f *fleet) map[string]string {
	t.Helper()
	method := func(queue, name, method string, options values) string {
		if options == nil {
			options = values{}
		}
		options["job_id"], options["user"] = name, "jane@example.com"
		return f.frappeEnqueue(queue, method, options)
	}
	ids := map[string]string{
		"finished": method("go", "finished", "site_tasks.report", values{"invoice": "INV-1"}),
		"failed":   method("go", "failed", "tasks.fail", nil),
		"started":  method("go", "started", "go.hold", nil),
	}
	stopped := method("go", "stopped", "go.hold", nil)
	f.waitStatus(ids["finished"], rqcompat.StatusFinished)
	f.waitStatus(ids["failed"], rqcompat.StatusFailed)
	f.waitStatus(ids["started"], rqcompat.StatusStarted)
	f.waitStatus(stopped, rqcompat.StatusStarted)
	f.py.call("look.stop", values{"id": stopped}, nil)
	f.waitStatus(stopped, rqcompat.StatusStopped)

	// What has to wait is enqueued by Go, on a queue where nobody takes it.
	c := f.client()
	enqueue := func(r bridge.EnqueueRequest) string {
		r.Site, r.User, r.Queue, r.Method = site, "jane@example.com", "default", "erpnext.waits"
		if f.plainIDs() {
			return enqueuePlain(t, f, r)
		}
		job, err := c.Enqueue(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return job.ID
	}
	ids["queued"] = enqueue(bridge.EnqueueRequest{ID: "queued", Kwargs: map[string]any{"n": 1}})
	ids["canceled"] = enqueue(bridge.EnqueueRequest{ID: "canceled"})
	if err := f.rq.Cancel(t.Context(), ids["canceled"], false); err != nil {
		t.Fatal(err)
	}
	ids["scheduled"] = enqueue(bridge.EnqueueRequest{ID: "scheduled", At: time.Now().Add(time.Hour)})
	queued, err := f.rq.Fetch(t.Context(), ids["queued"])
	if err != nil {
		t.Fatal(err)
	}
	ids["deferred"] = f.jobID("deferred")
	if _, err := f.rq.Enqueue(t.Context(), rqcompat.Request{Queue: f.shared(), ID: ids["deferred"], Data: queued.Data, DependsOn: []string{queued.ID}}); err != nil {
		t.Fatal(err)
	}
	return ids
}

// enqueuePlain does without Frappe's id.
func enqueuePlain(t *testing.T, f *fleet, r bridge.EnqueueRequest) string {
	t.Helper()
	id := f.frappeEnqueue("default", r.Method, values{"job_id": r.ID + "-template", "user": r.User})
	template, err := f.rq.Fetch(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.rq.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	job, err := f.rq.Enqueue(t.Context(), rqcompat.Request{Queue: f.shared(), ID: r.ID, Data: template.Data, At: r.At})
	if err != nil {
		t.Fatal(err)
	}
	return job.ID
}

func checksDeskRow(t *testing.T, f *fleet, rows []deskJob, id, status string) {
	var row *deskJob
	for i := range rows {
		if rows[i].Name == id {
			row = &rows[i]
		}
	}
	if row == nil {
		t.Fatalf("the list shows %v, but not %s", rows, id)
	}
	want(t, "status", row.Status, status)
	want(t, "site and owner", row.Site+" "+row.Owner, site+" jane@example.com")
	if row.Timeout <= 0 || row.Creation == "" || row.Modified == "" || !strings.HasPrefix(row.Arguments, "{") {
		t.Errorf("row %+v", row)
	}
	ended := status == "finished" || status == "failed"
	want(t, "has a time taken", fmt.Sprint(row.TimeTaken) != "", ended)
	want(t, "has started", row.StartedAt != "", ended || status == "started")
	want(t, "has an error", strings.HasPrefix(row.ExcInfo, "Traceback"), status == "failed")
}

func checksDeskWorkers(t *testing.T, f *fleet, running string) {
	t.Helper()
	var workers []struct {
		Status        string
		QueueType     string  `json:"queue_type"`
		CurrentJob    *string `json:"current_job_id"`
		LastHeartbeat string  `json:"last_heartbeat"`
		Utilization   float64 `json:"utilization_percent"`
	}
	f.py.call("desk.rq_workers", values{"site": prefix(f)}, &workers)
	found := false
	for _, w := range workers {
		if w.CurrentJob != nil && *w.CurrentJob == running {
			found = w.Status == "busy"
		}
		if w.LastHeartbeat == "" || w.Utilization < 0 || !strings.HasPrefix(w.QueueType, "go,") {
			t.Errorf("worker %+v", w)
		}
	}
	if !found {
		t.Errorf("no busy worker with current job %s in %+v", running, workers)
	}
}
