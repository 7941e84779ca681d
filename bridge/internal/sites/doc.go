// Package sites reaches the rows of a bench's sites: each site's database while it can be used, batches that join the
// writes of jobs that move at the same time, moves applied and told to observers, and the delivery of a row.
//
// Loops that serve all sites (pollers, maintenance) must not be kept by one database that is away, least of all by one
// that takes connections and answers nothing: they Look, which gives up soon and then leaves the site alone for a
// while. A job waits for its own site as long as it takes.
package sites
