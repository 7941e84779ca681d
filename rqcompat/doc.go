// Package rqcompat speaks RQ, the Python job queue, over Redis: as a producer, a worker, a maintainer and an
// inspector that RQ's own tools and processes, 1.15 to 2.10, can't tell from a Python one.
//
// PROTOCOL.md beside this file describes RQ's format: keys, fields, sequences, versions, traps.
//
// # Terms
//
// A job is a hash, rq:job:<id>, whose data field is a pickled call. Its id stands in exactly one place that says
// what happens with it: a queue (a list, head first), or a registry of that queue (a sorted set): wip while it
// runs, finished, failed, deferred (waits for other jobs), scheduled, canceled. A worker is a record that Python
// tools list. An execution is one run of one job by one worker, in RQ 2 with a record of its own. A lease is the
// time until which the wip entry counts as alive.
//
//	Enqueue ──► queued ──Claim──► started ──Settle──► finished
//	   │          ▲                  │  ▲                failed, stopped ──Requeue──► queued
//	   ├► deferred┤ (parents done)   │  └─ Renew         canceled        ──Requeue──► queued
//	   └► scheduled (due, Retry)     ├─ Settle ──► scheduled, until the caller's own retry
//	                                 └─ lease lapsed ──► Rescue, Maintain
//
// A claim may name limits (Limit): a job that would exceed one stays where it stands. What they count are executions, in
// keys of this package's own, which end with Settle or, of a process that died, by themselves.
//
// # Dialect
//
// What differs between RQ versions is one value, Dialect, found by Detect and fixed for the life of a Client. For
// a version that nobody checked there is no dialect, so nothing is written.
//
// # Promise
//
// What another process can see of an operation is what RQ's own transaction would have left; each operation is one
// script, so there is no moment at which a job is nowhere. Where a script deliberately does more than RQ (because
// RQ loses, doubles or forgets something there), its header says so. Unknown fields of a job survive.
//
// # Failure
//
// Nothing read from Redis makes this package panic. A field that can't be read is named by a *FieldError, a
// payload that asks for too much work or memory by a *pickle.LimitError. Pickles are described, never executed. Argument
// values appear in no error. No command is repeated here after a connection error: whether it took effect is
// unknown, and the caller knows which of its requests may be sent twice.
package rqcompat
