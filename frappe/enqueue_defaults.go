package frappe

import "cmp"

// EnqueueDefaults are the fields of an RQ job that frappe.enqueue sets beside the call itself
// (frappe/utils/background_jobs.py enqueue, 15.41 to 17). All times are seconds.
type EnqueueDefaults struct {
	ResultTTL  int64 // how long a finished job is kept
	FailureTTL int64 // how long a failed job is kept
	// FailureCallback is the function RQ calls after a failure if the caller named none: it trims the failed registry.
	FailureCallback        string
	FailureCallbackTimeout int64 // bounds that call
}

// NewEnqueueDefaults reads rq_results_ttl and rq_job_failure_ttl from a site's configuration. Zero means the default.
func NewEnqueueDefaults(config Config) EnqueueDefaults {
	return EnqueueDefaults{
		ResultTTL:              int64(cmp.Or(config.Int("rq_results_ttl", 0), 10*60)),
		FailureTTL:             int64(cmp.Or(config.Int("rq_job_failure_ttl", 0), 7*24*60*60)),
		FailureCallback:        truncateFailedJob,
		FailureCallbackTimeout: 60,
	}
}

// Timeout returns the job's time limit: what the caller asked for, else the queue's, else 300 s.
func (EnqueueDefaults) Timeout(asked, queue int64) int64 {
	return cmp.Or(asked, queue, DefaultTimeout)
}

// IsFrappeCallback reports whether a callback named in a job hash is Frappe's own bookkeeping, which a Go worker does
// itself by other means. Any other name is a Python function of the job's caller: only a Python worker can run it.
func IsFrappeCallback(name string) bool { return name == truncateFailedJob }
