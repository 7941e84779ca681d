package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// publisher notes what is published.
type publisher struct {
	mu     sync.Mutex
	events []realtime.Event
	hints  []string // doc and list updates
	calls  int
	err    error
	slow   map[string]time.Duration // by site
	closed bool
}

func (p *publisher) Publish(_ context.Context, events ...realtime.Event) error {
	if len(events) > 0 {
		time.Sleep(p.slow[events[0].Site])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	if p.err != nil {
		return p.err
	}
	p.events = append(p.events, events...)
	return nil
}

func (p *publisher) DocUpdate(site, doctype, name, modified string) {
	p.mu.Lock()
	p.hints = append(p.hints, strings.Join([]string{"doc", site, doctype, name, modified}, " "))
	p.mu.Unlock()
}

func (p *publisher) ListUpdate(site, doctype string, names ...string) {
	p.mu.Lock()
	p.hints = append(p.hints, strings.Join(append([]string{"list", site, doctype}, names...), " "))
	p.mu.Unlock()
}

func (p *publisher) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (p *publisher) Close() error {
	p.closed = true
	return p.err
}

// sent are the events so far.
func (p *publisher) sent() []realtime.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

// rooms are those that got an event of that name, in order.
func (p *publisher) rooms(name string) (out []string) {
	for _, e := range p.events {
		if e.Name == name {
			out = append(out, e.Rooms...)
		}
	}
	return out
}

// to are the events that a room got.
func (p *publisher) to(room string) (out []realtime.Event) {
	for _, e := range p.events {
		if slices.Contains(e.Rooms, room) {
			out = append(out, e)
		}
	}
	return out
}

// message is that of an event as a browser gets it.
func message(t *testing.T, e realtime.Event) (m map[string]any) {
	t.Helper()
	encoded, err := json.Marshal(e.Message)
	if err == nil {
		err = json.Unmarshal(encoded, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// open makes a desk that publishes until the returned function is called.
func open(t *testing.T, p *publisher, members []string, err error) (d *Desk, log *bytes.Buffer, stop func()) {
	log = &bytes.Buffer{}
	d = New(Params{
		Publisher: p, Log: slog.New(slog.NewTextHandler(log, nil)),
		Members: func(_ context.Context, s, organization string) ([]string, error) {
			if s != site && organization != "ORG-A" {
				t.Errorf("asked for the members of %s on %s", organization, s)
			}
			return members, err
		},
		Tenant: func(context.Context, string) string { return "Company" },
		Now:    func(_ context.Context, site string) string { return "now on " + site },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		d.Run(ctx)
		close(done)
	}()
	return d, log, func() {
		cancel()
		<-done
	}
}

func moved(from, to rows.Status, written rows.BackgroundJob) sites.Moved {
	return sites.Moved{Subject: subject, From: from, To: to, Modified: "2026-03-01 10:00:00.000001", Written: written}
}
