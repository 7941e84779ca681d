package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/frappe/socketio"
)

// watchCases are about who sees what live.
func watchCases() []Case {
	const socketFix = "look at the realtime server's log; `bridge doctor` says where it should be"
	cases := []Case{
		{Name: "the owner sees each change once", Means: "no change of a job is missed or shown twice", Fix: socketFix, Run: seesChanges},
		{Name: "the owner sees progress", Means: "bars move while a job runs", Fix: socketFix, Run: seesProgress},
		{Name: "who may not read sees no text", Means: "another's error, output and messages stay private",
			Fix: "upgrade the bridge; until then keep errors free of secrets", Run: keepsSecrets},
		{Name: "lists refresh", Means: "an open list of Background Jobs hears of changes", Fix: socketFix, Run: refreshesLists},
		{Name: "bridge watch", Means: "bridge watch NAME follows a job to its end, without further flags",
			Fix: "name the site's URL: bridge watch --origin URL; or set host_name in site_config.json", Run: bridgeWatch},
	}
	for i := range cases {
		cases[i].Name = "realtime: " + cases[i].Name
		cases[i].Needs = []need{ownWorker, tables, users, web, socket}
	}
	return cases
}

// heard is one event.
type heard struct{ event, args string }

// watched is what two users heard of two jobs: one that completes and one that fails.
type watched struct {
	good, bad    string // the rows' names
	owner, other []heard
	mayRead      bool // whether the other user may read the owner's jobs
}

// watch runs the two jobs while two users listen, once for all cases.
func (b *bed) watch(ctx context.Context) (w watched, err error) {
	ctx, cancel := context.WithTimeout(ctx, caseTimeout)
	defer cancel()
	owner, err := b.listen(ctx, b.owner)
	if err != nil {
		return w, fmt.Errorf("connect as %s: %w", b.owner.name, err)
	}
	defer owner.stop()
	other, err := b.listen(ctx, b.other)
	if err != nil {
		return w, fmt.Errorf("connect as %s: %w", b.other.name, err)
	}
	defer other.stop()
	show := func(t task, end rows.Status) (string, error) {
		row, err := b.submit(ctx, taskType, t)
		if err != nil {
			return row, err
		}
		for _, l := range []*listener{owner, other} {
			if err := l.conn.Emit(ctx, "doc_subscribe", documentType, row); err != nil {
				return row, err
			}
		}
		_, err = b.awaitRow(ctx, row, 20*time.Second, end)
		return row, err
	}
	if w.good, err = show(task{Seconds: 3}, rows.StatusCompleted); err != nil {
		return w, err
	}
	if w.bad, err = show(task{Seconds: 1, Permanent: true}, rows.StatusDeadLetter); err != nil {
		return w, err
	}
	w.mayRead = b.mayRead(ctx, b.other, w.good)
	// The last event is about the end of the second job; list_update may follow it by a few seconds.
	_ = b.until(ctx, 6*time.Second, "the list's room heard of the last change", func() (bool, error) {
		return len(owner.about(bridge.EventStatusChanged, w.bad, string(rows.StatusDeadLetter))) > 0 && len(owner.about("list_update", w.bad)) > 0, nil
	})
	w.owner, w.other = owner.all(), other.all()
	return w, nil
}

// documentType is the DocType of the rows.
const documentType = "Background Job"

// mayRead asks the site, as its realtime server does.
func (b *bed) mayRead(ctx context.Context, u user, row string) bool {
	if b.frappe.Major >= 16 {
		_, err := b.get(ctx, u, "/api/method/frappe.realtime.has_permission", values{"doctype": documentType, "name": row})
		return err == nil
	}
	_, err := b.get(ctx, u, "/api/method/frappe.realtime.can_subscribe_doc", values{"doctype": documentType, "docname": row})
	return err == nil
}

// listener keeps what one user hears.
type listener struct {
	conn *socketio.Conn
	done chan struct{}

	mu   sync.Mutex
	list []heard
}

