package bridge

import (
	"github.com/opensoft/dartwing-bridge/bridge/internal/desk"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
)

// Names of the realtime events that tell about a Background Job.
const (
	// EventProgress carries job_id, status, progress, progress_message and updated_at; at most one per job and second.
	EventProgress = desk.EventProgress
	// EventStatusChanged carries job_id, from_status, to_status, updated_at and, where there is one, output_reference or
	// error_message.
	EventStatusChanged = desk.EventStatusChanged
)

// WorkerPrefix starts the name of every RQ worker record of a bridge; Python's workers are named by UUIDs.
const WorkerPrefix = workers.Prefix
