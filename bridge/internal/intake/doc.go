// Package intake has steps 1 and 3 of a job's life: see and claim. A poller per queue keeps a copy of its list and has
// each new job routed once (step 2, package route); the fair queue deals out what could start; the claimer claims it by
// id. Nothing is popped blindly: there is no moment at which a job is nowhere, and what isn't ours stays in its place.
package intake
