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
	Rows   Rows
	View   Display
	Log    *slog.Logger
	// Title names a job that has no row; may be nil.
	Title func(id string) string
	// Heard is told about every event that names a job; may be nil.
	Heard func(id string)
	// Connected is called for every connection that is made; may be nil.
	Connected func()
}

// Run follows until the watched job has ended, and returns its last state; or until ctx ends, with
// [context.Canceled]; or until the server refuses, with a [socketio.ConnectError]. A server that is away is tried again
// for ever.
func (f Follower) Run(ctx context.Context) (State, error) {
	w := &watcher{Follower: f, board: board{
		what: f.What, view: f.View, title: f.Title, heard: f.Heard, jobs: map[string]*State{}, changed: map[string]bool{},
	}}
	if err := w.begin(ctx); err != nil {
		return State{}, err
	}
	pause := firstPause
	for !w.done() {
		connected, err := w.connection(ctx)
		var refused *socketio.ConnectError
		switch {
		case ctx.Err() != nil:
			return State{}, context.Canceled
		case errors.As(err, &refused):
			return State{}, err
		case w.done():
		default:
			if connected {
				pause = firstPause
			}
			w.Log.Warn("realtime server lost; connecting again", "error", err, "again_in", pause)
			w.idle(ctx, pause)
			pause = min(2*pause, longPause)
		}
	}
	return *w.jobs[w.What.Job], nil
}

// watcher is one run. It is used by one goroutine.
type watcher struct {
	Follower
	board
	rooms  map[string]bool // organizations asked for on this connection
	reread time.Time
}

// begin shows what is there already. A job must exist to be watched.
func (w *watcher) begin(ctx context.Context) error {
	name := w.What.Job
	if name == "" {
		_, err := w.readOpen(ctx)
		return err
	}
	found, err := w.Rows.Named(ctx, []string{name})
	if err != nil {
		return err
	}
	if found[name] == nil {
		return fmt.Errorf("%w: %s (a job without a row is followed with: bridge job ID)", rows.ErrNoSuchJob, name)
	}
	w.row(found[name])
	return nil
}

// connection follows one connection until it breaks or the job has ended.
func (w *watcher) connection(ctx context.Context) (connected bool, err error) {
	s, err := socketio.Dial(ctx, w.Socket)
	if err != nil {
		return false, err
	}
	defer s.Close()
	w.rooms = map[string]bool{}
	if err := w.subscribe(ctx, s); err != nil {
		return true, err
	}
	if w.Connected != nil {
		w.Connected()
	}
	w.catchUp(ctx)
	for !w.done() {
		if err := w.next(ctx, s); err != nil {
			return true, err
		}
	}
	return true, nil
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

// join asks for an organization's room.
func (w *watcher) join(ctx context.Context, s socket, organization string) error {
	if organization == "" || w.rooms[organization] {
		return nil
	}
	w.rooms[organization] = true
	return s.Emit(ctx, "doc_subscribe", "Organization", organization)
}

// socket is a connection to the realtime server, as [frappe.SocketIO] is one.
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

// catchUp reads the rows that changed and those that are open: an event may have come before its subscription was
// granted, or while the connection was lost.
func (w *watcher) catchUp(ctx context.Context) {
	w.reread = time.Now().Add(rereadEvery)
	seen, err := w.readOpen(ctx)
	if err == nil {
		err = w.readNamed(ctx, w.toRead(seen))
	}
	if err != nil && ctx.Err() == nil {
		w.Log.Warn("rows can't be read now; events go on", "error", err)
	}
}

// readOpen shows the open jobs of an organization, or of all, and says which those are.
func (w *watcher) readOpen(ctx context.Context) (seen map[string]bool, err error) {
	if w.What.Job != "" {
		return nil, nil
	}
	rows, err := w.Rows.Open(ctx, w.What.Organization, openRows)
	if err != nil {
		return nil, err
	}
	seen = map[string]bool{}
	for _, row := range rows {
		seen[row.Name] = true
		w.row(row)
	}
	return seen, nil
}

func (w *watcher) readNamed(ctx context.Context, names []string) error {
	var found map[string]*rows.BackgroundJob
	if len(names) > 0 {
		var err error
		if found, err = w.Rows.Named(ctx, names); err != nil {
			return err
		}
	}
	w.rows(names, found)
	return nil
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
