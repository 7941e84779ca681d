package frappe

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNewEnqueueDefaults(t *testing.T) {
	const callback = "frappe.utils.background_jobs.truncate_failed_registry"
	for name, tc := range map[string]struct {
		config map[string]any
		want   EnqueueDefaults
	}{
		"nothing set":  {nil, EnqueueDefaults{600, 604800, callback, 60}},
		"set":          {map[string]any{"rq_results_ttl": int64(5), "rq_job_failure_ttl": 7.0}, EnqueueDefaults{5, 7, callback, 60}},
		"json numbers": {map[string]any{"rq_results_ttl": json.Number("-1"), "rq_job_failure_ttl": 7}, EnqueueDefaults{-1, 7, callback, 60}},
		"zeros":        {map[string]any{"rq_results_ttl": 0, "rq_job_failure_ttl": 0.0}, EnqueueDefaults{600, 604800, callback, 60}},
		"zero, text":   {map[string]any{"rq_results_ttl": int64(0), "rq_job_failure_ttl": "x"}, EnqueueDefaults{600, 604800, callback, 60}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, NewEnqueueDefaults(tc.config)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnqueueDefaultsTimeout(t *testing.T) {
	for _, tc := range []struct{ asked, queue, want int64 }{{0, 0, 300}, {0, 1500, 1500}, {10, 1500, 10}, {-1, 300, -1}} {
		if got := (EnqueueDefaults{}).Timeout(tc.asked, tc.queue); got != tc.want {
			t.Errorf("Timeout(%d, %d) = %d, want %d", tc.asked, tc.queue, got, tc.want)
		}
	}
}

func TestIsFrappeCallback(t *testing.T) {
	for name, want := range map[string]bool{
		"frappe.utils.background_jobs.truncate_failed_registry": true,
		"":                false,
		"myapp.on_failed": false,
	} {
		if got := IsFrappeCallback(name); got != want {
			t.Errorf("IsFrappeCallback(%q) = %v, want %v", name, got, want)
		}
	}
}
