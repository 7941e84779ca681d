package rows

import (
	"encoding/json"
	"errors"
	"time"
)

// Status is the state of a Background Job row, spelled as the DocType's Select field spells it.
type Status string

// The states of a Background Job. The caller knows which moves are legal; this package only compares and swaps.
const (
	StatusPending    Status = "Pending"
	StatusQueued     Status = "Queued"
	StatusRunning    Status = "Running"
	StatusCompleted  Status = "Completed"
	StatusFailed     Status = "Failed"
	StatusDeadLetter Status = "Dead Letter"
	StatusCanceled   Status = "Canceled"
	StatusTimedOut   Status = "Timed Out"
)

// Terminal reports whether a job in this state has ended for good, unless an administrator retries it.
func (s Status) Terminal() bool {
	return s == StatusCompleted || s == StatusDeadLetter || s == StatusCanceled
}

// The values of Background Job.priority and Job Type.default_priority.
const (
	PriorityLow      = "Low"
	PriorityNormal   = "Normal"
	PriorityHigh     = "High"
	PriorityCritical = "Critical"
)

// The values of Background Job.error_type; empty while there was no error.
const (
	ErrorTransient = "Transient"
	ErrorPermanent = "Permanent"
)

// ErrNoSuchJob says that the site has no Background Job row of that name (or hash).
var ErrNoSuchJob = errors.New("no such background job")

// BackgroundJob is one row of `tabBackground Job`. Times are instants in the site's zone; the zero time is NULL.
type BackgroundJob struct {
	Name            string
	JobType         string
	Organization    string
	OwnerUser       string
	Status          Status
	Priority        string
	DependsOn       string
	Progress        float64 // percent, 0–100
	ProgressMessage string
	OutputReference string
	ErrorMessage    string
	ErrorType       string
	RetryCount      int
	MaxRetries      int
	NextRetryAt     time.Time
	InputParameters json.RawMessage
	JobHash         string
	TimeoutSeconds  int
	CreatedAt       time.Time
	StartedAt       time.Time // the fence of a running attempt, unique to the microsecond
	CompletedAt     time.Time
	CanceledAt      time.Time
	CanceledBy      string
	Owner           string // the standard column that if_owner permissions look at
	Creation        time.Time
	Modified        time.Time
	ModifiedRaw     string // `modified` as the string that the desk compares
}
