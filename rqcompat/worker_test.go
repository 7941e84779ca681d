package rqcompat

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestHeartbeatAndDeregister(t *testing.T) {
	everyDialect(t, func(t *testing.T, b *bed) {
		ws := []*Worker{NewWorker("w1", "b:default", "b:long"), NewWorker("w2", "b:default")}
		if err := b.Heartbeat(b.ctx(), ws, 90*time.Second); err != nil {
			t.Fatal(err)
		}
		b.wantMembers("rq:workers", "rq:worker:w1", "rq:worker:w2")
		b.wantMembers("rq:workers:b:default", "rq:worker:w1", "rq:worker:w2")
		b.wantMembers("rq:workers:b:long", "rq:worker:w1")
		b.wantTTL("rq:worker:w1", 90)
		b.wantHash("rq:worker:w1", map[string]string{
			"birth": FormatTime(ws[0].Birth), "queues": "b:default,b:long", "pid": strconv.Itoa(ws[0].PID), "hostname": ws[0].Hostname,
			"ip_address": "unknown", "version": b.d.Version, "python_version": goVersion, "state": "idle", "current_job": "<none>",
		})

		b.do("EXPIRE", "rq:worker:w1", 5)
		b.do("HSET", "rq:worker:w1", "successful_job_count", "3")
		b.do("DEL", "rq:worker:w2", "rq:workers", "rq:workers:b:default")
		ws[1].CurrentJob = "site||a"
		if err := b.Heartbeat(b.ctx(), ws, 90*time.Second); err != nil {
			t.Fatal(err)
		}
		b.wantTTL("rq:worker:w1", 90)
		b.wantTTL("rq:worker:w2", 90)
		b.wantHash("rq:worker:w1", map[string]string{"successful_job_count": "3", "current_job": "<none>"})
		b.wantHash("rq:worker:w2", map[string]string{"birth": FormatTime(ws[1].Birth), "pid": strconv.Itoa(ws[1].PID), "queues": "b:default", "state": "busy", "current_job": "site||a"})
		b.wantMembers("rq:workers", "rq:worker:w2")
		b.wantMembers("rq:workers:b:default", "rq:worker:w2")

		got, err := b.Workers(b.ctx())
		if err != nil || len(got) != 1 || got[0].Name != "w2" || got[0].CurrentJob != "site||a" || got[0].PID != ws[1].PID || got[0].Hostname != ws[1].Hostname {
			t.Errorf("workers: %+v, %v", got, err)
		}
		if err := b.Deregister(b.ctx(), ws); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"rq:workers", "rq:workers:b:default", "rq:workers:b:long"} {
			b.wantTTL(key, -2)
		}
		b.wantTTL("rq:worker:w1", 60)
		if b.hash("rq:worker:w1")["death"] == "" {
			t.Error("no death")
		}
	})
}

func TestHeartbeatAndClaimRefuse(t *testing.T) {
	b := newBed(t, "2.6.1")
	for name, spoil := range map[string]func(*Worker){
		"no name":       func(w *Worker) { w.Name = "" },
		"reserved name": func(w *Worker) { w.Name = "w:executions" },
		"no pid":        func(w *Worker) { w.PID = 0 },
		"no birth":      func(w *Worker) { w.Birth = time.Time{} },
		"not UTF-8":     func(w *Worker) { w.Hostname = "h\xff" },
		"queue":         func(w *Worker) { w.Queues = []string{"q\xff"} },
	} {
		w := NewWorker("w", "default")
		spoil(w)
		if err := b.Heartbeat(b.ctx(), []*Worker{w}, time.Minute); err == nil {
			t.Errorf("%s: registered", name)
		}
		if got, err := b.Claim(b.ctx(), []Claim{{Queue: "default", ID: "a", Worker: w, ExecutionID: NewExecutionID()}}, time.Now(), time.Minute); err != nil || got[0].Err == nil {
			t.Errorf("%s: claimed, %v", name, err)
		}
	}
	b.wantTTL("rq:workers", -2)
	if got, err := b.Claim(b.ctx(), []Claim{{Queue: "default", ID: "a", Worker: NewWorker("w"), ExecutionID: "short"}}, time.Now(), time.Minute); err != nil || got[0].Err == nil {
		t.Error("claimed with a bad execution id")
	}
}

// One record that nobody can read must not hide the others.
func TestWorkersBroken(t *testing.T) {
	b := newBed(t, "2.6.1")
	if err := b.Heartbeat(b.ctx(), []*Worker{NewWorker("good", "default")}, time.Minute); err != nil {
		t.Fatal(err)
	}
	b.do("HSET", "rq:worker:bad", "pid", "none", "birth", "yesterday", "hostname", "h")
	b.do("SADD", "rq:workers", "rq:worker:bad", "rq:worker:expired", "nonsense")
	got, err := b.Workers(b.ctx())
	if len(got) != 2 || got[0].Name != "bad" || got[0].Hostname != "h" || got[1].Name != "good" {
		t.Errorf("workers: %+v", got)
	}
	for _, want := range []string{"pid", "birth", "nonsense"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not mention %s", err, want)
		}
	}
}
