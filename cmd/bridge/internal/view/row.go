// Package view shows jobs, to people and to programs. The keys of its JSON are the field names of the DocTypes and of
// RQ's hash.
package view

import (
	"encoding/json"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Row is a Background Job.
type Row struct {
	Name            string          `json:"name"`
	JobType         string          `json:"job_type"`
	Organization    string          `json:"organization"`
	OwnerUser       string          `json:"owner_user"`
	Status          rows.Status     `json:"status"`
	Priority        string          `json:"priority"`
	DependsOn       string          `json:"depends_on,omitempty"`
	Progress        float64         `json:"progress"`
	ProgressMessage string          `json:"progress_message,omitempty"`
	OutputReference string          `json:"output_reference,omitempty"`
	ErrorType       string          `json:"error_type,omitempty"`
	ErrorMessage    string          `json:"error_message,omitempty"`
	RetryCount      int             `json:"retry_count"`
	MaxRetries      int             `json:"max_retries"`
	NextRetryAt     time.Time       `json:"next_retry_at,omitzero"`
	TimeoutSeconds  int             `json:"timeout_seconds"`
	CreatedAt       time.Time       `json:"created_at,omitzero"`
	StartedAt       time.Time       `json:"started_at,omitzero"`
	CompletedAt     time.Time       `json:"completed_at,omitzero"`
	CanceledAt      time.Time       `json:"canceled_at,omitzero"`
	CanceledBy      string          `json:"canceled_by,omitempty"`
	InputParameters json.RawMessage `json:"input_parameters,omitempty"`
}

// RowOf is the view of a row; nil for nil. With params it says what the job was called with.
func RowOf(r *rows.BackgroundJob, params bool) *Row {
	if r == nil {
		return nil
	}
	v := &Row{
		Name: r.Name, JobType: r.JobType, Organization: r.Organization, OwnerUser: r.OwnerUser, Status: r.Status,
		Priority: r.Priority, DependsOn: r.DependsOn, Progress: r.Progress, ProgressMessage: r.ProgressMessage,
		OutputReference: r.OutputReference, ErrorType: r.ErrorType, ErrorMessage: r.ErrorMessage,
		RetryCount: r.RetryCount, MaxRetries: r.MaxRetries, NextRetryAt: r.NextRetryAt, TimeoutSeconds: r.TimeoutSeconds,
		CreatedAt: r.CreatedAt, StartedAt: r.StartedAt, CompletedAt: r.CompletedAt, CanceledAt: r.CanceledAt, CanceledBy: r.CanceledBy,
	}
	if params && json.Valid(r.InputParameters) {
		v.InputParameters = r.InputParameters
	}
	return v
}

// LogEntry is a row of a job's history.
type LogEntry struct {
	FromStatus   rows.Status `json:"from_status"`
	ToStatus     rows.Status `json:"to_status"`
	Timestamp    time.Time   `json:"timestamp"`
	Actor        string      `json:"actor,omitempty"`
	Message      string      `json:"message"`
	RetryAttempt int         `json:"retry_attempt"`
}

func historyOf(entries []rows.LogEntry) []LogEntry {
	var out []LogEntry
	for _, e := range entries {
		out = append(out, LogEntry(e))
	}
	return out
}
