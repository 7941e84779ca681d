package bridge

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// TestWhatFrappeEnqueues: the entries of a frappe._dict are the arguments, what they lose is told, many rows that share one
// text are all there, and the timeout that Frappe sends unasked leaves the Job Type's.
func TestWhatFrappeEnqueues(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.addGoTypes(77, "imports")
	type seen struct {
		lossy []string
		rows  int
		plain string
	}
	got := make(chan seen, 4)
	global := func(module, name string) *pickle.Global { return &pickle.Global{Module: module, Name: name} }
	date := &pickle.Object{How: pickle.Reduce, Callable: global("datetime", "date"), Args: &pickle.Tuple{Items: []any{pickle.Bytes("\x07\xe8\x02\x1d")}}}
	form := &pickle.Object{How: pickle.NewObj, Callable: global("frappe", "_dict"), Args: &pickle.Tuple{}, HasState: true, Pairs: []pickle.Pair{
		{Key: "organization", Value: "ORG-A"}, {Key: "when", Value: date}, {Key: "rows", Value: &pickle.List{Items: []any{"a", "b"}}},
	}}
	form.State = form
	arguments := envelope(testSite, "go.imports", nil)
	arguments["kwargs"] = form

	const queues = "3600" // what the bench gives jobs on go
	timeouts := map[string]int{queues: 77, "50": 50}
	for sent := range timeouts {
		b.raw("go", "frappe-"+sent, call(t, frappe.ExecuteJob, arguments), map[string]string{"timeout": sent})
	}
	b.start(func(e *Engine) {
		Register(e, "go.imports", func(_ context.Context, job *Job[struct {
			Rows []string `json:"rows"`
			When string   `json:"when"`
		}]) (any, error) {
			got <- seen{job.Lossy, len(job.Params.Rows), job.Params.When}
			return nil, nil
		})
		Register(e, "go.takes", func(_ context.Context, job *RawJob) (any, error) {
			var p struct{ Rows []json.RawMessage }
			if err := json.Unmarshal(job.Params, &p); err != nil {
				return nil, err
			}
			got <- seen{rows: len(p.Rows)}
			return nil, nil
		})
	})
	for sent, want := range timeouts {
		id := "frappe-" + sent
		b.waitJob(id, rqcompat.StatusFinished)
		if diff := cmp.Diff(seen{[]string{"$.when: datetime.date written as text"}, 2, "2024-02-29"}, <-got, cmp.AllowUnexported(seen{})); diff != "" {
			t.Errorf("the handler gets (-want +got):\n%s", diff)
		}
		name := b.arrived(id)
		if row := b.row(name); row.TimeoutSeconds != want || row.Status != rows.StatusCompleted || !strings.Contains(string(row.InputParameters), `"when":"2024-02-29"`) {
			t.Errorf("sent with a timeout of %s s: row %+v, want %d s", sent, row, want)
		}
		if !slices.ContainsFunc(b.history(name), func(line string) bool {
			return strings.Contains(line, "parameters from Python: $.when: datetime.date written as text")
		}) {
			t.Errorf("the log doesn't say what the parameters lost: %q", b.history(name))
		}
	}

	rows := &pickle.List{Items: slices.Repeat([]any{&pickle.Dict{Items: []pickle.Pair{{Key: "text", Value: strings.Repeat("x", 2048)}}}}, 10_000)}
	for i, v := range rows.Items { // dicts of their own that share one text
		rows.Items[i] = &pickle.Dict{Items: slices.Clone(v.(*pickle.Dict).Items)}
	}
	b.waitJob(b.raw("go", "shared", call(t, "go.takes", map[string]any{"rows": rows}), nil), rqcompat.StatusFinished)
	if s := <-got; s.rows != 10_000 {
		t.Errorf("%d rows arrive, want 10000", s.rows)
	}
}
