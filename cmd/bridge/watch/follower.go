package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/frappe/socketio"
)

const (
	// rereadEvery is how often a watched job's row is read beside the events: realtime is a hint, the row is the truth.
	rereadEvery = 2 * time.Second
	// gather is how long names of changed rows are collected before one query.
	gather = 100 * time.Millisecond
	// openRows is how many jobs that have not ended are shown at first.
	openRows = 50

	firstPause = 250 * time.Millisecond
	longPause  = 15 * time.Second
)

// Follower says what to follow, where, and who is told.
type Follower struct {
	Socket socketio.Config
	What   Subject
	// Rows opens the rows of the watched site, each time that they are read: its configuration may change.
	Rows func(ctx context.Context) (Rows, error)
	View Display
	Log  *slog.Logger
	// Title names a job that has no row, Heard is told about every event that names a job, and Connected about every
	// connection that is made. Each may be nil.
	Title     func(id string) string
	Heard     func(id string)
	Connected func()
}

// Rows reads Background Jobs, as [rows.DB] does.
type Rows interface {
	BackgroundJobs(ctx context.Context, names []string) (map[string]*rows.BackgroundJob, error)
	ListJobs(ctx context.Context, f rows.ListFilter) (jobs []*rows.BackgroundJob, total int, err error)
	Tenant(ctx context.Context) (string, error)
}

// Run follows until the watched job has ended, and returns its last state; or until ctx ends ([context.Canceled]) or the
// server refuses ([socketio.ConnectError]). A server that is away is tried again for ever.
func (f Follower) Run(ctx context.Context) (State, error) {
	w := &watcher{board: board{Follower: f, jobs: map[string]*State{}, changed: map[string]bool{}}}
	if err := w.read(ctx); err != nil {
		return State{}, err
	}
	if name := f.What.Job; name != "" && w.jobs[name] == nil {
		return State{}, fmt.Errorf("%w: %s (a job without a row is followed with: bridge job ID)", rows.ErrNoSuchJob, name)
	}
	w.pause = firstPause
	for !w.done() {
		err := w.connection(ctx)
		_, refused := errors.AsType[*socketio.ConnectError](err)
		switch {
		case ctx.Err() != nil:
			return State{}, context.Canceled
		case refused:
			return State{}, err
		case !w.done():
			w.Log.Warn("realtime server lost; connecting again", "error", err, "again_in", w.pause)
			w.idle(ctx, w.pause)
			w.pause = min(2*w.pause, longPause)
		}
	}
	return *w.jobs[w.What.Job], nil
}

// watcher is one run. It is used by one goroutine.
type watcher struct {
	board
	rooms  map[string]bool // organizations asked for on this connection
	tenant string          // DocType of the organizations
	reread time.Time
	pause  time.Duration // before the next try to connect
}

// connection follows one connection until it breaks or the job has ended.
func (w *watcher) connection(ctx context.Context) error {
	s, err := socketio.Dial(ctx, w.Socket)
	if err != nil {
		return err
	}
	defer s.Close()
	w.pause = firstPause
	w.rooms = map[string]bool{}
	if err := w.subscribe(ctx, s); err != nil {
		return err
	}
	if w.Connected != nil {
		w.Connected()
	}
	w.catchUp(ctx)
	for !w.done() {
		if err := w.next(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) subscribe(ctx context.Context, s socket) error {
	switch {
	case w.What.Job != "":
		return s.Emit(ctx, "doc_subscribe", "Background Job", w.What.Job)
	case w.What.Organization != "":
		return w.join(ctx, s, w.What.Organization)
	}
	return s.Emit(ctx, "doctype_subscribe", "Background Job")
}

func (w *watcher) join(ctx context.Context, s socket, organization string) error {
	if organization == "" || w.rooms[organization] {
		return nil
	}
	w.rooms[organization] = true
	return s.Emit(ctx, "doc_subscribe", w.tenant, organization)
}

// socket is a connection to the realtime server, as [socketio.Conn] is one.
type socket interface {
	Emit(ctx context.Context, name string, args ...any) error
	Next(ctx context.Context) (name string, args []json.RawMessage, err error)
}

// next takes one event, or reads rows when it is time.
func (w *watcher) next(ctx context.Context, s socket) error {
	if wait := time.Until(w.reread); wait > 0 {
		waiting, cancel := context.WithTimeout(ctx, wait)
		name, args, err := s.Next(waiting)
		cancel()
		switch {
		case err == nil:
			// Other events may add to the same query.
			if soon := time.Now().Add(gather); w.event(name, args) && soon.Before(w.reread) {
				w.reread = soon
			}
			return nil
		case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return err
		}
	}
	w.catchUp(ctx)
	if !w.What.All {
		return nil
	}
	for _, job := range w.jobs {
		if err := w.join(ctx, s, job.Organization); err != nil {
			return err
		}
	}
	return nil
}

// catchUp reads rows again: an event may have come before its subscription was granted, or between connections.
func (w *watcher) catchUp(ctx context.Context) {
	w.reread = time.Now().Add(rereadEvery)
	if err := w.read(ctx); err != nil && ctx.Err() == nil {
		w.Log.Warn("rows can't be read now; events go on", "error", err)
	}
}

// read reads the newest jobs that have not ended, unless one is watched, and the rows known to be open or changed.
func (w *watcher) read(ctx context.Context) error {
	db, err := w.Rows(ctx)
	if err != nil {
		return err
	}
	if w.tenant, err = db.Tenant(ctx); err != nil {
		return err
	}
	seen := map[string]bool{}
	if w.What.Job == "" {
		open, _, err := db.ListJobs(ctx, rows.ListFilter{Organization: w.What.Organization, Limit: openRows, Statuses: []rows.Status{
			rows.StatusPending, rows.StatusQueued, rows.StatusRunning, rows.StatusFailed, rows.StatusTimedOut,
		}})
		if err != nil {
			return err
		}
		for _, row := range open {
			seen[row.Name] = true
			w.row(row)
		}
	}
	names := w.toRead(seen)
	found, err := db.BackgroundJobs(ctx, names)
	if err == nil {
		w.rows(names, found)
	}
	return err
}

// idle waits for the next try to connect and reads rows meanwhile.
func (w *watcher) idle(ctx context.Context, pause time.Duration) {
	until := time.Now().Add(pause)
	for ctx.Err() == nil && !w.done() && time.Now().Before(until) {
		if !time.Now().Before(w.reread) {
			w.catchUp(ctx)
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(time.Until(until), rereadEvery)):
		}
	}
}
