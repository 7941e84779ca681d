package job

import (
	"fmt"
	"time"
)

// Clock is how a moment is written for people: with its zone.
const Clock = "2006-01-02 15:04:05 MST"

// WaitsForRetry is why a job waits whose attempt failed; when tells the moment.
func WaitsForRetry(retry, of int, when string) string {
	return fmt.Sprintf("retry %d of %d is due %s", retry, of, when)
}

// At is a moment as part of a text.
func At(t time.Time) string { return "at " + t.Format(Clock) }
