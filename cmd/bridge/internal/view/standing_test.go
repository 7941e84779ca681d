package view

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

func TestStanding(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	timeout := int64(60)
	running := &rows.BackgroundJob{Name: "JOB-1", Status: rows.StatusRunning, StartedAt: now.Add(-90 * time.Second), TimeoutSeconds: 300, Modified: now.Add(-4 * time.Second)}
	plain := &rqcompat.Job{ID: "s::a", Status: rqcompat.StatusStarted, StartedAt: now.Add(-90 * time.Second), Timeout: &timeout, WorkerName: "python-1"}
	for name, tc := range map[string]struct {
		in   bridge.Inspection
		s    bridge.Standing
		want []string
	}{
		"a row that runs": {
			bridge.Inspection{Row: running, Job: &rqcompat.Job{WorkerName: "bridge-1-0"}},
			bridge.Standing{Worker: &rqcompat.Worker{Hostname: "app1", PID: 77}},
			[]string{"in        process 77 on app1, worker bridge-1-0", "for       1m30s", "until     2026-05-01 12:03:30 at most, 3m30s from now", "reported  4s ago"},
		},
		"a job without a row, its worker's record gone": {
			bridge.Inspection{Job: plain}, bridge.Standing{},
			[]string{"in     worker python-1", "until  2026-05-01 11:59:30 at most, -30s from now"},
		},
		"a job that waits": {
			bridge.Inspection{Job: &rqcompat.Job{Status: rqcompat.StatusQueued}},
			bridge.Standing{Waits: []bridge.Reason{{Rule: "pause", Why: "queue go is paused"}, {Rule: "turn", Why: "it is the first"}}},
			[]string{"It waits\n  pause         queue go is paused\n  turn          it is the first\n"},
		},
		"a handler that doesn't end": {
			bridge.Inspection{Row: &rows.BackgroundJob{Status: rows.StatusTimedOut}},
			bridge.Standing{Abandoned: &rqcompat.Abandoned{Since: now}, AbandonedBy: &rqcompat.Process{PID: 77, Hostname: "app1"}},
			[]string{"Its handler is still running since 2026-05-01 12:00:00, in process 77 on app1"},
		},
	} {
		var out bytes.Buffer
		if err := printStanding(&out, tc.in, tc.s, now); err != nil {
			t.Fatal(err)
		}
		for _, want := range tc.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s is shown as\n%s\nwant %q", name, out.String(), want)
			}
		}
	}
	view := InspectionOf(bridge.Inspection{Row: running}, bridge.Standing{}, false)
	if r, ok := view["run"].(*Run); !ok || r.Deadline.Sub(running.StartedAt) != 5*time.Minute {
		t.Errorf("the JSON of a running row has %+v", view["run"])
	}
}
