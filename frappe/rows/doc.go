// Package rows reads and writes the rows of Background Jobs in the database of a Frappe site, from outside Frappe.
//
//	db.go tables.go sitetime.go                 the databases of sites, their tables as they are, their time zones
//	conn.go dbconfig.go dberror.go              connections, their configuration and errors
//	schema.go install.go doctype/               the tables
//	columns.go background_job.go                what a row of Background Job is made of, and reading rows
//	create_job.go naming.go                     new rows, and their names
//	dependencies.go create_dependencies.go      what jobs depend on
//	batch.go                                    batches of jobs
//	transition.go move.go progress.go           the hot path: guarded moves in batches, progress
//	query.go execution_log.go                   reading
//	by_hand.go                                  what somebody else wrote into rows, and how it is told
//	job_type.go organization.go                 who may run what
//	waiting_for.go notification.go error_log.go what people are told in the desk
//	cache.go                                    what Frappe must forget after a write past it
//
// # Promises
//
// A status of a Background Job changes only by Transition, which compares the row with what the caller believes and
// writes row and log together, or not at all. Whoever loses a race is told what the row has instead. An attempt that
// was replaced can't write: it is known by its started_at, unique to the microsecond, as the text that the row got.
//
// Everything in a site's tables is in the site's time zone, naive, with microseconds that are never zero; see
// sitetime.go for the reasons. The tables belong to the site: columns that an app's own DocType lacks are done without,
// columns that are narrower than ours get shorter text, and Install adds no more than indexes to tables that exist.
//
// # Failure
//
// Each error says which site it is about, what was being done and, where Frappe or MariaDB has a cure, which. Only
// ErrValue is about what was to be written; with all others the same may work later.
// Deadlocks, sacrificed transactions and broken connections are tried again here, within seconds; a COMMIT that got no
// answer is answered by looking. A site whose database is away doesn't hold up other sites.
package rows
