package bridge

import (
	"context"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestProgramsSubmitJobs runs a handler in Python that submits others: as its job's user and for its job's organization,
// each once though it is tried twice. What is refused its job's log says, and nothing else becomes of it.
func TestProgramsSubmitJobs(t *testing.T) {
	program, err := filepath.Abs("../testdata/handlers/pages.py")
	if err != nil {
		t.Fatal(err)
	}
	twice := `if [ $BRIDGE_ATTEMPT = 1 ]; then ` + program + ` && exit 75; fi; ` + program
	b := newBed(t, map[string]any{"queues": []string{"go"}, "retry": map[string]any{"base": 0.01}, "foreign": map[string]any{
		"report": map[string]any{"exec": map[string]any{"command": []string{"sh", "-c", twice}}},
		"greedy": map[string]any{"exec": map[string]any{"command": []string{"sh", "-c", `
echo '{"submit": {"job_type": "nothing"}}'
echo '{"submit": {"job_type": "render_page", "organization": "ORG-B"}}'
echo '{"submit": {"job_type": "render_page", "parameters": [1]}}'
echo '{"submit": {"job_type": "render_page", "depends_on": ["JOB-1999-00001"]}}'
echo '{"result": "all the same"}'`}}},
	}})
	b.addJobTypes("report", "render_page", "bind_pages", "greedy")
	var rendered, bound atomic.Int64
	b.start(func(e *Engine) {
		Register(e, "render_page", func(_ context.Context, j *Job[struct{ Page int }]) (any, error) {
			rendered.Add(int64(j.Params.Page))
			return nil, nil
		})
		Register(e, "bind_pages", func(context.Context, *RawJob) (any, error) { bound.Add(1); return nil, nil })
	})
	name := b.submit("report", map[string]any{"pages": 40})
	greedy := b.submit("greedy", nil)
	row := b.waitRow(name, rows.StatusCompleted)
	if row.RetryCount != 1 || row.Progress != 100 {
		t.Errorf("retries %d, progress %v", row.RetryCount, row.Progress)
	}
	children := b.children("render_page", "bind_pages")
	if len(children) != 41 {
		t.Fatalf("%d jobs, want one for each page and one that binds them", len(children))
	}
	for _, child := range children {
		b.waitRow(child.Name, rows.StatusCompleted)
		if child.Organization != "ORG-A" || child.OwnerUser != "jane@example.com" || (child.Priority == rows.PriorityLow) != (child.JobType == "render_page") {
			t.Errorf("%s of %s: organization %s, owner %s, priority %s", child.JobType, child.Name, child.Organization, child.OwnerUser, child.Priority)
		}
	}
	if rendered.Load() != 40*41/2 || bound.Load() != 1 {
		t.Errorf("pages add up to %d, bound %d times", rendered.Load(), bound.Load())
	}
	b.waitRow(greedy, rows.StatusCompleted)
	tail := func() (text string) {
		if err := b.sql.GetContext(t.Context(), &text, "SELECT COALESCE(log_tail, '') FROM `tabBackground Job` WHERE name=?", greedy); err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, want := range []string{`"nothing"`, `unknown field`, `not a JSON object`, "JOB-1999-00001"} {
		b.eventually("the log says "+want, func() bool { return strings.Contains(tail(), want) }, tail)
	}
	if n := strings.Count(tail(), "a job was not submitted"); n != 4 {
		t.Errorf("the log tells of %d refusals, want 4:\n%s", n, tail())
	}
}

// addJobTypes adds Job Types without defaults.
func (b *bed) addJobTypes(names ...string) {
	b.t.Helper()
	var types []rows.JobType
	for _, name := range names {
		types = append(types, rows.JobType{TypeName: name, DisplayName: name, Enabled: true, MaxRetries: 3, DefaultTimeout: 60})
	}
	if _, err := b.db.InsertJobTypes(b.t.Context(), types); err != nil {
		b.t.Fatal(err)
	}
}

// children are all jobs of some types.
func (b *bed) children(types ...string) (all []*rows.BackgroundJob) {
	b.t.Helper()
	for _, name := range types {
		found, _, err := b.db.ListJobs(b.t.Context(), rows.ListFilter{JobType: name, Limit: 1000})
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}
