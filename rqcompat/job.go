package rqcompat

import (
	"strconv"
	"time"
)

// Status is the state of a job as RQ writes it. rq/job.py JobStatus.
type Status string

// The statuses of RQ 1.15 to 2.10. StatusCreated is only read (2.4.1 and later write it): older peers don't know it.
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

var statuses = []Status{StatusCreated, StatusQueued, StatusStarted, StatusFinished, StatusFailed, StatusDeferred,
	StatusScheduled, StatusStopped, StatusCanceled}

// Ended reports whether RQ is through with a job of this status: only a requeue brings it back.
func (s Status) Ended() bool {
	return s == StatusFinished || s == StatusFailed || s == StatusStopped || s == StatusCanceled
}

// Callback names a Python function RQ calls at the end of a job, and the seconds it may take (nil: not stored).
type Callback struct {
	Name    string
	Timeout *int64
}

// Job is the hash rq:job:<id>. Zero times, nil numbers and empty strings are unset fields. It mirrors rq/job.py
// Job.restore and Job.to_dict, 1.15.1–2.10.
type Job struct {
	ID, Origin, Description string
	Status                  Status
	Data                    []byte // the call as stored: usually zlib over pickle. See Payload and Call.

	CreatedAt, EnqueuedAt, StartedAt, EndedAt, LastHeartbeat time.Time
	WorkerName                                               string

	// Timeout, ResultTTL, FailureTTL and TTL are seconds; -1 is unlimited.
	Timeout, ResultTTL, FailureTTL, TTL *int64

	SuccessCallback, FailureCallback, StoppedCallback Callback
	Meta                                              []byte // the serialized, uncompressed dict of the job

	RetriesLeft           *int64
	RetryIntervals        []int64
	NumberOfRetries       *int64
	EnqueueAtFrontOnRetry *bool

	DependencyIDs           []string
	AllowDependencyFailures *bool
	EnqueueAtFront          *bool

	GroupID         string
	RepeatsLeft     *int64
	RepeatIntervals []int64
	Webhooks        []byte // JSON, as stored
	// ExcInfo and Result are the legacy fields as stored; results live in the stream (Client.Results).
	ExcInfo, Result []byte

	// Extra holds fields this package does not know and fields it could not read, unchanged.
	Extra map[string]string
}

// retriedField counts what Outcome.RetryIn scheduled; the end of the job removes it.
const retriedField = "bridge_retries"

// Retried is how often Outcome.RetryIn has scheduled the job again.
func (j *Job) Retried() int {
	n, _ := strconv.Atoi(j.Extra[retriedField])
	return max(n, 0)
}

// killsField counts the processes that died with the job, see Rescue; the end of the job removes it.
const killsField = "bridge_kills"

// Kills is how many processes died while they ran the job.
func (j *Job) Kills() int {
	n, _ := strconv.Atoi(j.Extra[killsField])
	return max(n, 0)
}

// jobField is one field of the hash: where it is kept decides how it is read and written.
type jobField struct {
	name   string
	at     func(*Job) any // a pointer to the field of Job
	always bool           // every full save has it, possibly empty
	strict bool           // RQ converts it even when it is empty, which raises
}

// jobFields are the fields this package knows, but for dependency_id, the legacy mirror of dependency_ids' first
// entry. group_id is RQ 2's; older readers ignore it.
var jobFields = []jobField{
	{name: "created_at", at: func(j *Job) any { return &j.CreatedAt }, always: true},
	{name: "data", at: func(j *Job) any { return &j.Data }, strict: true},
	{name: "origin", at: func(j *Job) any { return &j.Origin }},
	{name: "description", at: func(j *Job) any { return &j.Description }},
	{name: "status", at: func(j *Job) any { return &j.Status }},
	{name: "enqueued_at", at: func(j *Job) any { return &j.EnqueuedAt }},
	{name: "started_at", at: func(j *Job) any { return &j.StartedAt }, always: true},
	{name: "ended_at", at: func(j *Job) any { return &j.EndedAt }, always: true},
	{name: "last_heartbeat", at: func(j *Job) any { return &j.LastHeartbeat }, always: true},
	{name: "worker_name", at: func(j *Job) any { return &j.WorkerName }, always: true},
	{name: "timeout", at: func(j *Job) any { return &j.Timeout }},
	{name: "result_ttl", at: func(j *Job) any { return &j.ResultTTL }},
	{name: "failure_ttl", at: func(j *Job) any { return &j.FailureTTL }},
	{name: "ttl", at: func(j *Job) any { return &j.TTL }},
	{name: "meta", at: func(j *Job) any { return &j.Meta }},
	{name: "success_callback_name", at: func(j *Job) any { return &j.SuccessCallback.Name }, always: true},
	{name: "failure_callback_name", at: func(j *Job) any { return &j.FailureCallback.Name }, always: true},
	{name: "stopped_callback_name", at: func(j *Job) any { return &j.StoppedCallback.Name }, always: true},
	{name: "success_callback_timeout", at: func(j *Job) any { return &j.SuccessCallback.Timeout }, strict: true},
	{name: "failure_callback_timeout", at: func(j *Job) any { return &j.FailureCallback.Timeout }, strict: true},
	{name: "stopped_callback_timeout", at: func(j *Job) any { return &j.StoppedCallback.Timeout }, strict: true},
	{name: "retries_left", at: func(j *Job) any { return &j.RetriesLeft }},
	{name: "retry_intervals", at: func(j *Job) any { return &j.RetryIntervals }},
	{name: "number_of_retries", at: func(j *Job) any { return &j.NumberOfRetries }},
	{name: "enqueue_at_front_on_retry", at: func(j *Job) any { return &j.EnqueueAtFrontOnRetry }},
	{name: "dependency_ids", at: func(j *Job) any { return &j.DependencyIDs }},
	{name: "allow_dependency_failures", at: func(j *Job) any { return &j.AllowDependencyFailures }},
	{name: "enqueue_at_front", at: func(j *Job) any { return &j.EnqueueAtFront }, strict: true},
	{name: "group_id", at: func(j *Job) any { return &j.GroupID }, always: true},
	{name: "repeats_left", at: func(j *Job) any { return &j.RepeatsLeft }},
	{name: "repeat_intervals", at: func(j *Job) any { return &j.RepeatIntervals }},
	{name: "webhooks", at: func(j *Job) any { return &j.Webhooks }},
	{name: "exc_info", at: func(j *Job) any { return &j.ExcInfo }},
	{name: "result", at: func(j *Job) any { return &j.Result }},
}

var jobFieldByName = func() map[string]*jobField {
	m := make(map[string]*jobField, len(jobFields))
	for i := range jobFields {
		m[jobFields[i].name] = &jobFields[i]
	}
	return m
}()
