// Package moves is the catalogue of the moves of a Background Job: for each, what it may start from, the columns it
// writes, the message of its log row and its fence. Nothing else in the engine changes a row's status, and nothing here
// touches a server: package sites applies a Move.
//
//	          ┌────────────────────── Cancel ─────────────────────┐
//	Pending ──► Queued ──► Running ──► Completed                  ▼
//	    │         │ ▲         ├──► Canceled ◄──── (Pending, Queued, Running)
//	    └─Cancel  │ │         ├──► Failed ────┐
//	              │ │         ├──► Timed Out ─┤ RetryDue, Requeue
//	              │ └─────────┼───────────────┘
//	              ▼           ▼
//	           Dead Letter ◄──┴── DeadLetter, Exhausted, Poison
//	              └──► Queued  (Requeue)
package moves
