package frappe

import (
	"context"
	"time"
)

// LogEntry is one row of `tabJob Execution Log`.
type LogEntry struct {
	FromStatus   Status // "" at creation
	ToStatus     Status
	Timestamp    time.Time
	Actor        string // "" is the system
	Message      string
	RetryAttempt int
}

// History reads a job's log, oldest first.
func (d *DB) History(ctx context.Context, name string) ([]LogEntry, error) {
	return nil, errNotBuilt
}
