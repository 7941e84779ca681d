package job

import (
	"fmt"
	"time"
)

// Clock is how a moment is written for people: with its zone.
const Clock = "2006-01-02 15:04:05 MST"

// WaitsForRetry is why a job waits whose attempt failed; due tells the time in the site's zone.
func WaitsForRetry(retry, of int, due time.Time) string {
	return fmt.Sprintf("retry %d of %d is due at %s", retry, of, due.Format(Clock))
}
