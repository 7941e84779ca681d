package rqcompat

import "time"

// LeftKind says in which way something was left behind.
type LeftKind string

// What workers that died, or that lost Redis, leave behind. RQ puts right a part of it, within ten minutes and while a worker
// of the queue runs (Client.Maintain does the same); the rest stays for ever.
const (
	// LeftLost is a job that is queued and in no list: a worker of several queues popped it (BLPOP) and died before it started
	// it. RQ never finds it.
	LeftLost LeftKind = "lost"
	// LeftStuck is a job in the intermediate list that nobody starts. RQ fails it, or retries it if it has retries left.
	LeftStuck LeftKind = "stuck"
	// LeftAbandoned is a job whose entry in the started registry isn't renewed any more. RQ fails or retries it.
	LeftAbandoned LeftKind = "abandoned"
	// LeftUnregistered is a job whose status says started, scheduled, failed or stopped, and that is in no such registry: a
	// requeue that was broken off, an entry that a worker of another version dropped. RQ never finds it.
	LeftUnregistered LeftKind = "unregistered"
	// LeftStale is an entry of the started registry or of the intermediate list whose job has ended, waits in its queue or is
	// gone. RQ fails or repeats such jobs when it cleans, finished ones too.
	LeftStale LeftKind = "stale"
	// LeftWorker is a worker on the list of a queue whose record has expired, or has no heartbeat and never expires.
	LeftWorker LeftKind = "worker"
)

// Left is one thing that was left behind.
type Left struct {
	Kind  LeftKind `json:"kind"`
	Queue string   `json:"queue"`
	// ID is the job's, of LeftWorker the worker's name.
	ID string `json:"id"`
	// Status is what the job's hash says, empty if there is none. Worker had it last, if it was started.
	Status Status `json:"status,omitempty"`
	Worker string `json:"worker_name,omitempty"`
	// Since is when the job was started, else when it was enqueued; of a worker its last heartbeat. Zero if nothing says.
	Since time.Time `json:"since,omitzero"`
	// BlocksDeduplicate: the hash says queued or started and doesn't expire, so that frappe.enqueue with deduplicate takes the
	// job for one that is on its way, for ever.
	BlocksDeduplicate bool `json:"blocks_deduplicate"`

	trace trace
}

// trace is what two looks at a job, or at a worker, must both have seen. It is comparable.
type trace struct {
	status                                   Status
	queue, enqueued, started, beaten, worker string // as the hash has them
	// waits: in the queue's list, or popped by a waiter of First. stuck: in the intermediate list. live: an entry of the
	// started registry has time left. lapsed: the entry that has none. listed: in the registry that the status names.
	waits, stuck, live, listed bool
	lapsed, ended              string // ended is a live entry, of which the status says that it can't be
	// held: the record of the worker names the job as its current one.
	held bool
	// ours: a worker of this package has it. fading: the hash is about to expire.
	ours, fading bool
}

// judge is the rule: what a trace says of its job, "" if nothing is wrong. It is asked of traces that didn't change for a
// while, so what is between two states has passed to the next.
func (t trace) judge() LeftKind {
	running := t.status == StatusQueued || t.status == StatusStarted
	switch {
	case t.ours && t.status == StatusStarted:
		return "" // Rescue's
	case t.stuck && t.live:
		return "" // it is being started
	case t.lapsed != "" && running && !t.waits && !t.live:
		return LeftAbandoned // RQ 2 registers a job while it is in the intermediate list
	case t.stuck && running && !t.waits:
		return LeftStuck
	case t.stuck:
		return LeftStale
	case t.lapsed != "" || t.ended != "":
		return LeftStale
	case t.live, t.waits, t.listed:
		return ""
	}
	switch t.status {
	case StatusQueued:
		return LeftLost
	case StatusStarted:
		if !t.held {
			return LeftUnregistered
		}
	case StatusScheduled:
		return LeftUnregistered
	case StatusFailed, StatusStopped:
		if !t.fading {
			return LeftUnregistered
		}
	}
	return ""
}

// registryOf is where a job of a status stands, "" if none has to.
func registryOf(s Status) Registry {
	switch s {
	case StatusScheduled, StatusQueued: // a scheduled job may have the status of its last run
		return Scheduled
	case StatusFailed, StatusStopped:
		return Failed
	}
	return ""
}
