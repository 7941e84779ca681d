package frappe

import "encoding/json"

// EnqueueDefaults are the fields of an RQ job that frappe.enqueue sets beside the call itself
// (frappe/utils/background_jobs.py enqueue, 15.41 to 17). All times are seconds.
type EnqueueDefaults struct {
	// ResultTTL is how long a finished job is kept.
	ResultTTL int64
	// FailureTTL is how long a failed job is kept.
	FailureTTL int64
	// FailureCallback is the function RQ calls after a failure when the caller named none: it keeps the failed registry
	// short.
	FailureCallback string
	// FailureCallbackTimeout bounds that call.
	FailureCallbackTimeout int64
}

const (
	defaultResultTTL       = 10 * 60
	defaultFailureTTL      = 7 * 24 * 60 * 60
	failureCallbackTimeout = 60
)

// NewEnqueueDefaults reads rq_results_ttl and rq_job_failure_ttl from a site's merged configuration. As in Python, zero
// and missing mean the default.
func NewEnqueueDefaults(config map[string]any) EnqueueDefaults {
	return EnqueueDefaults{
		ResultTTL:              secondsOr(config["rq_results_ttl"], defaultResultTTL),
		FailureTTL:             secondsOr(config["rq_job_failure_ttl"], defaultFailureTTL),
		FailureCallback:        truncateFailedJob,
		FailureCallbackTimeout: failureCallbackTimeout,
	}
}

// Timeout returns the job's time limit: what the caller asked for, else the queue's, else 300 s.
func (EnqueueDefaults) Timeout(asked, queue int64) int64 {
	switch {
	case asked != 0:
		return asked
	case queue != 0:
		return queue
	}
	return DefaultTimeout
}

// IsFrappeCallback reports whether a callback named in a job hash is Frappe's own bookkeeping, which a Go worker does
// itself by other means. Any other non-empty name is a Python function of the job's caller: only a Python worker can
// honour it.
func IsFrappeCallback(name string) bool { return name == truncateFailedJob }

func secondsOr(v any, missing int64) int64 {
	var n int64
	switch v := v.(type) {
	case int64:
		n = v
	case int:
		n = int64(v)
	case float64:
		n = int64(v)
	case json.Number:
		// A number that is not whole counts as missing.
		n, _ = v.Int64()
	}
	if n == 0 {
		return missing
	}
	return n
}
