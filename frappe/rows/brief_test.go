package rows

import (
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
