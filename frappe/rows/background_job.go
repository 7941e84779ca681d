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

// BackgroundJob is one row of `tabBackground Job`. Times are instants in the site's zone; the zero time is NULL. Its JSON,
// for programs that look at jobs, leaves out what only Frappe and its desk need.
type BackgroundJob struct {
	Name            string          `db:"name,created" json:"name"`
	JobType         string          `db:"job_type,created" json:"job_type"`
	Organization    string          `db:"organization,created" json:"organization"`
	OwnerUser       string          `db:"owner_user,created" json:"owner_user"`
	Status          Status          `db:"status,created" json:"status"`
	Priority        string          `db:"priority,created" json:"priority"`
	DependsOn       string          `db:"depends_on,created" json:"depends_on,omitempty"`
	Batch           string          `db:"batch,created,optional" json:"batch,omitempty"`
	RunAfter        time.Time       `db:"run_after,created,optional" json:"run_after,omitzero"`      // it stays Pending until then; zero is at once
	WaitingFor      string          `db:"waiting_for,created,optional" json:"waiting_for,omitempty"` // why it doesn't run yet, in words
	Progress        float64         `db:"progress,created" json:"progress"`                          // percent, 0–100
	ProgressMessage string          `db:"progress_message" json:"progress_message,omitempty"`
	OutputReference string          `db:"output_reference" json:"output_reference,omitempty"`
	ErrorType       string          `db:"error_type" json:"error_type,omitempty"`
	ErrorMessage    string          `db:"error_message" json:"error_message,omitempty"`
	LogTail         string          `db:"log_tail,unread,optional" json:"-"` // last lines of the running or last attempt; only written here
	RetryCount      int             `db:"retry_count,created" json:"retry_count"`
	MaxRetries      int             `db:"max_retries,created" json:"max_retries"`
	NextRetryAt     time.Time       `db:"next_retry_at" json:"next_retry_at,omitzero"`
	TimeoutSeconds  int             `db:"timeout_seconds,created" json:"timeout_seconds"`
	CreatedAt       time.Time       `db:"created_at,created" json:"created_at,omitzero"`
	StartedAt       time.Time       `db:"started_at" json:"started_at,omitzero"`
	StartedRaw      string          `db:"started_at" json:"-"` // `started_at` as the row holds it: the fence of a running attempt, unique to the microsecond
	CompletedAt     time.Time       `db:"completed_at" json:"completed_at,omitzero"`
	CanceledAt      time.Time       `db:"canceled_at" json:"canceled_at,omitzero"`
	CanceledBy      string          `db:"canceled_by" json:"canceled_by,omitempty"`
	InputParameters json.RawMessage `db:"input_parameters,created" json:"input_parameters,omitempty"`
	JobHash         string          `db:"job_hash,created" json:"-"`
	Owner           string          `db:"owner,created" json:"-"` // the standard column that if_owner permissions look at
	Creation        time.Time       `db:"creation,created" json:"-"`
	Modified        time.Time       `db:"modified,created" json:"-"`
	ModifiedRaw     string          `db:"modified" json:"-"`            // `modified` as the string that the desk compares
	ModifiedBy      string          `db:"modified_by,created" json:"-"` // who saved it last, in the desk or by code of the site's
	ParametersSize  int             `db:"-" json:"-"`                   // bytes of input_parameters, which Brief leaves out where they are many
}
