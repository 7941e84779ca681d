package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/rs/zerolog"
)

const (
	// rereadEvery is how often a watched job's row is read beside the events:
	// realtime is a hint, the row is the truth.
	rereadEvery = 2 * time.Second
	// gather is how long names of changed rows are collected before one query.
	gather = 100 * time.Millisecond
	// openRows is how many jobs that have not ended are shown at first.
	openRows = 50

	firstPause = 250 * time.Millisecond
	longPause  = 15 * time.Second
)

// watcher follows jobs through a realtime server. It is used by one goroutine.
type watcher struct {
	socket frappe.SocketIOConfig
	what   subject
	rows   rowSource
	view   display
	log    zerolog.Logger
	// title names a job that has no row; may be nil.
	title func(id string) string
	// heard is told about every event that names a job; may be nil.
	heard func(id string)
	// connected is called for every connection that is made; may be nil.
	connected func()

	jobs    map[string]*jobState
	rooms   map[string]bool // organizations asked for on this connection
	changed map[string]bool // names of rows to read
	reread  time.Time
}

// run follows until the watched job has ended, ctx ends, or the server refuses.
func (w *watcher) run(ctx context.Context) (jobState, error) {
	w.jobs, w.changed = map[string]*jobState{}, map[string]bool{}
	if err := w.begin(ctx); err != nil {
		return jobState{}, err
	}
	pause := firstPause
	for !w.done() {
		connected, err := w.connection(ctx)
		var refused *frappe.ConnectError
		switch {
		case ctx.Err() != nil:
			return jobState{}, context.Canceled
		case errors.As(err, &refused):
			return jobState{}, err
		case w.done():
		default:
			if connected {
				pause = firstPause
			}
			w.log.Warn().Err(err).Dur("again_in", pause).Msg("realtime server lost; connecting again")
			w.idle(ctx, pause)
			pause = min(2*pause, longPause)
		}
	}
	return *w.jobs[w.what.job], nil
}

func (w *watcher) done() bool {
	s := w.jobs[w.what.job]
	return s != nil && s.over()
}

// begin shows what is there already. A job must exist to be watched.
func (w *watcher) begin(ctx context.Context) error {
	if w.what.job != "" {
		rows, err := w.rows.named(ctx, []string{w.what.job})
		if err != nil {
			return err
		}
		row := rows[w.what.job]
		if row == nil {
			return fmt.Errorf("%w: %s (a job without a row is followed with: bridge job ID)", frappe.ErrNoSuchJob, w.what.job)
		}
		w.sawRow(row)
		return nil
	}
	_, err := w.readOpen(ctx)
	return err
}

// connection follows one connection until it breaks or the job has ended.
func (w *watcher) connection(ctx context.Context) (connected bool, err error) {
	s, err := frappe.DialSocketIO(ctx, w.socket)
	if err != nil {
		return false, err
	}
	defer s.Close()
	w.rooms = map[string]bool{}
	if err := w.subscribe(ctx, s); err != nil {
		return true, err
	}
	if w.connected != nil {
		w.connected()
	}
	w.catchUp(ctx)
	for !w.done() {
		if err := w.next(ctx, s); err != nil {
			return true, err
		}
	}
	return true, nil
}

func (w *watcher) subscribe(ctx context.Context, s *frappe.SocketIO) error {
	switch {
	case w.what.job != "":
		return s.Emit(ctx, "doc_subscribe", "Background Job", w.what.job)
	case w.what.organization != "":
		return w.join(ctx, s, w.what.organization)
	}
	return s.Emit(ctx, "doctype_subscribe", "Background Job")
}

// join asks for an organization's room.
func (w *watcher) join(ctx context.Context, s *frappe.SocketIO, organization string) error {
	if organization == "" || w.rooms[organization] {
		return nil
	}
	w.rooms[organization] = true
	return s.Emit(ctx, "doc_subscribe", "Organization", organization)
}

// next takes one event, or reads rows when it is time.
func (w *watcher) next(ctx context.Context, s *frappe.SocketIO) error {
	if wait := time.Until(w.reread); wait > 0 {
		waiting, cancel := context.WithTimeout(ctx, wait)
		name, args, err := s.Next(waiting)
		cancel()
		switch {
		case err == nil:
			w.event(name, args)
			return nil
		case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return err
		}
	}
	w.catchUp(ctx)
	if !w.what.all {
		return nil
	}
	for _, job := range w.jobs {
		if err := w.join(ctx, s, job.Organization); err != nil {
			return err
		}
	}
	return nil
}

