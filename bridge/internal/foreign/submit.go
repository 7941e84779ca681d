package foreign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// Child is a job that a handler asks for. Whose work it is isn't for the handler to say: site, organization and user are those
// of its own job.
type Child struct {
	JobType    string          `json:"job_type"`
	Parameters json.RawMessage `json:"parameters"`
	Priority   string          `json:"priority"`
	Key        string          `json:"key"`
	RunAfter   moment          `json:"run_after"`
	DependsOn  []string        `json:"depends_on"`
}

// Submitted is what became of a Child: the row's name, or why there is none.
type Submitted struct {
	Name string
	// Created is false for a job that was there under its key.
	Created bool
	Err     error
}

// Reporter takes what a handler of this package tells.
type Reporter interface {
	job.Reporter
	// Submit submits jobs, and has a result for each. The error is that of a server that is away: some weren't tried.
	Submit(ctx context.Context, children []Child) ([]Submitted, error)
}

// Call makes one attempt at a job, as job.Call.
type Call func(ctx context.Context, info job.Info, params json.RawMessage, r Reporter) (any, error)

// moment is a time in RFC 3339, or a duration from now.
type moment struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("run_after is %s, want a text", clip(b))
	}
	if text == "" {
		return nil
	}
	after, err := time.ParseDuration(text)
	if err == nil && after >= 0 {
		m.Time = time.Now().Add(after)
		return nil
	}
	if m.Time, err = time.Parse(time.RFC3339, text); err != nil {
		return fmt.Errorf("run_after is %.40q, want a time like 2026-12-01T08:00:00Z or a duration like 90m", text)
	}
	return nil
}

// readChild reads what a line asks for. A field that isn't known, such as another organization, isn't passed over in silence.
func readChild(b json.RawMessage) (c Child, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err = d.Decode(&c)
	wrong, isType := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case isType && wrong.Field == "":
		err = fmt.Errorf("it is a JSON %s, want an object", wrong.Value)
	case isType:
		err = fmt.Errorf("its %s is a JSON %s", wrong.Field, wrong.Value)
	case err == nil && c.JobType == "":
		err = errors.New("it has no job_type")
	}
	return c, err
}

// submit takes up the job of a line. Those of what was read at a time are submitted together.
func (rr *reportReader) submit(b json.RawMessage) {
	child, err := readChild(b)
	if err != nil {
		rr.refused(child.JobType, err)
		return
	}
	rr.children = append(rr.children, child)
}

// submitAll submits what was taken up. A refusal is for who reads the log, as the handler reads no answers; that a server
// is away has the attempt fail, so that another one submits what this one couldn't.
func (rr *reportReader) submitAll() {
	if len(rr.children) == 0 {
		return
	}
	children := rr.children
	rr.children = nil
	results, err := rr.r.Submit(rr.ctx, children)
	rr.submitted = time.Now()
	for i, r := range results {
		switch {
		case err != nil && r.Err != nil && errors.Is(r.Err, err):
		case r.Err != nil:
			rr.refused(children[i].JobType, r.Err)
		case r.Created:
			rr.tell(slog.LevelInfo, "submitted", "job_type", children[i].JobType, "as", r.Name)
		default:
			rr.tell(slog.LevelInfo, "submitted before, under the same key", "job_type", children[i].JobType, "as", r.Name)
		}
	}
	if err != nil && rr.away == nil {
		rr.away = fmt.Errorf("jobs could not be submitted: %w", err)
	}
}

func (rr *reportReader) refused(jobType string, err error) {
	rr.tell(slog.LevelWarn, "a job was not submitted", "job_type", jobType, "reason", err)
}
