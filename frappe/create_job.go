package frappe

import (
	"context"
	"encoding/json"
)

// NewJob describes a Background Job row to be created.
type NewJob struct {
	JobType, Organization string
	OwnerUser             string // the submitter; also the row's owner, which if_owner permissions look at
	Priority              string // "" is Normal
	DependsOn             string
	JobHash               string
	MaxRetries            int
	TimeoutSeconds        int
	InputParameters       json.RawMessage // nil is NULL
	Status                Status          // Pending ("" too) or Queued
	Actor                 string          // of the log rows; "" is OwnerUser
	CreatedMessage        string          // "" is "Job created"
	QueuedMessage         string          // "" is "Job enqueued"
}

// CreateJobs inserts the rows with names from the series JOB-.YYYY.- and their log rows in one transaction. Either all
// are there afterwards or none.
func (d *DB) CreateJobs(ctx context.Context, js []NewJob) ([]*BackgroundJob, error) {
	return nil, errNotBuilt
}
