package route

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// limited is a bench whose Job Type archive may run three times for each account.
func limited() *bench {
	b := newBench()
	b.types["archive"].LimitKey, b.types["archive"].LimitRunning = "server.account", 3
	b.types["archive"].LimitRate, b.types["archive"].LimitRateWindow = 7, 60
	b.caps = job.Caps{PerOrganization: 20, Of: map[string]int{"ORG-A": 5}, Lease: time.Second}
	return b
}

// TestLimits: which limits a job has follows from whose it is and of which Job Type; of the key its value counts, and
// whether that comes with the call or stands in the row, in a small one or a large one, is all the same.
func TestLimits(t *testing.T) {
	account := map[string]any{"organization": "ORG-A", "server": map[string]any{"account": "7"}}
	number := map[string]any{"organization": "ORG-A", "server": map[string]any{"account": 7}}
	large := map[string]any{"organization": "ORG-A", "text": strings.Repeat("x", wait.LargeItem), "server": map[string]any{"account": "7"}}
	row := func(organization, parameters string, size int) *rows.BackgroundJob {
		return &rows.BackgroundJob{
			Name: "JOB", JobType: "archive", Organization: organization, OwnerUser: "jane@example.com", Status: rows.StatusQueued,
			InputParameters: json.RawMessage(parameters), ParametersSize: size,
		}
	}
	b := limited()
	b.parameters = map[string]json.RawMessage{"JOB server.account": json.RawMessage(`"7"`)}
	limits := func(kwargs map[string]any, row *rows.BackgroundJob) *job.Limits {
		t.Helper()
		j := enqueued(t, frappe.Call{Method: "archive", Kwargs: kwargs})
		if row != nil {
			b.rows["JOB"] = row
			j = delivery(t, "JOB")
		}
		got := b.router().Route(t.Context(), job.Queue{}, []Found{{Job: j}})[0]
		if got.Verdict != Ours || got.Broken != nil || got.Limits == nil {
			t.Fatalf("%s, broken %v, limits %v", verdicts[got.Verdict], got.Broken, got.Limits)
		}
		return got.Limits
	}
	want := limits(account, nil)
	if l := want[job.LimitOrganization]; l.Most != 5 || l.Window != 0 || l.Lease != time.Second {
		t.Errorf("of the organization %+v", l)
	}
	if l := want[job.LimitKeyRate]; l.Most != 7 || l.Window != time.Minute || want[job.LimitKeyRunning].Most != 3 || want[job.LimitJobType].Most != 0 {
		t.Errorf("of the Job Type %+v", *want)
	}
	for name, got := range map[string]*job.Limits{
		"a number": limits(number, nil), "a large call": limits(large, nil),
		"a row":       limits(nil, row("ORG-A", `{"server": {"account": 7}}`, 0)),
		"a large row": limits(nil, row("ORG-A", "", 1<<20)),
	} {
		if *got != *want {
			t.Errorf("%s: %+v, want %+v", name, *got, *want)
		}
	}
	for name, got := range map[string]*job.Limits{
		"another account": limits(nil, row("ORG-A", `{"server": {"account": 8}}`, 0)), "none": limits(nil, row("ORG-A", `{"server": "7"}`, 0)),
		"an object": limits(nil, row("ORG-A", `{"server": {"account": {}}}`, 0)), "another organization": limits(nil, row("ORG-B", `{"server": {"account": 7}}`, 0)),
	} {
		if got[job.LimitKeyRunning].Key == want[job.LimitKeyRunning].Key || got[job.LimitKeyRate].Key == want[job.LimitKeyRate].Key {
			t.Errorf("%s counts with the others: %+v", name, *got)
		}
		if same := got[job.LimitOrganization] == want[job.LimitOrganization]; same == (name == "another organization") {
			t.Errorf("%s: the organization's limit is %+v", name, got[job.LimitOrganization])
		}
	}
	b.parametersErr = errors.New("away")
	b.rows["JOB"] = row("ORG-A", "", 1<<20)
	if got := b.router().Route(t.Context(), job.Queue{}, []Found{{Job: delivery(t, "JOB")}})[0]; got.Verdict != Unready {
		t.Errorf("a key that can't be read: %s, want unready", verdicts[got.Verdict])
	}
}

// TestWithoutLimits: nothing is counted that needs no count.
func TestWithoutLimits(t *testing.T) {
	b := newBench()
	for _, j := range []frappe.Call{{Method: "archive"}, {Method: "go.plain", Kwargs: map[string]any{"organization": "ORG-A"}}} {
		if got := b.router().Route(t.Context(), job.Queue{}, []Found{{Job: enqueued(t, j)}})[0]; got.Limits != nil {
			t.Errorf("%s: %+v", j.Method, got.Limits)
		}
	}
}

// TestSkimIsBounded whatever the arguments are like.
func TestSkimIsBounded(t *testing.T) {
	d := &pickle.Dict{}
	for i := range 1000 {
		d.Set(fmt.Sprint("k", i), &pickle.Dict{Items: []pickle.Pair{{Key: "a", Value: int64(i)}, {Key: "long", Value: strings.Repeat("x", 1000)}, {Key: "list", Value: &pickle.List{}}}})
	}
	most := skimMost
	kept := skim(d, skimDepth, &most)
	if len(kept.Items) != skimMost || argument(kept, []string{"k5", "a"}) != "5" || argument(kept, []string{"k5", "long"}) != "" || argument(kept, []string{"k5", "list"}) != "" {
		t.Errorf("%d kept, k5 is %v", len(kept.Items), kept.Items[5])
	}
	deep := &pickle.Dict{}
	for at, i := deep, 0; i < 10_000; i++ {
		next := &pickle.Dict{}
		at.Set("d", next)
		at.Set("v", true)
		at = next
	}
	most = skimMost
	kept = skim(deep, skimDepth, &most)
	if argument(kept, []string{"d", "d", "d", "v"}) != "true" || argument(kept, []string{"d", "d", "d", "d", "v"}) != "" {
		t.Errorf("kept of a deep one: %v", kept)
	}
}
