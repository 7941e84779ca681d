package main

import (
	"encoding/json"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// What --json prints of jobs. The keys are the field names of the DocTypes and
// of RQ's hash.

// rowJSON is a Background Job.
type rowJSON struct {
	Name            string          `json:"name"`
	JobType         string          `json:"job_type"`
	Organization    string          `json:"organization"`
	OwnerUser       string          `json:"owner_user"`
	Status          frappe.Status   `json:"status"`
	Priority        string          `json:"priority"`
	DependsOn       string          `json:"depends_on,omitempty"`
	Progress        float64         `json:"progress"`
	ProgressMessage string          `json:"progress_message,omitempty"`
	OutputReference string          `json:"output_reference,omitempty"`
	ErrorType       string          `json:"error_type,omitempty"`
	ErrorMessage    string          `json:"error_message,omitempty"`
	RetryCount      int             `json:"retry_count"`
	MaxRetries      int             `json:"max_retries"`
	NextRetryAt     *time.Time      `json:"next_retry_at,omitempty"`
	TimeoutSeconds  int             `json:"timeout_seconds"`
	CreatedAt       *time.Time      `json:"created_at,omitempty"`
	StartedAt       *time.Time      `json:"started_at,omitempty"`
	CompletedAt     *time.Time      `json:"completed_at,omitempty"`
	CanceledAt      *time.Time      `json:"canceled_at,omitempty"`
	CanceledBy      string          `json:"canceled_by,omitempty"`
	InputParameters json.RawMessage `json:"input_parameters,omitempty"`
}

func rowView(r *frappe.BackgroundJob, params bool) *rowJSON {
	if r == nil {
		return nil
	}
	v := &rowJSON{
		Name: r.Name, JobType: r.JobType, Organization: r.Organization, OwnerUser: r.OwnerUser, Status: r.Status, Priority: r.Priority,
		DependsOn: r.DependsOn, Progress: r.Progress, ProgressMessage: r.ProgressMessage, OutputReference: r.OutputReference,
		ErrorType: r.ErrorType, ErrorMessage: r.ErrorMessage, RetryCount: r.RetryCount, MaxRetries: r.MaxRetries, NextRetryAt: r.NextRetryAt,
		TimeoutSeconds: r.TimeoutSeconds, CreatedAt: stamp(r.CreatedAt), StartedAt: stamp(r.StartedAt), CompletedAt: stamp(r.CompletedAt),
		CanceledAt: stamp(r.CanceledAt), CanceledBy: r.CanceledBy,
	}
	if params && json.Valid(r.InputParameters) {
		v.InputParameters = r.InputParameters
	}
	return v
}

// logJSON is a row of a job's history.
type logJSON struct {
	FromStatus   frappe.Status `json:"from_status"`
	ToStatus     frappe.Status `json:"to_status"`
	Timestamp    time.Time     `json:"timestamp"`
	Actor        string        `json:"actor,omitempty"`
	Message      string        `json:"message"`
	RetryAttempt int           `json:"retry_attempt"`
}

func historyView(entries []frappe.LogEntry) []logJSON {
	var out []logJSON
	for _, e := range entries {
		out = append(out, logJSON(e))
	}
	return out
}

// rqJSON is RQ's view of a job. Arguments are not in it.
type rqJSON struct {
	ID         string          `json:"id"`
	Status     rqcompat.Status `json:"status"`
	Queue      string          `json:"queue"`
	Worker     string          `json:"worker_name,omitempty"`
	CreatedAt  *time.Time      `json:"created_at,omitempty"`
	EnqueuedAt *time.Time      `json:"enqueued_at,omitempty"`
	StartedAt  *time.Time      `json:"started_at,omitempty"`
	EndedAt    *time.Time      `json:"ended_at,omitempty"`
	Timeout    *int64          `json:"timeout,omitempty"`
	Results    []resultJSON    `json:"results,omitempty"`
	// Arguments is what --params adds.
	Arguments any `json:"arguments,omitempty"`
}

type resultJSON struct {
	Outcome   string    `json:"outcome"`
	At        time.Time `json:"at"`
	Worker    string    `json:"worker_name,omitempty"`
	Value     any       `json:"value,omitempty"`
	Traceback string    `json:"traceback,omitempty"`
	Error     string    `json:"error,omitempty"`
}

func rqView(j *rqcompat.Job, results []rqcompat.Result) *rqJSON {
	if j == nil {
		return nil
	}
	v := &rqJSON{
		ID: j.ID, Status: j.Status, Queue: j.Origin, Worker: j.WorkerName, CreatedAt: stamp(j.CreatedAt), EnqueuedAt: stamp(j.EnqueuedAt),
		StartedAt: stamp(j.StartedAt), EndedAt: stamp(j.EndedAt), Timeout: j.Timeout,
	}
	for _, r := range results {
		v.Results = append(v.Results, resultView(r))
	}
	return v
}

var outcomes = map[rqcompat.ResultType]string{
	rqcompat.ResultSuccessful: "successful", rqcompat.ResultFailed: "failed", rqcompat.ResultStopped: "stopped",
	rqcompat.ResultRetried: "retried", rqcompat.ResultMaxRetries: "retries exhausted",
}

func resultView(r rqcompat.Result) resultJSON {
	v := resultJSON{Outcome: outcomes[r.Type], At: r.CreatedAt, Worker: r.WorkerName, Traceback: r.ExcString}
	value, err := r.Value()
	if r.Err != nil {
		err = r.Err
	}
	if err != nil {
		v.Error = err.Error()
		return v
	}
	v.Value, _ = pickle.Plain(value)
	return v
}
