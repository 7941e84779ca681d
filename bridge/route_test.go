package bridge

import (
	"testing"

	"github.com/opensoft/dartwing-bridge/frappe"
)

// TestMethodOfSeveralJobTypes: which one a call belongs to must not be left to
// the order of a map.
func TestMethodOfSeveralJobTypes(t *testing.T) {
	e := &Engine{handlers: map[string]*handler{"app.export": {name: "app.export"}}}
	types := map[string]*frappe.JobType{}
	for _, name := range []string{"a-disabled", "b-export", "c-export", "d-export", "e-export"} {
		types[name] = &frappe.JobType{TypeName: name, HandlerMethod: "app.export", Enabled: name != "a-disabled"}
	}
	r := &router{e: e}
	for range 50 {
		if got, _ := r.match(types, "app.export"); got.TypeName != "b-export" {
			t.Fatalf("Job Type %s, want the first enabled one, b-export", got.TypeName)
		}
	}
}
