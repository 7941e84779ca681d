package foreign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// described are the jobs that were asked for.
func (h *heard) described() (all []string) {
	for _, call := range h.submitted {
		for _, c := range call {
			text := fmt.Sprintf("%s %s %s %q %q", c.JobType, c.Parameters, c.Priority, c.Key, c.DependsOn)
			if !c.RunAfter.IsZero() {
				text += " in " + time.Until(c.RunAfter.Time).Round(time.Minute).String()
			}
			all = append(all, text)
		}
	}
	return all
}

func TestExecSubmits(t *testing.T) {
	h := heard{refuse: func(c Child) error {
		if c.JobType == "closed" {
			return errors.New("the Job Type is disabled")
		}
		return nil
	}}
	result, err := shell(t, Exec{}, `
echo '{"submit": {"job_type": "page", "parameters": {"n": 12345678901234567890}, "priority": "Low", "key": "page 1", "depends_on": ["JOB-1"], "run_after": "90m"}}'
echo '{"submit": {"job_type": "closed"}, "progress": 50}'
echo '{"submit": {"job_type": "page", "user": "Administrator"}}'
echo '{"submit": {"job_type": "page", "run_after": "tomorrow"}}'
echo '{"submit": {"job_type": "page", "run_after": 5}}'
echo '{"submit": {}}'
echo '{"submit": "page"}'
echo '{"submit": null}'
echo '{"submit": {"job_type": "page", "depends_on": "JOB-1"}}'
printf '{"submit": {"job_type": "last", "run_after": "'$(date -u -d '+2 hours' +%Y-%m-%dT%H:%M:%SZ)'"}}\n{"result": 7}'`)(t.Context(), attempt, nil, &h)
	if err != nil || fmt.Sprint(result) != "7" {
		t.Fatalf("%v, %v, want the result whatever was refused", result, err)
	}
	want := []string{`page {"n": 12345678901234567890} Low "page 1" ["JOB-1"] in 1h30m0s`, `closed   "" []`, `last   "" [] in 2h0m0s`}
	if diff := cmp.Diff(want, h.described()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	for _, want := range []string{
		"submitted before, under the same key", "job_type=closed reason=\"the Job Type is disabled\"", `unknown field \"user\"`, "tomorrow", "run_after is 5", "it has no job_type", "it is a JSON string, want an object", "its depends_on is a JSON string", "msg=submitted job_type=last as=JOB-",
	} {
		if !strings.Contains(h.logged(), want) {
			t.Errorf("the log lacks %q:\n%s", want, h.logged())
		}
	}
	if n := strings.Count(h.logged(), "was not submitted"); n != 8 {
		t.Errorf("%d refusals were told, want 8:\n%s", n, h.logged())
	}
	if diff := cmp.Diff([]string{"50 "}, h.progress); diff != "" {
		t.Errorf("a line may say several things: %s", diff)
	}
}

// TestAServerThatIsAway has the attempt fail that couldn't submit, however well its program ended, and tried again.
func TestAServerThatIsAway(t *testing.T) {
	const lines = "{\"submit\": {\"job_type\": \"page\"}}\n{\"result\": 1}\n"
	for name, run := range map[string]Call{
		"exec":   shell(t, Exec{}, "printf '"+strings.ReplaceAll(lines, "\n", "\\n")+"'"),
		"stream": service(t, HTTP{}, answers(http.StatusOK, "application/x-ndjson", lines)),
		"answer": service(t, HTTP{}, answers(http.StatusOK, "application/json", `{"submit": {"job_type": "page"}, "result": 1}`)),
	} {
		h := heard{away: errors.New("job queue service is down")}
		if _, err := run(t.Context(), attempt, nil, &h); err == nil || job.ReadError(err).Kind != job.Transient || !strings.Contains(err.Error(), "jobs could not be submitted: job queue service is down") {
			t.Errorf("%s: %v, want a transient error", name, err)
		}
		if strings.Contains(h.logged(), "was not submitted") {
			t.Errorf("%s: it was told as a refusal: %s", name, h.logged())
		}
		h = heard{}
		if result, err := run(t.Context(), attempt, nil, &h); err != nil || result != json.Number("1") || len(h.described()) != 1 {
			t.Errorf("%s, with servers: %v, %v, jobs %q", name, result, err, h.described())
		}
	}
}

// TestAFloodOfSubmissions is dealt with as it is read, in order, and the log doesn't grow with it.
func TestAFloodOfSubmissions(t *testing.T) {
	const many = 100_000
	var h heard
	_, err := shell(t, Exec{}, fmt.Sprintf(`yes '{"submit":{"job_type":"a"}}' | head -n %d`, many))(t.Context(), attempt, nil, &h)
	if err != nil {
		t.Fatal(err)
	}
	all, most := 0, 0
	for _, call := range h.submitted {
		all, most = all+len(call), max(most, len(call))
	}
	if all != many || most > 32<<10/len(`{"submit":{"job_type":"a"}}`) {
		t.Errorf("%d jobs, at most %d at a time", all, most)
	}
	if n := len(h.logged()); n > 200_000 {
		t.Errorf("%d bytes were logged", n)
	}
}

// slowly submits like one whose database is slow.
type slowly struct {
	*heard
	each time.Duration
}

func (s slowly) Submit(ctx context.Context, children []Child) ([]Submitted, error) {
	time.Sleep(s.each)
	return s.heard.Submit(ctx, children)
}

// TestSubmissionsThatAreCutOff: what a program that has ended still asks for is read for a while only.
func TestSubmissionsThatAreCutOff(t *testing.T) {
	var h heard
	run := shell(t, Exec{KillGrace: 200 * time.Millisecond}, `yes '{"submit":{"job_type":"a"}}' | head -n 2000`)
	if _, err := run(t.Context(), attempt, nil, slowly{&h, 300 * time.Millisecond}); err == nil || job.ReadError(err).Kind != job.Transient {
		t.Errorf("%v, want a transient error; %d jobs were asked for", err, len(h.described()))
	}
}
