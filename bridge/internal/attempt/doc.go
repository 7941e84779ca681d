// Package attempt has steps 4 to 6 of a job's life: admit a claimed job, run its handler under its clock, settle what
// came of it. While handlers run it keeps what they hold: leases are renewed, commands and cancels reach them.
//
// Settling goes row and log first, then RQ's outcome, then the observers. A crash in between is mended by whoever gets
// the delivery next: it finds a final row and only tidies up. What can't be written is tried again until it can.
package attempt
