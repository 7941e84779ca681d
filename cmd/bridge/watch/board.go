package watch

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

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
	}
	b.tell(was, s)
	return readSoon
}

// tell shows a state that differs from what was shown before: an event comes once for each of its rooms that this
// client is in.
func (b *board) tell(was State, s *State) {
	was.Updated, was.modified = s.Updated, s.modified
	if !s.unread && was != *s && (b.What.Organization == "" || s.Organization == "" || s.Organization == b.What.Organization) {
		b.View.Show(*s)
	}
}

// row takes a row that was read.
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
