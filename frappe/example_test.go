package frappe_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opensoft/dartwing-bridge/frappe"
)

// exampleBench writes a small bench and returns its directory.
func exampleBench(common string) string {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		panic(err)
	}
	site := filepath.Join(dir, "sites", "site1.localhost")
	err = errors.Join(os.MkdirAll(site, 0o755),
		os.WriteFile(filepath.Join(dir, "sites", "common_site_config.json"), []byte(common), 0o600),
		os.WriteFile(filepath.Join(site, "site_config.json"), []byte(`{"db_name": "_1bd3e0294da19198"}`), 0o600))
	if err != nil {
		panic(err)
	}
	return dir
}

func ExampleOpenBench() {
	dir := exampleBench(`{"bench_id": "mine", "workers": {"go": {"timeout": 3600}}, "sidecar": {"frappe_version": 16}}`)
	defer os.RemoveAll(dir)
	bench, err := frappe.OpenBench(dir, frappe.Options{Section: "sidecar"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, q := range bench.QueueTypes() {
		fmt.Println(bench.QueueName(q.Name), q.Timeout)
	}
	fmt.Println(bench.JobID("site1.localhost", "monthly-report"))
	site, err := bench.Site("site1.localhost")
	fmt.Println(site.DBName(), err)
	// Output:
	// mine:short 300
	// mine:default 300
	// mine:long 1500
	// mine:go 3600
	// site1.localhost||monthly-report
	// _1bd3e0294da19198 <nil>
}

// kwargs stands for a decoded Python dict.
type kwargs map[string]any

func (k kwargs) Get(key string) (any, bool) {
	v, ok := k[key]
	return v, ok
}

func ExampleParseCall() {
	call, err := frappe.ParseCall(frappe.ExecuteJob, kwargs{
		"site": "site1.localhost", "user": "jane@example.com", "method": frappe.Executor, "event": nil, "job_name": "export", "is_async": true,
		"kwargs": kwargs{"background_job_id": "JOB-2026-00001"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	name, ok := call.BackgroundJobID()
	fmt.Println(call.Site, call.User, call.JobName)
	fmt.Println(name, ok)
	// Output:
	// site1.localhost jane@example.com export
	// JOB-2026-00001 true
}

func ExampleParseCall_refused() {
	_, err := frappe.ParseCall(frappe.ExecuteJob, kwargs{"site": "site1.localhost", "method": 7, "kwargs": kwargs{}})
	fmt.Println(err)
	_, err = frappe.ParseCall("app.tasks.daily", nil)
	fmt.Println(errors.Is(err, frappe.ErrNotFrappe))
	// Output:
	// argument "method" of frappe.utils.background_jobs.execute_job: want str or function, got int
	// true
}

func ExampleCall_Arguments() {
	call := frappe.Call{Site: "site1.localhost", Method: "app.tasks.export", IsAsync: true}
	text, err := frappe.AsJSON(call.Arguments())
	fmt.Println(string(text), err)
	// Output:
	// {
	//  "event": null,
	//  "is_async": true,
	//  "job_name": "app.tasks.export",
	//  "kwargs": {},
	//  "method": "app.tasks.export",
	//  "site": "site1.localhost",
	//  "user": null
	// } <nil>
}

func ExampleAsJSON() {
	text, err := frappe.AsJSON(map[string]any{"rate": 1e16, "name": "Zoë", "ids": []int{1, 2}})
	fmt.Println(string(text), err)
	fmt.Println(frappe.Digest(string(text))[:16])
	// Output:
	// {
	//  "ids": [
	//   1,
	//   2
	//  ],
	//  "name": "Zo\u00eb",
	//  "rate": 1e+16
	// } <nil>
	// 09871966b1c23b9b
}
