// Package bridge works the background jobs of a Frappe bench in Go: what Python enqueues with frappe.enqueue reaches
// handlers here, and what is submitted here reaches Python workers. It is the only place where RQ on Redis (package
// rqcompat) and the bench with its rows (package frappe) meet.
//
// An Engine works jobs: New, Register, Run. A Client submits, cancels, retries and looks; an Engine and a running
// handler submit over the engine's own connections. Package benchconfig reads a Config from a bench's files and the
// environment, package bridgetest tries a handler without any server.
//
// # The life of one job
//
//	1 see      internal/intake   a copy of each queue's list
//	2 route    internal/route    decode the call without running anything; whose is it
//	3 claim    internal/intake   fair turn, then atomically by id
//	4 admit    internal/attempt  its row, the policy, move to Running
//	5 run      internal/attempt  the handler under its clock; progress
//	6 settle   internal/attempt  row and log, then RQ's outcome
//	7 publish  internal/desk     what clients of the site's Socket.IO server see
//
// Decoding happens once, when a job is first seen on its queue, since what it asks for decides whether and when it is
// claimed. ARCHITECTURE.md tells the whole story.
//
// # The row is the truth, Redis is delivery
//
// A job of a Job Type has a row of the DocType Background Job. Every change of its status is a compare-and-swap with a
// row in the log, in one transaction; all of them stand in internal/moves. A delivery that comes twice finds a row that
// has moved on and is only tidied up; a row without a delivery is delivered again. Jobs of methods that no Job Type
// declares have no row: RQ's state is all there is of them.
//
// # What happens when things stop
//
// An orderly stop claims nothing more, waits, cancels what still runs with ErrShutdown as the cause and gives it back
// without spending a retry. After a crash leases lapse within 15 s and any bridge of the bench gives the jobs back; one
// that takes its worker down three times is dead-lettered. Delivery is therefore at least once: a handler must bear
// being run again.
package bridge
