// Package maintenance finds what a crash or somebody else left behind, and what is due: jobs whose worker died, rows
// without a delivery, Go jobs that a Python worker took and failed, retries whose time has come, jobs in RQ's scheduled
// registries, registries to be cleaned. Each is a service of its own that may run in several processes at once: a row is
// moved by a compare-and-swap, a job by a script that looks first.
package maintenance
