// Package watch follows jobs through a site's realtime server, beside a look at their rows now and then, and shows
// how they change: as bars, as lines or as JSON. It is shared by the program and its demo.
package watch

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

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

func (s State) over() bool { return rows.Status(s.Status).Terminal() }

// eventMessage is the payload of the events that are followed.
type eventMessage struct {
	JobID           string  `json:"job_id"`
	Status          string  `json:"status"`
	ToStatus        string  `json:"to_status"`
	Progress        float64 `json:"progress"`
	ProgressMessage *string `json:"progress_message"` // only for who may read the document
	UpdatedAt       string  `json:"updated_at"`
	OutputReference string  `json:"output_reference"`
	ErrorMessage    string  `json:"error_message"`
	// DocType and Name are those of list_update.
	DocType string `json:"doctype"`
	Name    string `json:"name"`
}

// progressed takes a progress report, unless it comes late: reports may overtake changes of status or fall behind.
func (s *State) progressed(m eventMessage) {
	running := string(rows.StatusRunning)
	if s.over() || m.UpdatedAt < s.Updated || m.Status == running && s.Status != "" && s.Status != running {
		return
	}
	s.Updated, s.Status, s.Progress = m.UpdatedAt, m.Status, m.Progress
	if m.ProgressMessage != nil {
		s.Message = *m.ProgressMessage
	}
}

// changed takes a change of status, unless the row has said more already.
func (s *State) changed(m eventMessage) {
	if m.UpdatedAt < s.modified {
		return
	}
	s.modified, s.Updated = m.UpdatedAt, max(s.Updated, m.UpdatedAt)
	s.Status, s.Message = m.ToStatus, cmp.Or(m.OutputReference, m.ErrorMessage)
	switch rows.Status(m.ToStatus) {
	case rows.StatusRunning:
		s.Progress = 0
	case rows.StatusCompleted:
		s.Progress = 100
	}
}

// read takes what the row says, which is the truth.
func (s *State) read(r *rows.BackgroundJob) {
	s.Title, s.Organization, s.Status, s.Progress = r.JobType, r.Organization, string(r.Status), r.Progress
	s.modified, s.Updated, s.unread = r.ModifiedRaw, max(s.Updated, r.ModifiedRaw), false
	s.Message = cmp.Or(r.OutputReference, r.ErrorMessage, r.ProgressMessage)
	if r.Status == rows.StatusRunning { // its error is that of an earlier attempt
		s.Message = cmp.Or(r.OutputReference, r.ProgressMessage)
	}
}

// Subject is what is watched: one job, an organization, or everything.
type Subject struct {
	Job, Organization string
	All               bool
}

// board has what is known of each job and shows what changes.
type board struct {
	Follower
	jobs    map[string]*State
	changed map[string]bool // names of rows to read
}

// done reports whether the one job that is watched has ended.
func (b *board) done() bool {
	s := b.jobs[b.What.Job]
	return s != nil && s.over()
}

// event takes an event. It says whether a row is to be read soon.
func (b *board) event(name string, args []json.RawMessage) (readSoon bool) {
	var m eventMessage
	if len(args) == 0 || json.Unmarshal(args[0], &m) != nil {
		return false
	}
	if name == "list_update" && m.DocType == "Background Job" && b.What.All {
		b.changed[m.Name] = true
		return true
	}
	if m.JobID == "" || name != bridge.EventProgress && name != bridge.EventStatusChanged || b.What.Job != "" && b.What.Job != m.JobID {
		return false
	}
	if b.Heard != nil {
		b.Heard(m.JobID)
	}
	s := b.jobs[m.JobID]
	if s == nil {
		s = &State{ID: m.JobID, unread: true}
		b.jobs[m.JobID], b.changed[m.JobID], readSoon = s, true, true
		if b.Title != nil {
			s.Title = b.Title(m.JobID)
		}
	}
	was := *s
	if name == bridge.EventProgress {
		s.progressed(m)
	} else {
		s.changed(m)
		b.changed[m.JobID], readSoon = true, true // the event has no texts for who may not read the document
	}
	b.tell(was, s)
	return readSoon
}

// tell shows a state if it has changed: an event comes twice, without and with texts, to who is in rooms of both kinds.
func (b *board) tell(was State, s *State) {
	was.Updated, was.modified = s.Updated, s.modified
	if !s.unread && was != *s && (b.What.Organization == "" || s.Organization == "" || s.Organization == b.What.Organization) {
		b.View.Show(*s)
	}
}

func (b *board) row(r *rows.BackgroundJob) {
	s := b.jobs[r.Name]
	if s == nil {
		s = &State{ID: r.Name}
		b.jobs[r.Name] = s
	}
	was := *s
	s.read(r)
	b.tell(was, s)
}

// rows takes what was found of the rows with these names; a job that has none is shown without.
func (b *board) rows(names []string, found map[string]*rows.BackgroundJob) {
	clear(b.changed)
	for _, name := range names {
		if row := found[name]; row != nil {
			b.row(row)
		} else if s := b.jobs[name]; s != nil && s.unread {
			s.unread = false
			b.View.Show(*s)
		}
	}
}

// toRead names the rows to be read beside those that were seen a moment ago.
func (b *board) toRead(seen map[string]bool) []string {
	names := maps.Clone(b.changed)
	if b.What.Job != "" {
		names[b.What.Job] = true
	}
	for id, s := range b.jobs {
		if !s.over() {
			names[id] = true
		}
	}
	maps.DeleteFunc(names, func(name string, _ bool) bool { return seen[name] })
	return slices.Collect(maps.Keys(names))
}
