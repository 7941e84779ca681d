// Package bridge works the background jobs of a Frappe bench in Go: what Python
// enqueues with frappe.enqueue reaches handlers here, and what is submitted
// here reaches Python workers. It is the only place where RQ on Redis (package
// rqcompat) and the bench with its rows (package frappe) meet.
//
// # One job, seven steps
//
//	1 claim    fetch.go     take a job by id, atomically, when its turn comes
//	2 decode   route.go     what it asks for, and whether that is ours
//	3 admit    admit.go     its row: load or make it, move it to Running
//	4 run      execute.go   the handler, its clock, its cancel (handler.go, hold.go)
//	5 progress progress.go  at most one report a second, to row and desk
//	6 settle   settle.go    row and log in one transaction, then RQ's outcome
//	7 publish  events.go    what clients of the site's Socket.IO server see
//
// Decoding happens once, when a job is first seen on its queue, since what it
// asks for decides whether and when it is claimed.
//
// # The row is the truth, Redis is delivery
//
// A job of a Job Type has a row of the DocType Background Job. Every change of
// its status is a compare-and-swap with a row in the log, in one transaction;
// legal moves are in state.go:
//
//	          ┌────────────────────── cancel ─────────────────────┐
//	Pending ──► Queued ──► Running ──► Completed                  ▼
//	    │         │ ▲         ├──► Canceled ◄──── (Pending, Queued, Running)
//	    └─cancel  │ │         ├──► Failed ────┐
//	              │ │         ├──► Timed Out ─┤ retry due, or by hand
//	              │ └─────────┼───────────────┘
//	              ▼           ▼
//	           Dead Letter ◄──┴── permanent, or retries exhausted
//	              └──► Queued  (an administrator retries)
//
// A delivery that comes twice finds a row that has moved on and is only tidied
// up; a row without a delivery is delivered again. Jobs of methods that no Job
// Type declares have no row: RQ's state is all there is of them.
//
// # What happens when things stop
//
// An orderly stop claims nothing more, waits, cancels what still runs with
// ErrShutdown as the cause and gives it back without spending a retry. After a
// crash leases lapse within 15 s and any bridge of the bench gives the jobs
// back; one that takes its worker down three times is dead-lettered. Delivery
// is therefore at least once: a handler must bear being run again.
package bridge
