package rqcompat

import "time"

// Status is the state of a job as RQ writes it. rq/job.py JobStatus.
type Status string

// The statuses of RQ 1.15 to 2.10. StatusCreated is read (2.4.1 and later write it) but never written here:
// older peers don't know it.
const (
	StatusCreated   Status = "created"
	StatusQueued    Status = "queued"
	StatusStarted   Status = "started"
	StatusFinished  Status = "finished"
	StatusFailed    Status = "failed"
	StatusDeferred  Status = "deferred"
	StatusScheduled Status = "scheduled"
	StatusStopped   Status = "stopped"
	StatusCanceled  Status = "canceled"
)

// Known says whether s is one of the statuses RQ 1.15 to 2.10 use.
func (s Status) Known() bool {
	switch s {
	case StatusCreated, StatusQueued, StatusStarted, StatusFinished, StatusFailed, StatusDeferred,
		StatusScheduled, StatusStopped, StatusCanceled:
		return true
	}
	return false
}

// Callback names a Python function RQ calls at the end of a job, and the seconds it may take (nil: not stored).
type Callback struct {
	Name    string
	Timeout *int64
}

// Job is the hash rq:job:<id>. Zero times, nil numbers and empty texts are unset fields.
// It mirrors rq/job.py Job.restore and Job.to_dict, 1.15.1–2.10.
type Job struct {
	ID, Origin, Description string
	Status                  Status
	// Data is the call as stored: usually zlib over pickle. See Payload and Call.
	Data []byte

	CreatedAt, EnqueuedAt, StartedAt, EndedAt, LastHeartbeat time.Time
	WorkerName                                               string

	// Timeout, ResultTTL, FailureTTL and TTL are seconds; -1 is unlimited.
	Timeout, ResultTTL, FailureTTL, TTL *int64

	SuccessCallback, FailureCallback, StoppedCallback Callback
	// Meta is the serialized, uncompressed dict of the job.
	Meta []byte

	RetriesLeft           *int64
	RetryIntervals        []int64
	NumberOfRetries       *int64
	EnqueueAtFrontOnRetry bool

	DependencyIDs           []string
	AllowDependencyFailures *bool
	EnqueueAtFront          *bool

	GroupID         string
	RepeatsLeft     *int64
	RepeatIntervals []int64
	// Webhooks is the JSON text of the field.
	Webhooks string
	// ExcInfo and Result are the legacy fields as stored; results live in the stream (Client.Results).
	ExcInfo, Result []byte

	// Extra holds fields this package does not know and fields it could not read, unchanged.
	Extra map[string]string
}
