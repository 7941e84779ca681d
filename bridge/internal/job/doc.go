// Package job has the plain values of a job: what a queued one asks for, what an attempt at it is, why its context
// ended, what its error means. It knows no server and does nothing.
package job
