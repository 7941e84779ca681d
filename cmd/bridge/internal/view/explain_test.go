package view

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestExplain: what a person reads, and the verdict that the exit code follows.
func TestExplain(t *testing.T) {
	row := func(s rows.Status) bridge.Inspection {
		return bridge.Inspection{Row: &rows.BackgroundJob{Name: "JOB-1", Status: s, ErrorMessage: "boom\ntrace"}}
	}
	turn := bridge.Reason{Rule: "turn", Why: "it is the first on queue go"}
	held := bridge.Reason{Rule: "organization", Why: "organization ORG-A is suspended", Stuck: true}
	share := &bridge.Share{Organization: "ORG-A", Weight: 2, Waiting: 3, Running: 1, AllWaiting: bridge.ShareMost, AllRunning: 4, Slots: 8, Free: 4}
	for name, tc := range map[string]struct {
		in      bridge.Inspection
		s       bridge.Standing
		verdict string
		want    string
	}{
		"its turn": {row(rows.StatusQueued), bridge.Standing{Waits: []bridge.Reason{turn}, Share: share}, Waits, `JOB-1 is Queued and goes on by itself
  turn          it is the first on queue go
  share         of the site's jobs 3 of 10000 or more that wait and 1 of 4 that run are of ORG-A, whose weight is 2; 4 of 8 slots are free
`},
		"held": {row(rows.StatusQueued), bridge.Standing{Waits: []bridge.Reason{held, turn}}, Stuck, `JOB-1 is Queued and waits for somebody to do something
  organization  organization ORG-A is suspended [somebody has to do something]
  turn          it is the first on queue go
`},
		"a job of RQ": {bridge.Inspection{Job: &rqcompat.Job{ID: "s::a", Status: rqcompat.StatusQueued}}, bridge.Standing{}, Waits, "s::a is queued and goes on by itself\n"},
		"ended":       {row(rows.StatusCompleted), bridge.Standing{}, Ended, "JOB-1 is Completed and has ended\n  end           it has ended, and nothing queues it again\n"},
		"a dead letter": {row(rows.StatusDeadLetter), bridge.Standing{}, Ended,
			"JOB-1 is Dead Letter and has ended\n  dead letter   boom (bridge retry JOB-1 queues it again)\n"},
		"a worker that is gone": {row(rows.StatusRunning), bridge.Standing{Waits: []bridge.Reason{{Rule: "worker", Why: "no worker"}}}, Waits, "JOB-1 is Running and goes on by itself\n  worker        no worker\n"},
		"running":               {row(rows.StatusRunning), bridge.Standing{Worker: &rqcompat.Worker{}}, Runs, "JOB-1 is Running and runs\n"},
	} {
		e := Explain(tc.in, tc.s)
		var out bytes.Buffer
		if err := e.Print(&out); err != nil {
			t.Fatal(err)
		}
		got, _, _ := strings.Cut(out.String(), "  worker        not known") // which tells a time
		if diff := cmp.Diff(tc.want, got); diff != "" || e.Verdict != tc.verdict {
			t.Errorf("%s: verdict %s, want %s (-want +got):\n%s", name, e.Verdict, tc.verdict, diff)
		}
	}
}
