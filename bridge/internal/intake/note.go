package intake

import (
	"strings"
	"time"
	"unique"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// Note is what is kept of a job that waits: enough to deal it fairly and to claim it. What it asks for is read again when
// it is claimed, unless it was small enough to be kept. A hundred thousand jobs may wait, so what many of them have in
// common is held once, and nothing here may keep the block alive that a job was decoded from.
type Note struct {
	ID string
	// RowName is the Background Job that the call names, "" if it names none.
	RowName string
	// From and Before are those of job.Queued.
	From, Before string
	// Load is what the job weighs while it runs.
	Load *Load
	// Seen is when its id was first seen.
	Seen time.Time

	queue    unique.Handle[job.Queue]
	whose    unique.Handle[whose]
	method   unique.Handle[string]
	priority job.Priority
	kind     kind
	// kept is the whole job, nil if it has to be read again.
	kept    *job.Queued
	dropped bool
	in      *series // of the fair queue
	// number counts what was found, and since is since when it waits, in milliseconds: since it was enqueued.
	number uint64
	since  int64
	limits unique.Handle[job.Limits]
}

// kind is what a job may have to wait for beside a slot. One that has to keeps others of its kind waiting, and nobody else.
type kind int

const (
	ordinary kind = iota
	suspect       // its process died while it ran
	large         // see Room
	kinds
)

// nameLength is how much of a name counts: Frappe's names have 140 characters, a hostile one may have millions.
const nameLength = 4 * 140

func noteOf(q *job.Queued) *Note {
	name := func(s string) string { return s[:min(len(s), nameLength)] }
	w := whose{job.Tenant{Site: name(q.Site), Organization: name(q.Organization)}, name(q.User)}
	n := &Note{
		ID: q.ID, RowName: strings.Clone(name(q.RowName)), From: q.From, Before: brief(q.Before), Seen: q.Seen,
		Load:  &Load{Memory: q.Memory, Kills: q.Kills},
		queue: unique.Make(q.Queue), whose: unique.Make(w), method: unique.Make(name(q.Method)), priority: q.Priority,
		since: q.WaitsSince().UnixMilli(),
	}
	if q.Limits != nil {
		n.limits = unique.Make(*q.Limits)
	}
	return n
}

// holding is what a job has from when it is dealt until it is let go. It keeps nothing else of the job alive.
type holding struct {
	whose  unique.Handle[whose]
	limits unique.Handle[job.Limits]
	load   *Load
}

func (n *Note) holds() holding { return holding{n.whose, n.limits, n.Load} }

// brief cuts what the log says of a job's past, which may be the last line of an error of any length.
func brief(before string) string {
	if len(before) <= nameLength {
		return before
	}
	return strings.ToValidUTF8(before[:nameLength], "") + "…"
}

func (n *Note) seriesKey() seriesKey { return seriesKey{n.whose.Value(), n.priority, n.kind, n.limits} }

// Queue is where the job was found, as it was routed.
func (n *Note) Queue() job.Queue { return n.queue.Value() }

// Tenant is whose turn the job takes.
func (n *Note) Tenant() job.Tenant { return n.whose.Value().Tenant }

// Method is what its producer asked for, or its Job Type.
func (n *Note) Method() string { return n.method.Value() }

func (n *Note) key() job.Key { return job.Key{Queue: n.queue.Value().Name, ID: n.ID} }

// outline is as much of the job as is known before it is read again.
func (n *Note) outline() *job.Queued {
	t := n.Tenant()
	return &job.Queued{
		Queue: n.Queue(), ID: n.ID, Method: n.Method(), Site: t.Site, Organization: t.Organization, Priority: n.priority,
		RowName: n.RowName, From: n.From, Before: n.Before, Memory: n.Load.Memory,
	}
}
