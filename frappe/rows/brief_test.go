package rows

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBrief: all but large parameters, whose size is told.
func TestBrief(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 3, StatusQueued)
	small, large := `{"a":1}`, fmt.Sprintf(`{"a":%q}`, strings.Repeat("é", briefParameters))
	mustExec(t, d, "UPDATE `tabBackground Job` SET input_parameters=? WHERE name=?", small, jobs[0].Name)
	mustExec(t, d, "UPDATE `tabBackground Job` SET input_parameters=? WHERE name=?", large, jobs[1].Name)
	mustExec(t, d, "UPDATE `tabBackground Job` SET input_parameters=NULL WHERE name=?", jobs[2].Name)
	asked := append(names(jobs), "none")
	want, err := d.BackgroundJobs(t.Context(), asked)
	if err != nil || string(want[jobs[1].Name].InputParameters) != large {
		t.Fatalf("the whole rows: %v, %v", want, err)
	}
	for i, size := range []int{len(small), len(large), 0} {
		want[jobs[i].Name].ParametersSize = size
	}
	want[jobs[1].Name].InputParameters = nil
	got, err := d.Brief(t.Context(), asked)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestParameter: one parameter of rows that have many, as JSON, and of rows that have none nothing.
func TestParameter(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 5, StatusQueued)
	long := strings.Repeat("é", briefParameters)
	for i, text := range []string{
		fmt.Sprintf(`{"text": %q, "server": {"account": "caf\u00e9 \"7\""}, "account": 1}`, long), `{"server": {"account": 7.50}}`, `{"server": [1]}`,
		fmt.Sprintf(`{"server": {"account": %q}}`, long), `{"server": {"account": true}}`,
	} {
		mustExec(t, d, "UPDATE `tabBackground Job` SET input_parameters=? WHERE name=?", text, jobs[i].Name)
	}
	got, err := d.Parameter(t.Context(), "server.account", append(names(jobs), "none"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{jobs[0].Name: `"café \"7\""`, jobs[1].Name: `7.50`, jobs[4].Name: `true`}
	for name, value := range want {
		var g, w any
		if json.Unmarshal(got[name], &g) != nil || json.Unmarshal([]byte(value), &w) != nil || g != w {
			t.Errorf("%s: %s, want %s", name, got[name], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d values, want %d: %s", len(got), len(want), got)
	}
	for _, path := range []string{"", "a'b", `a"b`, "a b", "a..b", "$"} {
		if got, err := d.Parameter(t.Context(), path, names(jobs)); err != nil || len(got) > 0 {
			t.Errorf("path %q: %s, %v", path, got, err)
		}
	}
}
