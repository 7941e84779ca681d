package route

import (
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// TestCallbacks: a job with a callback other than Frappe's own house-keeping is Python's on a shared queue. On an own one the
// callback goes along, to be handed over.
func TestCallbacks(t *testing.T) {
	set := map[string]func(*rqcompat.Job, string){
		"success": func(j *rqcompat.Job, name string) { j.SuccessCallback.Name = name },
		"failure": func(j *rqcompat.Job, name string) { j.FailureCallback.Name = name },
		"stopped": func(j *rqcompat.Job, name string) { j.StoppedCallback.Name = name },
	}
	kinds := map[string]rqcompat.CallbackKind{"success": rqcompat.CallbackSuccess, "failure": rqcompat.CallbackFailure, "stopped": rqcompat.CallbackStopped}
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
			for name, want := range map[string]string{"app.done": "app.done", fine: "", strings.Repeat("x", 1<<20): strings.Repeat("x", 2048)} {
				set(j, name)
				got := newBench().router().Route(t.Context(), job.Queue{Own: true}, []Found{{Job: j, Seen: time.Now()}})[0]
				if got.Verdict != Ours || got.Broken != nil || got.Callbacks[kinds[which]].Name != want || len(got.Callbacks) > 1 {
					t.Errorf("%s callback %.20q on an own queue: %s, %v, with %.99v", which, name, verdicts[got.Verdict], got.Broken, got.Callbacks)
				}
			}
			set(j, "")
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
	if got.Method != "go.plain" || params(got) != `{"args":[1]}` || got.Priority != 2 || *got.Timeout != time.Minute || got.Site != "" || got.Handler.Name != "go.plain" {
		t.Errorf("plain job: %+v", got.Queued)
	}
	unlimited := int64(-1)
	j.Timeout = &unlimited
	if got := route(j); *got.Timeout != 0 {
		t.Errorf("timeout -1 is %s, want zero for unlimited", *got.Timeout)
	}
	forever := int64(1e13)
	j.Timeout = &forever
	if got := route(j); *got.Timeout < 290*365*24*time.Hour {
		t.Errorf("a timeout of 1e13 s is %s, want the longest there is", *got.Timeout)
	}

	got = route(enqueued(t, frappe.Call{Method: "app.export", Kwargs: map[string]any{"organization": "ORG-B", "n": 1}}))
	if got.JobType.TypeName != "export" || got.Organization != "ORG-B" || got.User != "jane@example.com" || got.Site != site || got.Row != nil ||
		got.Handler.Name != "app.export" || got.Priority != 2 || params(got) != `{"organization":"ORG-B","n":1}` && params(got) != `{"n":1,"organization":"ORG-B"}` {
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
	if got.JobType.TypeName != "export" || params(got) != `{"n":1}` {
		t.Errorf("Server Script: %s with %s, want export with what was meant for it", got.JobType.TypeName, params(got))
	}
	got = route(enqueued(t, frappe.Call{Method: "app.export", Kwargs: map[string]any{"function": "x"}}))
	if params(got) != `{"function":"x"}` {
		t.Errorf("an argument function of the job's own: %s, want it", params(got))
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

func params(r Routed) string {
	b, _, err := r.Params()
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// subclassed is an object of a subclass as protocol 2 and later write it.
func subclassed(class string, args []any, pairs ...pickle.Pair) *pickle.Object {
	return &pickle.Object{How: pickle.NewObj, Callable: &pickle.Global{Module: "m", Name: class}, Args: &pickle.Tuple{Items: args}, Pairs: pairs}
}

// TestSubclassesInTheEnvelope: a dict subclass is a dict, a subclass's text is text, wherever Python takes them so.
func TestSubclassesInTheEnvelope(t *testing.T) {
	text := func(s string) *pickle.Object { return subclassed("Text", []any{s}) }
	entries := []pickle.Pair{{Key: text("organization"), Value: text("ORG-B")}, {Key: "n", Value: subclassed("Number", []any{int64(1)})}}
	frappe := func(kwargs any) rqcompat.Call {
		return rqcompat.Call{Func: frappe.ExecuteJob, Kwargs: &pickle.Dict{Items: []pickle.Pair{
			{Key: "site", Value: text(site)}, {Key: "user", Value: text("jane@example.com")}, {Key: "method", Value: text("app.export")},
			{Key: "event", Value: nil}, {Key: "job_name", Value: "x"}, {Key: "is_async", Value: true}, {Key: "kwargs", Value: kwargs},
		}}}
	}
	for name, tc := range map[string]struct {
		kwargs any
		org    string
		params string
	}{
		"a _dict":              {subclassed("_dict", nil, entries...), "ORG-B", `{"organization":"ORG-B","n":1}`},
		"an empty _dict":       {subclassed("_dict", nil), "ORG-D", `{}`},
		"an OrderedDict":       {&pickle.Object{How: pickle.Reduce, Callable: &pickle.Global{Module: "collections", Name: "OrderedDict"}, Args: &pickle.Tuple{}, Pairs: entries}, "ORG-B", `{"organization":"ORG-B","n":1}`},
		"a dict with odd keys": {&pickle.Dict{Items: entries}, "ORG-B", `{"organization":"ORG-B","n":1}`},
	} {
		got := newBench().router().Route(t.Context(), job.Queue{Own: true}, []Found{{Job: encode(t, frappe(tc.kwargs)), Seen: time.Now()}})[0]
		if got.Broken != nil || got.Verdict != Ours || got.JobType.TypeName != "export" || got.Site != site || got.User != "jane@example.com" ||
			got.Organization != tc.org || params(got) != tc.params {
			t.Errorf("%s: %+v with %s, want organization %s and %s", name, got.Queued, params(got), tc.org, tc.params)
		}
	}
	refused := newBench().router().Route(t.Context(), job.Queue{Own: true}, []Found{{Job: encode(t, frappe(&pickle.List{})), Seen: time.Now()}})[0]
	checkBroken(t, refused, true, "want dict")
}

// TestParametersThatDoNotFit are known before the job is claimed: on an own queue it fails, a shared one's is Python's.
func TestParametersThatDoNotFit(t *testing.T) {
	laugh := &pickle.List{Items: []any{"ha"}}
	for range 40 {
		laugh = &pickle.List{Items: []any{laugh, laugh}}
	}
	kwargs := &pickle.Dict{Items: []pickle.Pair{{Key: "laugh", Value: laugh}}}
	j := encode(t, rqcompat.Call{Func: "go.plain", Kwargs: kwargs})
	for _, own := range []bool{true, false} {
		b := newBench()
		b.jobs = map[string]*rqcompat.Job{"id": j}
		found := Found{Job: j, Seen: time.Now()}
		if got := b.router().Route(t.Context(), job.Queue{Own: own}, []Found{found})[0]; got.Verdict != Heavy {
			t.Errorf("own=%v: among others it is %s, want heavy", own, verdicts[got.Verdict])
		}
		got, err := b.router().Alone(t.Context(), job.Queue{Own: own}, found)
		if err != nil {
			t.Fatal(err)
		}
		checkBroken(t, got, own, "bytes of JSON")
	}
}
