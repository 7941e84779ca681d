package view

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

func moment(second int) time.Time { return time.Date(2026, 1, 31, 15, 4, second, 0, time.Local) }

// inspection is a job that failed once and was completed, and whose last delivery failed in Redis only.
func inspection(t *testing.T) bridge.Inspection {
	t.Helper()
	data, err := rqcompat.EncodeCall(rqcompat.Call{Func: "app.run", Args: []any{1}})
	if err != nil {
		t.Fatal(err)
	}
	return bridge.Inspection{
		Row: &rows.BackgroundJob{
			Name: "JOB-1", JobType: "sample_job", Organization: "ORG-A", OwnerUser: "jane", Status: rows.StatusFailed, Priority: "High", Progress: 41.6,
			ProgressMessage: "half", RetryCount: 1, MaxRetries: 3, NextRetryAt: moment(9), TimeoutSeconds: 60, CreatedAt: moment(1), StartedAt: moment(2),
			ErrorType: "transient", ErrorMessage: "first\nsecond\x1b[2J", InputParameters: []byte(`{"secret": 1}`),
		},
		History: []rows.LogEntry{{ToStatus: rows.StatusQueued, Timestamp: moment(1), Message: "Job submitted"}},
		Job: &rqcompat.Job{
			ID: "site1::JOB-1", Status: rqcompat.StatusFailed, Origin: "bench:go", WorkerName: "bridge-x", Data: data,
			EnqueuedAt: moment(1), StartedAt: moment(2), EndedAt: moment(4),
		},
		Results: []rqcompat.Result{{Type: rqcompat.ResultFailed, CreatedAt: moment(4), ExcString: "Traceback\n\tline\n"}},
	}
}

func TestInspectionForPeople(t *testing.T) {
	want := `JOB-1  Failed
  type          sample_job
  organization  ORG-A
  submitted by  jane
  priority      High
  progress      42% half
  retries       1 of 3
  next retry    2026-01-31 15:04:09
  timeout       60 s
  created       2026-01-31 15:04:01
  started       2026-01-31 15:04:02
  error type    transient
  error
    first
    second` + "\uFFFD" + `[2J

History
  TIME          FROM  TO      ACTOR   MESSAGE
  15:04:01.000  -     Queued  system  Job submitted

RQ  site1::JOB-1  failed
  queue     bench:go
  worker    bridge-x
  enqueued  2026-01-31 15:04:01
  started   2026-01-31 15:04:02
  ended     2026-01-31 15:04:04
  took      2s
  result 15:04:04.000 failed
    Traceback
        line
`
	var out bytes.Buffer
	if err := PrintInspection(&out, inspection(t), bridge.Standing{}, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
	out.Reset()
	if err := PrintInspection(&out, inspection(t), bridge.Standing{}, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`parameters    {"secret": 1}`, "called with", `"function": "app.run"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("with parameters it lacks %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := PrintInspection(&out, bridge.Inspection{}, bridge.Standing{}, false); err != nil || !strings.Contains(out.String(), "No Background Job") || !strings.Contains(out.String(), "RQ has no job") {
		t.Errorf("of nothing it prints %q (%v)", out.String(), err)
	}
}

func TestInspectionForPrograms(t *testing.T) {
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	in := inspection(t)
	without, with := text(InspectionOf(in, bridge.Standing{}, false)), text(InspectionOf(in, bridge.Standing{}, true))
	for _, want := range []string{`"status":"Failed"`, `"retry_count":1`, `"to_status":"Queued"`, `"worker_name":"bridge-x"`, `"outcome":"failed"`, `"traceback":"Traceback\n\tline\n"`} {
		if !strings.Contains(without, want) {
			t.Errorf("it lacks %s:\n%s", want, without)
		}
	}
	for _, secret := range []string{`"secret"`, "app.run"} {
		if strings.Contains(without, secret) || !strings.Contains(with, secret) {
			t.Errorf("what the job was called with is shown with params only, want %s there:\n%s\n%s", secret, without, with)
		}
	}
	if strings.Contains(without, "completed_at") || strings.Contains(without, "0001-01-01") {
		t.Errorf("a moment that is unset is shown:\n%s", without)
	}
	if got, want := text(InspectionOf(bridge.Inspection{}, bridge.Standing{}, true)), `{"row":null,"rq":null}`; got != want {
		t.Errorf("of nothing it is %s, want %s", got, want)
	}
}
