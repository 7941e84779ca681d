// Package frappe knows a Frappe bench (versions 15 to 17) from outside: its directory, its configuration, and the calls
// that frappe.enqueue puts on its queues. It makes sense without any job engine. CONTRACT.md says what it relies on.
//
//	bench.go site.go config.go             directories and configuration, in Frappe's merge order
//	queues.go redis.go                     what follows from it: queues, job ids, connections, reserved events
//	call.go asjson.go                      the envelope of frappe.enqueue
//
// Its packages, each of use alone:
//
//	rows       a site's database: the rows of Background Job, their log, and what they refer to
//	access     who belongs to an organization
//	realtime   events for the browsers of a desk
//	socketio   a client of the realtime server
package frappe
