package job

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

func kwargs(pairs ...any) *pickle.Dict {
	d := &pickle.Dict{}
	for i := 0; i < len(pairs); i += 2 {
		d.Set(pairs[i].(string), pairs[i+1])
	}
	return d
}

func TestParams(t *testing.T) {
	row := &rows.BackgroundJob{InputParameters: json.RawMessage(`{"from":"row"}`)}
	call := kwargs("from", "call")
	for name, tc := range map[string]struct {
		q    Queued
		want string
	}{
		"of the row that the call names": {Queued{RowName: "JOB-1", Row: row, Kwargs: call}, `{"from":"row"}`},
		"of the row that the call got":   {Queued{Row: row, Kwargs: call}, `{"from":"row"}`},
		"of the call":                    {Queued{Kwargs: call}, `{"from":"call"}`},
		"none":                           {Queued{}, `{}`},
		"positional ones":                {Queued{Kwargs: kwargs("a", int64(1)), Args: []any{int64(2), "x"}}, `{"a":1,"args":[2,"x"]}`},
		"positional ones only":           {Queued{Args: []any{true}}, `{"args":[true]}`},
		"a number that JSON lacks":       {Queued{Kwargs: kwargs("a", math.NaN())}, `{"a":"nan"}`},
	} {
		if got := string(tc.q.Params()); got != tc.want {
			t.Errorf("parameters %s: %s, want %s", name, got, tc.want)
		}
	}
}

func TestKeyAndTenant(t *testing.T) {
	q := &Queued{Queue: Queue{Name: "b:go"}, ID: "1", Site: "s", Organization: "o"}
	if q.Key() != (Key{"b:go", "1"}) || q.Tenant() != (Tenant{"s", "o"}) {
		t.Errorf("key %v, tenant %v", q.Key(), q.Tenant())
	}
}

func TestPriorities(t *testing.T) {
	var got []Priority
	for _, name := range []string{"Low", "Normal", "High", "Critical"} {
		p, ok := PriorityOf(name)
		if !ok {
			t.Errorf("PriorityOf(%s) doesn't know it", name)
		}
		got = append(got, p)
	}
	if !slices.Equal(got, []Priority{0, 1, 2, 3}) || len(got) != Priorities {
		t.Errorf("Low, Normal, High, Critical are %v of %d, want 0 to 3", got, Priorities)
	}
	for _, odd := range []string{"", "low", "Urgent"} {
		if p, ok := PriorityOf(odd); ok || p != 1 {
			t.Errorf("PriorityOf(%q) = %d, %v, want that of Normal, false", odd, p, ok)
		}
	}
	for kind, want := range map[string]Priority{"short": 2, "default": 1, "go": 1, "long": 0} {
		if got := PriorityOfQueue(kind); got != want {
			t.Errorf("jobs of the queue %s have priority %d, want %d", kind, got, want)
		}
	}
}