// listen connects a user, who opens the list of Background Jobs.
func (b *bed) listen(ctx context.Context, u user) (*listener, error) {
	conn, err := b.connect(ctx, u)
	if err != nil {
		return nil, err
	}
	l := &listener{conn: conn, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for {
			event, args, err := conn.Next(context.WithoutCancel(ctx))
			if err != nil {
				return
			}
			text, _ := json.Marshal(args) // what was decoded encodes
			l.mu.Lock()
			l.list = append(l.list, heard{event, string(text)})
			l.mu.Unlock()
		}
	}()
	return l, conn.Emit(ctx, "doctype_subscribe", documentType)
}

func (l *listener) stop() {
	_ = l.conn.Close()
	<-l.done
}

func (l *listener) all() []heard {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list
}

func (l *listener) about(event string, texts ...string) []heard {
	return about(l.all(), event, texts...)
}

// about picks the events of a name whose arguments contain all texts.
func about(list []heard, event string, texts ...string) (found []heard) {
next:
	for _, h := range list {
		for _, text := range texts {
			if !strings.Contains(h.args, `"`+text+`"`) {
				continue next
			}
		}
		if h.event == event {
			found = append(found, h)
		}
	}
	return found
}

func seesChanges(_ context.Context, b *bed) error {
	w, err := b.watched()
	if err != nil {
		return err
	}
	var wrong []error
	for row, states := range map[string][]rows.Status{w.good: {rows.StatusRunning, rows.StatusCompleted}, w.bad: {rows.StatusRunning, rows.StatusDeadLetter}} {
		changes := about(w.owner, bridge.EventStatusChanged, row)
		for _, state := range states {
			n := 0
			for _, h := range changes {
				if strings.Contains(h.args, `"to_status":"`+string(state)+`"`) {
					n++
				}
			}
			wrong = append(wrong, want("how often the owner heard that "+row+" is "+string(state), n, 1))
		}
	}
	return errors.Join(wrong...)
}

func seesProgress(_ context.Context, b *bed) error {
	w, err := b.watched()
	if err != nil {
		return err
	}
	seen := map[string]int{}
	for _, h := range about(w.owner, bridge.EventProgress, w.good) {
		seen[h.args]++
	}
	if len(seen) < 3 {
		return fmt.Errorf("the owner heard of %d different steps of a job of 3 seconds, want 3 and the end", len(seen))
	}
	for args, n := range seen {
		if n > 1 {
			return fmt.Errorf("the owner heard the same step %d times: %s", n, args)
		}
	}
	return nil
}

func keepsSecrets(_ context.Context, b *bed) error {
	w, err := b.watched()
	if err != nil {
		return err
	}
	if w.mayRead {
		return missing("%s may read the owner's jobs on this site", b.other.name)
	}
	var told []error
	for _, event := range []string{bridge.EventStatusChanged, bridge.EventProgress} {
		for _, row := range []string{w.good, w.bad} {
			for _, h := range about(w.other, event, row) {
				if hasText(h.args) {
					told = append(told, fmt.Errorf("%s heard %s %s", b.other.name, h.event, h.args))
				}
			}
		}
	}
	return errors.Join(told...)
}

// hasText reports whether an event says more than which job moved, when, and how far.
func hasText(args string) bool {
	return slices.ContainsFunc([]string{"error_message", "output_reference", "progress_message"}, func(field string) bool {
		return strings.Contains(args, `"`+field+`"`)
	})
}

func refreshesLists(_ context.Context, b *bed) error {
	w, err := b.watched()
	if err != nil {
		return err
	}
	for _, row := range []string{w.good, w.bad} {
		if len(about(w.owner, "list_update", row)) == 0 {
			return fmt.Errorf("the room of the list heard nothing of %s", row)
		}
	}
	return nil
}

func bridgeWatch(ctx context.Context, b *bed) error {
	row, err := b.submit(ctx, taskType, task{Seconds: 2})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := b.bridge(ctx, []string{"BRIDGE_API_KEY=" + b.owner.key, "BRIDGE_API_SECRET=" + b.owner.secret}, "watch", row, "--json")
	if err != nil {
		return err
	}
	if !strings.Contains(out, string(rows.StatusCompleted)) {
		return fmt.Errorf("it printed %q, want it to end with %s", out, rows.StatusCompleted)
	}
	return nil
}
