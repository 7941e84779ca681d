package frappe

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type dict map[string]any

func (d dict) Get(key string) (any, bool) { v, ok := d[key]; return v, ok }

type function string

func (f function) DottedName() string { return string(f) }

func envelope(change func(dict)) dict {
	d := dict{
		"site": "site1.localhost", "user": "jane@example.com", "method": "myapp.tasks.export",
		"event": nil, "job_name": "nightly export", "is_async": true, "kwargs": dict{"invoice": "INV-1"},
	}
	if change != nil {
		change(d)
	}
	return d
}

func TestParseCall(t *testing.T) {
	base := Call{
		Site: "site1.localhost", User: "jane@example.com", Method: "myapp.tasks.export",
		JobName: "nightly export", IsAsync: true, Kwargs: dict{"invoice": "INV-1"},
	}
	for name, tc := range map[string]struct {
		change func(dict)
		want   func(*Call)
	}{
		"as frappe writes it":       {},
		"function object":           {func(d dict) { d["method"] = function("myapp.tasks.export") }, nil},
		"job name is the function":  {func(d dict) { d["job_name"] = function("a.b") }, func(c *Call) { c.JobName = "a.b" }},
		"no user":                   {func(d dict) { delete(d, "user") }, func(c *Call) { c.User = "" }},
		"user None":                 {func(d dict) { d["user"] = nil }, func(c *Call) { c.User = "" }},
		"no is_async":               {func(d dict) { delete(d, "is_async") }, nil},
		"is_async 0":                {func(d dict) { d["is_async"] = int64(0) }, func(c *Call) { c.IsAsync = false }},
		"is_async None":             {func(d dict) { d["is_async"] = nil }, func(c *Call) { c.IsAsync = false }},
		"event":                     {func(d dict) { d["event"] = "daily" }, func(c *Call) { c.Event = "daily" }},
		"event of a strange type":   {func(d dict) { d["event"] = int64(3) }, nil},
		"no event, no job_name":     {func(d dict) { delete(d, "event"); delete(d, "job_name") }, func(c *Call) { c.JobName = c.Method }},
		"job_name of strange type":  {func(d dict) { d["job_name"] = int64(3) }, func(c *Call) { c.JobName = c.Method }},
		"retry counter is ignored":  {func(d dict) { d["retry"] = int64(2) }, nil},
		"kwargs as a plain map":     {func(d dict) { d["kwargs"] = map[string]any{} }, func(c *Call) { c.Kwargs = map[string]any{} }},
		"kwargs untouched identity": {func(d dict) { d["kwargs"] = dict{"x": nil} }, func(c *Call) { c.Kwargs = dict{"x": nil} }},
	} {
		t.Run(name, func(t *testing.T) {
			want := base
			if tc.want != nil {
				tc.want(&want)
			}
			got, err := ParseCall(ExecuteJob, envelope(tc.change))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("call differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseCallRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		change    func(dict)
		key, got_ string
	}{
		"no site":            {func(d dict) { delete(d, "site") }, "site", "nothing"},
		"site None":          {func(d dict) { d["site"] = nil }, "site", "None"},
		"site empty":         {func(d dict) { d["site"] = "" }, "site", "an empty string"},
		"site a function":    {func(d dict) { d["site"] = function("a.b") }, "site", "function or class"},
		"no method":          {func(d dict) { delete(d, "method") }, "method", "nothing"},
		"method a number":    {func(d dict) { d["method"] = int64(1) }, "method", "int"},
		"method a float":     {func(d dict) { d["method"] = 1.5 }, "method", "float"},
		"user a list":        {func(d dict) { d["user"] = []any{"x"} }, "user", "list"},
		"is_async text":      {func(d dict) { d["is_async"] = "secret value" }, "is_async", "str"},
		"no kwargs":          {func(d dict) { delete(d, "kwargs") }, "kwargs", "nothing"},
		"kwargs None":        {func(d dict) { d["kwargs"] = nil }, "kwargs", "None"},
		"kwargs text":        {func(d dict) { d["kwargs"] = "secret value" }, "kwargs", "str"},
		"kwargs of any type": {func(d dict) { d["kwargs"] = struct{}{} }, "kwargs", "struct {}"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseCall(ExecuteJob, envelope(tc.change))
			var ce *CallError
			if !errors.As(err, &ce) {
				t.Fatalf("error = %v, want a *CallError", err)
			}
			if ce.Key != tc.key || ce.Got != tc.got_ {
				t.Errorf("error names key %q with %q, want %q with %q", ce.Key, ce.Got, tc.key, tc.got_)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error shows the value: %v", err)
			}
		})
	}
	if _, err := ParseCall("os.system", envelope(nil)); !errors.Is(err, ErrNotFrappe) {
		t.Errorf("another function: error = %v, want ErrNotFrappe", err)
	}
	if _, err := ParseCall(ExecuteJob, nil); err == nil {
		t.Error("no arguments at all: no error")
	}
}

func TestCallArguments(t *testing.T) {
	got := (&Call{Site: "s", Method: "a.b", IsAsync: true}).Arguments()
	want := map[string]any{
		"site": "s", "user": nil, "method": "a.b", "event": nil, "job_name": "a.b", "is_async": true,
		"kwargs": map[string]any{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	full := &Call{Site: "s", User: "u", Method: "a.b", Event: "e", JobName: "j", Kwargs: map[string]any{"x": int64(1)}}
	back, err := ParseCall(ExecuteJob, dict(full.Arguments()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full, back); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
}

func TestCallTarget(t *testing.T) {
	for name, tc := range map[string]struct {
		method string
		kwargs any
		want   string
	}{
		"plain":                     {"a.b", dict{}, "a.b"},
		"document method":           {runDocMethod, dict{"doctype": "Sales Invoice", "name": "INV-1", "doc_method": "submit"}, "Sales Invoice.submit"},
		"document method, no name":  {runDocMethod, dict{"doctype": "Sales Invoice"}, runDocMethod},
		"scheduled job":             {runScheduledJob, dict{"job_type": "app.daily", "scheduled_job_type": "daily-1"}, "app.daily"},
		"scheduled job, row only":   {runScheduledJob, dict{"scheduled_job_type": "daily-1"}, runScheduledJob},
		"server script":             {callWhitelisted, dict{"function": "go.export"}, "go.export"},
		"server script, plain map":  {callWhitelisted, map[string]any{"function": "go.export"}, "go.export"},
		"server script, bad target": {callWhitelisted, dict{"function": int64(1)}, callWhitelisted},
		"no arguments":              {callWhitelisted, nil, callWhitelisted},
		"executor":                  {Executor, dict{"background_job_id": "JOB-1"}, Executor},
	} {
		t.Run(name, func(t *testing.T) {
			call := &Call{Method: tc.method, Kwargs: tc.kwargs}
			if got := call.Target(); got != tc.want {
				t.Errorf("a call of %s with %v is about %q, want %q", tc.method, tc.kwargs, got, tc.want)
			}
			own := ""
			if tc.want == "go.export" {
				own = "function"
			}
			if got := call.WrapperArgument(); got != own {
				t.Errorf("a call of %s with %v has the wrapper's argument %q, want %q", tc.method, tc.kwargs, got, own)
			}
		})
	}
}

func TestCallBackgroundJobID(t *testing.T) {
	const other = "app.core.background_jobs.executor.execute_job"
	for name, tc := range map[string]struct {
		call *Call
		want string
		ok   bool
	}{
		"name":                    {&Call{Method: Executor, Kwargs: dict{"background_job_id": "JOB-1", "job_id": "JOB-2"}}, "JOB-1", true},
		"alias":                   {&Call{Method: Executor, Kwargs: dict{"job_id": "JOB-2"}}, "JOB-2", true},
		"alias beside an empty":   {&Call{Method: Executor, Kwargs: dict{"background_job_id": "", "job_id": "JOB-2"}}, "JOB-2", true},
		"of another app":          {&Call{Method: other, Kwargs: dict{"background_job_id": "JOB-1"}}, "JOB-1", true},
		"through a Server Script": {&Call{Method: callWhitelisted, Kwargs: dict{"function": other, "background_job_id": "JOB-1"}}, "JOB-1", true},
		"missing":                 {&Call{Method: Executor, Kwargs: dict{}}, "", true},
		"not a string":            {&Call{Method: Executor, Kwargs: dict{"background_job_id": int64(1), "job_id": function("a.b")}}, "", true},
		"not even a dict":         {&Call{Method: Executor}, "", true},
		"another method":          {&Call{Method: "a.b", Kwargs: dict{"job_id": "JOB-2"}}, "", false},
		"a name that ends alike":  {&Call{Method: "app.my_background_jobs.executor.execute_job", Kwargs: dict{"job_id": "JOB-2"}}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := tc.call.BackgroundJobID(); got != tc.want || ok != tc.ok {
				t.Errorf("a call of %s with %v is for job %q, of the executor: %v; want %q, %v", tc.call.Method, tc.call.Kwargs, got, ok, tc.want, tc.ok)
			}
		})
	}
}
