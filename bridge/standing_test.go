package bridge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// standing inspects a job and says where it stands.
func (b *bed) standing(name string) (Inspection, Standing) {
	b.t.Helper()
	in, err := b.client().Inspect(b.t.Context(), testSite, name)
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := b.client().Standing(b.t.Context(), testSite, in)
	if err != nil {
		b.t.Fatal(err)
	}
	return in, s
}

// TestWhyAJobWaits: everything that may keep a job says so, the decisive thing first.
func TestWhyAJobWaits(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	rq := b.client().RQ()
	ctx := t.Context()
	queue := b.bench.QueueName("go")
	first := b.submit("echo_job", nil)
	name := b.submit("echo_job", nil)
	wantWaits := func(what string, want ...string) {
		t.Helper()
		var got []string
		b.within(20*time.Second, what, func() bool { // organizations and Job Types are remembered for 3 s
			_, s := b.standing(name)
			got = nil
			for _, w := range s.Waits {
				got = append(got, w.Rule+": "+w.Why)
			}
			return slices.EqualFunc(got, want, strings.Contains)
		}, func() string { return fmt.Sprintf("it waits because %q, want %q", got, want) })
	}
	turn := "turn: 1 stand before it on queue go"
	wantWaits("no bridge", "workers: nobody works queue go", turn)

	p := rqcompat.NewProcess("bridge-1", "")
	p.Queues, p.Handlers, p.Slots = []string{queue}, []string{"echo_job"}, 2
	publish := func() {
		t.Helper()
		if err := rq.Publish(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	wantWaits("a bridge that could", turn)
	if err := errors.Join(rq.Suspend(ctx, 0), rq.Pause(ctx, queue)); err != nil {
		t.Fatal(err)
	}
	wantWaits("suspended and paused", "suspension: RQ is suspended", "pause: queue go is paused for bridges (bridge resume go", turn)
	if err := errors.Join(rq.Resume(ctx), rq.Unpause(ctx, queue)); err != nil {
		t.Fatal(err)
	}
	p.Running, p.Abandoned = 2, []rqcompat.Abandoned{{JobID: b.bench.JobID(testSite, first), Row: first, Since: time.Now()}}
	publish()
	wantWaits("all slots are taken", "slots: all 2 slots are taken, 1 of them by handlers that were abandoned", turn)
	if _, s := b.standing(first); s.Abandoned == nil || s.AbandonedBy.PID != p.PID {
		t.Errorf("the abandoned handler isn't told of: %+v", s)
	}
	key := rqcompat.JobKey(b.bench.JobID(testSite, name))
	b.rdb.HSet(ctx, key, "status", "started", "worker_name", "bridge-1-0")
	wantWaits("it was claimed a moment ago", "slots: ", "claim: worker bridge-1-0 has claimed it and is about to start it")
	b.rdb.HSet(ctx, key, "status", "scheduled", "worker_name", "")
	wantWaits("its retry is between row and queue", "delivery: the row is Queued and RQ says scheduled, but it stands in no registry: a running bridge")
	b.rdb.HSet(ctx, key, "status", "queued")
	p.Running, p.Abandoned, p.Handlers = 0, nil, nil
	publish()
	wantWaits("no handler", `handler: no handler for "echo_job"`, turn)
	p.Handlers = []string{"echo_job"}
	publish()
	b.exec("UPDATE tabOrganization SET status='Inactive'")
	wantWaits("the organization", "organization: organization ORG-A is suspended", turn)
	b.exec("UPDATE `tabJob Type` SET is_enabled=0")
	wantWaits("two rules", "organization: organization ORG-A is suspended", `job type: it will be refused: Job Type "echo_job" is disabled`, turn)
	b.exec("UPDATE `tabBackground Job` SET status='Failed', error_message='no', next_retry_at=? WHERE name=?", b.db.Now().Add(90*time.Second).Format(time.DateTime), name)
	wantWaits("a retry", "retry: retry 1 of 1 is due at ")
	b.exec("UPDATE `tabBackground Job` SET next_retry_at=? WHERE name=?", b.db.Now().Add(-90*time.Second).Format(time.DateTime), name)
	wantWaits("a retry that nobody makes", "s ago): only a running bridge that has a handler for echo_job makes it")
	b.exec("UPDATE `tabBackground Job` SET status='Completed', next_retry_at=NULL WHERE name=?", name)
	wantWaits("the end")
	b.exec("UPDATE `tabBackground Job` SET status='Failed' WHERE name=?", name)
	wantWaits("no retry", "retry: it is Failed and no retry is planned: bridge retry "+name)
	b.exec("UPDATE `tabBackground Job` SET status='Running', started_at=creation WHERE name=?", name)
	wantWaits("nobody runs it", "worker: it is Running, and no worker is known that runs it")
}

// TestTheShareOfAnOrganization is told beside what keeps a job.
func TestTheShareOfAnOrganization(t *testing.T) {
	t.Parallel()
	b := newBed(t, map[string]any{"weights": map[string]int{"ORG-A": 3}})
	p := rqcompat.NewProcess("bridge-1", "")
	p.Queues, p.Handlers, p.Slots, p.Running = []string{b.bench.QueueName("go")}, []string{"echo_job"}, 8, 2
	if err := b.client().RQ().Publish(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	var names []string
	for range 5 {
		names = append(names, b.submit("echo_job", nil))
	}
	b.exec("UPDATE `tabBackground Job` SET status='Running' WHERE name=?", names[0])
	b.exec("UPDATE `tabBackground Job` SET organization='ORG-B' WHERE name=?", names[1])
	want := Share{Organization: "ORG-A", Weight: 3, Waiting: 3, Running: 1, AllWaiting: 4, AllRunning: 1, Slots: 8, Free: 6}
	if _, s := b.standing(names[2]); s.Share == nil || *s.Share != want {
		t.Errorf("the share is %+v, want %+v", s.Share, want)
	}
	if _, s := b.standing(names[0]); s.Share != nil || s.Stuck() {
		t.Errorf("one that runs: share %+v, waits %+v", s.Share, s.Waits)
	}
}

// TestTheDeliveryIsFound whatever id it has: who submits in Python chooses it.
func TestTheDeliveryIsFound(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	name := b.submit("echo_job", nil)
	c := b.client()
	if err := c.RQ().Delete(t.Context(), b.bench.JobID(testSite, name)); err != nil {
		t.Fatal(err)
	}
	call := frappe.Call{Site: testSite, User: "jane@example.com", Method: frappe.Executor, IsAsync: true, Kwargs: map[string]any{"background_job_id": name}}
	for _, id := range []string{"some-uuid", name} {
		request, err := c.deliveries.Request("short", id, 60, call)
		if err != nil {
			t.Fatal(err)
		}
		if id == name {
			request.ID = testSite + "||" + name // of a bench that moved to RQ 2 meanwhile
		}
		j, err := c.RQ().Enqueue(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		if in, _ := b.standing(name); in.Job == nil || in.Job.ID != j.ID {
			t.Errorf("the RQ job %s of row %s isn't found: %+v", j.ID, name, in.Job)
		}
		if in, _ := b.standing(j.ID); in.Row == nil || in.Row.Name != name || in.Row.Status != rows.StatusQueued {
			t.Errorf("the row %s of RQ job %s isn't found: %+v", name, j.ID, in.Row)
		}
		if err := c.RQ().Delete(t.Context(), j.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhyAJobWaitsWhereEnqueuersAreTrusted: the question of membership is left out there, too.
func TestWhyAJobWaitsWhereEnqueuersAreTrusted(t *testing.T) {
	t.Parallel()
	for trusted, want := range map[bool]string{true: "", false: "anna@example.com doesn't belong to organization ORG-B"} {
		b := newBed(t, map[string]any{"trust_enqueuer": trusted})
		b.addMember("anna@example.com", "ORG-A")
		id := b.frappeEnqueues("anna@example.com", "x", "echo_job", map[string]any{"organization": "ORG-B"})
		p := rqcompat.NewProcess("bridge-1", "")
		p.Queues, p.Handlers, p.Slots = []string{b.bench.QueueName("go")}, []string{"echo_job"}, 2
		if err := b.client().RQ().Publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		_, s := b.standing(id)
		for _, w := range s.Waits {
			if w.Rule == "handler" && (want == "" || !strings.Contains(w.Why, want)) {
				t.Errorf("trusted %v: it waits because of %q, want %q", trusted, w.Why, want)
			}
		}
		if want != "" && !slices.ContainsFunc(s.Waits, func(w Reason) bool { return w.Rule == "handler" }) {
			t.Errorf("trusted %v: it waits because of %+v, want %q", trusted, s.Waits, want)
		}
	}
}

// TestWhyAnInsertedRowWaits: nobody submits it, or whoever runs can't.
func TestWhyAnInsertedRowWaits(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.insert("JOB-1", "jane@example.com", "echo_job", "{}", nil)
	want := func(text string) {
		t.Helper()
		if _, s := b.standing("JOB-1"); len(s.Waits) != 1 || s.Waits[0].Rule != "submission" || !strings.Contains(s.Waits[0].Why, text) {
			t.Errorf("it waits because %+v, want %q", s.Waits, text)
		}
	}
	want("none runs")
	p := rqcompat.NewProcess("bridge-1", "")
	if err := b.client().RQ().Publish(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	want("a handler for echo_job: none that runs has one")
	p.Handlers = []string{"dartwing.dartwing_core.background_jobs.samples.execute_echo_job"}
	if err := b.client().RQ().Publish(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	want("a bridge that runs submits it within seconds")
}
