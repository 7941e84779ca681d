package integration

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestWhoPollsARetriedJobSeesItsEnd: Python keeps the id that frappe.enqueue returned and asks RQ about it while Go
// fails, waits and recovers, or gives up.
func TestWhoPollsARetriedJobSeesItsEnd(t *testing.T) {
	forEachRQ(t, func(t *testing.T, version string) {
		f := newFleet(t, version, map[string]any{"retry": map[string]any{"base": 1}})
		db := f.install()
		f.exec(t, `INSERT INTO tabOrganization (name, creation, modified, owner, modified_by, org_name, status)
			VALUES ('ORG-A', NOW(6), NOW(6), 'Administrator', 'Administrator', 'A', 'Active')`)
		_, err := db.InsertJobTypes(t.Context(), []rows.JobType{
			{TypeName: "recover", DisplayName: "Recover", Enabled: true, DefaultTimeout: 60, DefaultPriority: "Normal", MaxRetries: 3},
			{TypeName: "despair", DisplayName: "Despair", Enabled: true, DefaultTimeout: 60, DefaultPriority: "Normal", MaxRetries: 1},
		})
		if err != nil {
			t.Fatal(err)
		}
		recovers := f.frappeEnqueue("go", "recover", values{"job_id": "recovers", "organization": "ORG-A"})
		f.enqueue(f.own(), values{"id": "child", "func": "child", "depends_on": []string{recovers}, "allow_failure": true})
		runs := &attempts{}
		beforeChild := make(chan int, 1) // attempts at its parent when the child ran
		f.start(func(e *bridge.Engine) {
			bridge.Register(e, "recover", func(_ context.Context, job *bridge.Job[any]) (any, error) {
				if runs.next(job.ID) <= 2 {
					return nil, errors.New("not yet")
				}
				return "recovered", nil
			})
			bridge.Register(e, "despair", func(_ context.Context, job *bridge.Job[any]) (any, error) {
				return nil, fmt.Errorf("run %d fails", runs.next(job.ID))
			})
			bridge.Register(e, "child", func(context.Context, *bridge.Job[any]) (any, error) {
				beforeChild <- runs.of(recovers)
				return nil, nil
			})
		})
		checkPoll(t, f, recovers, "[finished true false SUCCESSFUL]")
		f.waitStatus("child", rqcompat.StatusFinished)
		want(t, "attempts before its child ran", <-beforeChild, 3)
		want(t, "value", fmt.Sprint(f.py.job(recovers).Value), "recovered")

		despairs := f.frappeEnqueue("go", "despair", values{"job_id": "despairs", "organization": "ORG-A"})
		checkPoll(t, f, despairs, "[failed false true FAILED]")
		left := f.py.registries(f.own())
		want(t, "failed registry", left["failed"], []string{despairs})
		want(t, "scheduled, queued, started", fmt.Sprint(left["scheduled"], left["queued"], left["started"]), "[] [] []")
		want(t, "results", fmt.Sprint(f.py.job(despairs).Results), "[FAILED]")
	})
}

// checkPoll polls a job from Python until it has ended: it must be scheduled meanwhile, say nothing of any result, and
// end as said.
func checkPoll(t *testing.T, f *fleet, id, end string) {
	t.Helper()
	var seen [][]any
	f.py.call("look.poll", values{"id": id, "seconds": 30}, &seen)
	scheduled := 0
	for i, s := range seen {
		switch said := fmt.Sprint(s); {
		case i == len(seen)-1:
			want(t, "the end of "+id, said, end)
		case said == "[scheduled false false <nil>]":
			scheduled++
		case said != "[queued false false <nil>]" && said != "[started false false <nil>]":
			t.Errorf("%s is seen as %s on its way: %v", id, said, seen)
		}
	}
	if scheduled == 0 { // attempts between two waits may be too short to be seen
		t.Errorf("%s is never seen waiting for its retry: %v", id, seen)
	}
}