// readSoon has a row read after a moment, in which others may join it.
func (w *watcher) readSoon(name string) {
	w.changed[name] = true
	if soon := time.Now().Add(gather); soon.Before(w.reread) {
		w.reread = soon
	}
}

func (w *watcher) event(name string, args []json.RawMessage) {
	var m eventMessage
	if len(args) == 0 || json.Unmarshal(args[0], &m) != nil {
		return
	}
	if name == "list_update" && m.DocType == "Background Job" && w.what.all {
		w.readSoon(m.Name)
		return
	}
	if m.JobID == "" || name != bridge.EventProgress && name != bridge.EventStatusChanged || w.what.job != "" && w.what.job != m.JobID {
		return
	}
	if w.heard != nil {
		w.heard(m.JobID)
	}
	s := w.jobs[m.JobID]
	if s == nil {
		s = &jobState{ID: m.JobID, unread: true}
		w.jobs[m.JobID] = s
		w.readSoon(m.JobID)
		if w.title != nil {
			s.Title = w.title(m.JobID)
		}
	}
	was := *s
	if name == bridge.EventProgress {
		s.progressed(m)
	} else {
		s.changed(m)
	}
	w.tell(was, s)
}

// tell shows a state that differs from what was shown before: an event comes
// once for each of its rooms that this client is in.
func (w *watcher) tell(was jobState, s *jobState) {
	was.Updated, was.modified = s.Updated, s.modified
	if s.unread {
		return
	}
	if was != *s && (w.what.organization == "" || s.Organization == "" || s.Organization == w.what.organization) {
		w.view.show(*s)
	}
}

func (w *watcher) sawRow(r *frappe.BackgroundJob) {
	s := w.jobs[r.Name]
	if s == nil {
		s = &jobState{ID: r.Name}
		w.jobs[r.Name] = s
	}
	was := *s
	s.Title, s.Organization, s.Status, s.Progress = r.JobType, r.Organization, string(r.Status), r.Progress
	s.modified, s.Updated, s.unread = r.ModifiedRaw, max(s.Updated, r.ModifiedRaw), false
	switch {
	case r.OutputReference != "":
		s.Message = r.OutputReference
	case r.ErrorMessage != "" && r.Status != frappe.StatusRunning:
		s.Message = r.ErrorMessage
	default:
		s.Message = r.ProgressMessage
	}
	w.tell(was, s)
}

// catchUp reads the rows that changed and those that are open: an event may
// have come before its subscription was granted, or while the connection was
// lost.
func (w *watcher) catchUp(ctx context.Context) {
	w.reread = time.Now().Add(rereadEvery)
	seen, err := w.readOpen(ctx)
	if err == nil {
		err = w.readNamed(ctx, w.unread(seen))
	}
	if err != nil && ctx.Err() == nil {
		w.log.Warn().Err(err).Msg("rows can't be read now; events go on")
	}
}

// readOpen shows the open jobs of an organization, or of all, and says which
// those are.
func (w *watcher) readOpen(ctx context.Context) (seen map[string]bool, err error) {
	if w.what.job != "" {
		return nil, nil
	}
	rows, err := w.rows.open(ctx, w.what.organization, openRows)
	if err != nil {
		return nil, err
	}
	seen = map[string]bool{}
	for _, row := range rows {
		seen[row.Name] = true
		w.sawRow(row)
	}
	return seen, nil
}

// unread names the rows to be read beside those that were seen a moment ago.
func (w *watcher) unread(seen map[string]bool) (names []string) {
	if w.what.job != "" {
		names = append(names, w.what.job)
	}
	for id, s := range w.jobs {
		if !s.over() && !seen[id] && id != w.what.job {
			names = append(names, id)
		}
	}
	for name := range w.changed {
		if s := w.jobs[name]; (s == nil || s.over()) && !seen[name] { // the others are named already
			names = append(names, name)
		}
	}
	return names
}

func (w *watcher) readNamed(ctx context.Context, names []string) error {
	if len(names) == 0 {
		clear(w.changed)
		return nil
	}
	rows, err := w.rows.named(ctx, names)
	if err != nil {
		return err
	}
	clear(w.changed)
	for _, name := range names {
		if row := rows[name]; row != nil {
			w.sawRow(row)
		} else if s := w.jobs[name]; s != nil && s.unread {
			s.unread = false // a job without a row
			w.view.show(*s)
		}
	}
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
