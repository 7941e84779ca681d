package job

import (
	"cmp"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Retention is how long jobs are kept after they ended. Package bridge publishes it.
type Retention struct {
	// Days is for how many days a job is kept that is Completed, Canceled, or Failed or Timed Out without anybody who retries
	// it; a negative number keeps it for ever. Default: 30.
	Days int
	// DeadLetterDays is the same for dead letters. Default: Days.
	DeadLetterDays int
}

// For is how long jobs of a status are kept after they were last modified; 0 is for ever.
func (r Retention) For(s rows.Status) time.Duration {
	days := cmp.Or(r.Days, 30)
	if s == rows.StatusDeadLetter {
		days = cmp.Or(r.DeadLetterDays, days)
	}
	return time.Duration(max(days, 0)) * 24 * time.Hour
}
