package route

import (
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestCallbacks: only Frappe's own house-keeping callback can be done without Python.
func TestCallbacks(t *testing.T) {
	set := map[string]func(*rqcompat.Job, string){
		"success": func(j *rqcompat.Job, name string) { j.SuccessCallback.Name = name },
		"failure": func(j *rqcompat.Job, name string) { j.FailureCallback.Name = name },
		"stopped": func(j *rqcompat.Job, name string) { j.StoppedCallback.Name = name },
	}
	fine := frappe.NewEnqueueDefaults(nil).FailureCallback
	for which, set := range set {
		for _, j := range []*rqcompat.Job{plain(t, "go.plain"), enqueued(t, frappe.Call{Method: "go.plain"}), delivery(t, "JOB-1")} {
			for name, want := range map[string]Verdict{"app.done": Foreign, fine: Ours, "": Ours} {
				set(j, name)
				got := newBench().router().Route(t.Context(), job.Queue{}, []Found{{Job: j, Seen: time.Now()}})[0]
				if got.Verdict != want {
					t.Errorf("%s callback %q of %s: %s, want %s", which, name, got.Method, verdicts[got.Verdict], verdicts[want])
				}
			}
			set(j, "app.done")
			got := newBench().router().Route(t.Context(), job.Queue{Own: true}, []Found{{Job: j, Seen: time.Now()}})[0]
			checkBroken(t, got, true, `Python callback "app.done"`)
		}
	}
}

func TestWhatIsDecoded(t *testing.T) {
	minute := int64(60)
	b := newBench()
	r := b.router()
	queue := job.Queue{Kind: "short"}
	route := func(j *rqcompat.Job) Routed {
		return r.Route(t.Context(), queue, []Found{{Job: j, Seen: time.Now()}})[0]
	}

	j := encode(t, rqcompat.Call{Func: "go.plain", Args: []any{int64(1)}})
	j.Timeout = &minute
	got := route(j)
	if got.Method != "go.plain" || string(got.Params()) != `{"args":[1]}` || got.Priority != 2 || *got.Timeout != time.Minute || got.Site != "" || got.Handler.Name != "go.plain" {
		t.Errorf("plain job: %+v", got.Queued)
	}
	unlimited := int64(-1)
	j.Timeout = &unlimited
	if got := route(j); *got.Timeout != 0 {
		t.Errorf("timeout -1 is %s, want zero for unlimited", *got.Timeout)
	}

	got = route(enqueued(t, frappe.Call{Method: "app.export", Kwargs: map[string]any{"organization": "ORG-B", "n": 1}}))
	if got.JobType.TypeName != "export" || got.Organization != "ORG-B" || got.User != "jane@example.com" || got.Site != site || got.Row != nil ||
		got.Handler.Name != "app.export" || got.Priority != 2 || string(got.Params()) != `{"n":1,"organization":"ORG-B"}` {
		t.Errorf("method of a Job Type: %+v", got.Queued)
	}
	if got := route(enqueued(t, frappe.Call{Method: "app.export"})); got.Organization != "ORG-D" || got.Timeout != nil {
		t.Errorf("without an organization: %q, timeout %v, want the default one, no timeout", got.Organization, got.Timeout)
	}
	if got := route(enqueued(t, frappe.Call{Method: "archive"})); got.Priority != 1 {
		t.Errorf("Job Type without a priority on queue short: %d, want that of Normal", got.Priority)
	}
	got = route(enqueued(t, frappe.Call{Method: "go.plain", Kwargs: map[string]any{"organization": "ORG-B"}}))
	if got.JobType != nil || got.Organization != "ORG-B" || got.Priority != 2 {
		t.Errorf("method without Job Type: %+v, want the call's organization and the queue's priority", got.Queued)
	}
	if got := route(enqueued(t, frappe.Call{Method: "go.plain"})); got.Organization != "" {
		t.Errorf("method without Job Type and organization: %q, want none", got.Organization)
	}

	// What a Server Script enqueued, with the argument of Frappe's wrapper around it.
	got = route(enqueued(t, frappe.Call{Method: "frappe.utils.safe_exec.call_whitelisted_function", Kwargs: map[string]any{"function": "app.export", "n": 1}}))
	if got.JobType.TypeName != "export" || string(got.Params()) != `{"n":1}` {
		t.Errorf("Server Script: %s with %s, want export with what was meant for it", got.JobType.TypeName, got.Params())
	}
	got = route(enqueued(t, frappe.Call{Method: "app.export", Kwargs: map[string]any{"function": "x"}}))
	if string(got.Params()) != `{"function":"x"}` {
		t.Errorf("an argument function of the job's own: %s, want it", got.Params())
	}

	got = route(delivery(t, "JOB-1"))
	if got.RowName != "JOB-1" || got.Row != b.rows["JOB-1"] || got.Organization != "ORG-A" || got.User != "owner@example.com" || got.Priority != 0 ||
		got.Method != "export" || got.JobType != b.types["export"] || got.Handler.Name != "app.export" {
		t.Errorf("row: %+v", got.Queued)
	}
	if got := route(delivery(t, "JOB-3")); got.JobType.TypeName != "gone" || got.Handler.Name != "gone" {
		t.Errorf("row whose Job Type is gone: %+v, want its handler", got.JobType)
	}
}
