// Package frappe knows a Frappe bench from outside: its directory, its sites' databases, and the ways into its desk. It
// makes sense without any job engine.
//
// # What is here
//
//	bench.go site.go config.go environment.go   directories and configuration, in Frappe's merge order
//	queues.go redis.go dbconfig.go              what follows from it: queues, job ids, connections
//	db.go dberror.go tables.go sitetime.go      a site's pool, its errors, its tables as they are, its time zone
//	schema.go install.go doctype/               the tables the bridge keeps its rows in
//	background_job.go create_job.go naming.go   rows of Background Job, and their names
//	transition.go move.go progress.go           the hot path: guarded moves in batches, progress
//	query.go list.go execution_log.go           reading
//	job_type.go organization.go                 who may run what
//	call.go enqueue_defaults.go asjson.go       the envelope of frappe.enqueue
//	realtime.go coalesce.go socketio.go         events to the desk, and a client that sees them arrive
//	cache.go                                    what must be forgotten after a direct write
//
// # Promises
//
// A status of a Background Job changes only by Transition, which compares the row with what the caller believes and
// writes row and log together, or not at all. Whoever loses a race is told what the row has instead. An attempt that was
// replaced can't write: it is known by its started_at, unique to the microsecond.
//
// Everything in a site's tables is in the site's time zone, naive, with microseconds that are never zero; see sitetime.go
// for the reasons. The tables belong to the site: columns that an app's own DocType lacks are done without, columns that
// are narrower than ours get shorter text, and Install never changes a table that exists beyond adding an index.
//
// # Failure
//
// Each error says which site it is about, what was being done and, where there is something to do, what. Those that may
// go away by themselves are recognised by IsTransient: a server that is away (ErrUnavailable), a lock. Deadlocks,
// sacrificed transactions and broken connections are tried again here, within seconds; a COMMIT that got no answer is
// answered by looking. A site whose database is away doesn't hold up other sites.
//
// The package imports neither the engine nor what knows RQ; the engine imports both.
package frappe
