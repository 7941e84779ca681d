package rqcompat

// Registry names one of the sorted sets RQ keeps per queue; the value is the middle part of its key.
type Registry string

// The registries of a queue, rq/registry.py. Stopped jobs are in Failed.
const (
	Wip       Registry = "wip"
	Finished  Registry = "finished"
	Failed    Registry = "failed"
	Deferred  Registry = "deferred"
	Scheduled Registry = "scheduled"
	Canceled  Registry = "canceled"
)
