package view

import (
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// RQ is RQ's view of a job. Arguments are not in it.
type RQ struct {
	ID         string          `json:"id"`
	Status     rqcompat.Status `json:"status"`
	Queue      string          `json:"queue"`
	Worker     string          `json:"worker_name,omitempty"`
	CreatedAt  time.Time       `json:"created_at,omitzero"`
	EnqueuedAt time.Time       `json:"enqueued_at,omitzero"`
	StartedAt  time.Time       `json:"started_at,omitzero"`
	EndedAt    time.Time       `json:"ended_at,omitzero"`
	Timeout    *int64          `json:"timeout,omitempty"`
	Results    []Result        `json:"results,omitempty"`
	// Arguments is what --params adds.
	Arguments any `json:"arguments,omitempty"`
}

// Result is one of its results, the newest first.
type Result struct {
	Outcome   string    `json:"outcome"`
	At        time.Time `json:"at"`
	Worker    string    `json:"worker_name,omitempty"`
	Value     any       `json:"value,omitempty"`
	Traceback string    `json:"traceback,omitempty"`
	Error     string    `json:"error,omitempty"`
}

// RQOf is the view of an RQ job and its results; nil for nil.
func RQOf(j *rqcompat.Job, results []rqcompat.Result) *RQ {
	if j == nil {
		return nil
	}
	v := &RQ{
		ID: j.ID, Status: j.Status, Queue: j.Origin, Worker: j.WorkerName,
		CreatedAt: j.CreatedAt, EnqueuedAt: j.EnqueuedAt, StartedAt: j.StartedAt, EndedAt: j.EndedAt, Timeout: j.Timeout,
	}
	for _, r := range results {
		v.Results = append(v.Results, resultOf(r))
	}
	return v
}

var outcomes = map[rqcompat.ResultType]string{
	rqcompat.ResultSuccessful: "successful", rqcompat.ResultFailed: "failed", rqcompat.ResultStopped: "stopped",
	rqcompat.ResultRetried: "retried", rqcompat.ResultMaxRetries: "retries exhausted",
}

func resultOf(r rqcompat.Result) Result {
	v := Result{Outcome: outcomes[r.Type], At: r.CreatedAt, Worker: r.WorkerName, Traceback: r.ExcString}
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
