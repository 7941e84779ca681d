package job

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
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
		got, lossy, err := tc.q.Params()
		size, unfit := tc.q.MeasureParams(pickle.Limits{})
		if string(got) != tc.want || err != nil || unfit != nil || size < len(got) {
			t.Errorf("parameters %s: %s (%v; %d bytes measured, %v), want %s", name, got, err, size, unfit, tc.want)
		}
		if want := []string{"$.a: float nan written as text"}; strings.Contains(tc.want, "nan") && !slices.Equal(lossy, want) {
			t.Errorf("parameters %s: lossy %q, want %q", name, lossy, want)
		}
	}
}

// TestParamsAreWholeOrRefused: rows that share one text arrive, and more of them than fit name the limit.
func TestParamsAreWholeOrRefused(t *testing.T) {
	text := strings.Repeat("x", 2048)
	for n, fits := range map[int]bool{10_000: true, 20_000: false} {
		shared := &pickle.List{Items: []any{text}}
		q := &Queued{Kwargs: kwargs("rows", &pickle.List{Items: slices.Repeat([]any{shared}, n)})}
		params, lossy, err := q.Params()
		if _, checked := q.MeasureParams(pickle.Limits{}); (checked == nil) != fits || (err == nil) != fits || len(lossy) > 0 {
			t.Errorf("%d rows: %v and %v, lossy %q, want a refusal: %v", n, checked, err, lossy, !fits)
		}
		if !fits {
			if Classify(err) != Permanent || !strings.Contains(err.Error(), "more than 25165824 bytes of JSON") || len(params) > 0 {
				t.Errorf("%d rows: %d bytes and %v, want none and the limit's name", n, len(params), err)
			}
			continue
		}
		if arrived := bytes.Count(params, []byte(`["`+text+`"]`)); arrived != n {
			t.Errorf("%d rows of %d arrive", arrived, n)
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
