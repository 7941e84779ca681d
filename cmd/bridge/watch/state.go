// Package watch follows jobs through a site's realtime server, beside a look at their rows now and then, and shows
// how they change: as bars, as lines or as JSON. It is shared by the program and its demo.
package watch

import "github.com/opensoft/dartwing-bridge/frappe/rows"

// State is what is known of a watched job. Its JSON is what `bridge watch --json` prints.
type State struct {
	ID           string  `json:"job_id"`
	Title        string  `json:"job_type,omitempty"`
	Organization string  `json:"organization,omitempty"`
	Status       string  `json:"status"`
	Progress     float64 `json:"progress"` // percent
	Message      string  `json:"message,omitempty"`
	Updated      string  `json:"updated_at,omitempty"`

	// modified is the row's, as it is known from itself or from a change of status.
	modified string
	// unread says that its row is still to be read, which tells its type.
	unread bool
}

// over reports whether the job has ended for good.
func (s State) over() bool { return rows.Status(s.Status).Terminal() }

// eventMessage is the payload of the events that are followed.
type eventMessage struct {
	JobID           string  `json:"job_id"`
	Status          string  `json:"status"`
	ToStatus        string  `json:"to_status"`
	Progress        float64 `json:"progress"`
	ProgressMessage string  `json:"progress_message"`
	UpdatedAt       string  `json:"updated_at"`
	OutputReference string  `json:"output_reference"`
	ErrorMessage    string  `json:"error_message"`
	// DocType and Name are those of list_update.
	DocType string `json:"doctype"`
	Name    string `json:"name"`
}

// progressed takes a progress report, unless it comes late: reports are written beside changes of status and may
// overtake them or fall behind.
func (s *State) progressed(m eventMessage) {
	running := string(rows.StatusRunning)
	if s.over() || m.UpdatedAt < s.Updated || m.Status == running && s.Status != "" && s.Status != running {
		return
	}
	s.Updated, s.Status, s.Progress, s.Message = m.UpdatedAt, m.Status, m.Progress, m.ProgressMessage
}

// changed takes a change of status, unless the row has said more already.
func (s *State) changed(m eventMessage) {
	if m.UpdatedAt < s.modified {
		return
	}
	s.modified, s.Updated = m.UpdatedAt, max(s.Updated, m.UpdatedAt)
	s.Status, s.Message = m.ToStatus, m.ErrorMessage
	switch rows.Status(m.ToStatus) {
	case rows.StatusRunning:
		s.Progress = 0
	case rows.StatusCompleted:
		s.Progress = 100
	}
	if m.OutputReference != "" {
		s.Message = m.OutputReference
	}
}

// read takes what the row says, which is the truth.
func (s *State) read(r *rows.BackgroundJob) {
	s.Title, s.Organization, s.Status, s.Progress = r.JobType, r.Organization, string(r.Status), r.Progress
	s.modified, s.Updated, s.unread = r.ModifiedRaw, max(s.Updated, r.ModifiedRaw), false
	switch {
	case r.OutputReference != "":
		s.Message = r.OutputReference
	case r.ErrorMessage != "" && r.Status != rows.StatusRunning:
		s.Message = r.ErrorMessage
	default:
		s.Message = r.ProgressMessage
	}
}
