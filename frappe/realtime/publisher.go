// Package realtime publishes events to the browsers of a Frappe desk (15.41 to 17), through redis_queue and the
// realtime server, so that no message can harm that server and no steady stream keeps a desk from refreshing. On the same
// channel it hears which documents Frappe has inserted and saved.
package realtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/redis/go-redis/v9"
)

const (
	// eventsChannel is what the realtime server subscribes to on redis_queue (realtime/index.js, 15.41 to 17).
	eventsChannel = "events"

	// publishTimeout is how long Publish waits for Redis. Realtime is a hint: a job must not wait longer for it.
	publishTimeout = 2 * time.Second
	// awayPause is how long calls fail at once after Redis didn't answer, so that they don't all wait.
	awayPause = time.Second

	publishBatch = 500

	// maxPayload is how large a message may be. Redis cuts off a subscriber, here the realtime server of all sites, that is
	// 8 MB behind (client-output-buffer-limit pubsub).
	maxPayload = 256 << 10
	// maxRoom is how long a room's name may be, in bytes: a DocType's and a document's have 140 characters each.
	maxRoom = 2048
)

// ErrAway says that Redis didn't take an event, or didn't take another one less than a second ago.
var ErrAway = errors.New("realtime events can't be published: redis_queue is away")

// Event is one message for the browsers in a room.
type Event struct {
	Name string // what a client listens for
	Site string // the site's directory name: the Socket.IO namespace
	// Rooms are who gets it, a client that is in several of them once; use the Room functions.
	Rooms   []string
	Message any // the payload, anything that encoding/json takes
}

// EventError says why an event was refused. It would stop the realtime server or reach every client of every site.
type EventError struct {
	Name, Site string   // those of the event
	Rooms      []string // and its rooms
	Reason     string   // what is wrong
}

func (e *EventError) Error() string {
	return fmt.Sprintf("realtime event %.200q for rooms %.200q of site %.200q: %s", e.Name, e.Rooms[:min(len(e.Rooms), 10)], e.Site, e.Reason)
}

// RoomUser is every socket of a user.
func RoomUser(user string) string { return "user:" + user }

// RoomDoc is whoever opened a document's form.
func RoomDoc(doctype, name string) string { return "doc:" + doctype + "/" + name }

// RoomDocType is whoever has a list of the DocType open. Send only names there: owners of other documents listen too.
func RoomDocType(doctype string) string { return "doctype:" + doctype }

// RoomOrganization reaches clients of a realtime server that joins them to it. A stock server joins nobody.
func RoomOrganization(organization string) string { return "org:" + organization }

// Publisher sends events through redis_queue. Safe for concurrent use. Publish after COMMIT: browsers re-read rows.
type Publisher struct {
	// Source is named in what is sent, beside what the realtime server reads, so that a listener on the same channel can
	// tell it from what others send. Set it before the first use.
	Source string

	log  *slog.Logger
	send func(ctx context.Context, payloads [][]byte) error

	mu    sync.Mutex
	away  time.Time // until when calls fail at once
	lists lane
	docs  lane

	wake    chan struct{} // capacity 1: something is ready to go
	pending sync.WaitGroup
	running sync.Mutex // held by who takes events from the lanes
}

// NewPublisher returns a Publisher on redis_queue, which stays the caller's to close. ListUpdate and DocUpdate need Run
// to be running. log is told when Redis is away and back; nil discards that.
func NewPublisher(rdb redis.UniversalClient, log *slog.Logger) *Publisher {
	return newPublisher(log, func(ctx context.Context, payloads [][]byte) error {
		_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, payload := range payloads {
				p.Publish(ctx, eventsChannel, payload)
			}
			return nil
		})
		return err
	})
}

func newPublisher(log *slog.Logger, send func(context.Context, [][]byte) error) *Publisher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Publisher{
		log:   log,
		send:  send,
		lists: newLane(listInterval),
		docs:  newLane(docInterval),
		wake:  make(chan struct{}, 1),
	}
}

// Publish sends events in one round trip, in order. An event that would harm the realtime server, or is too large for it, is
// left out and reported as an *EventError; the others are sent. So are rooms that nobody can be in, of a user without a name
// for instance, if the event has others. ErrAway comes within 2 s, whatever Redis does: nothing is kept for
// later. Nobody learns whether a browser got the event.
func (p *Publisher) Publish(ctx context.Context, events ...Event) error {
	var errs []error
	payloads := make([][]byte, 0, len(events))
	for _, e := range events {
		payload, err := e.payload(p.Source)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		payloads = append(payloads, payload)
	}
	if len(payloads) > 0 {
		errs = append(errs, p.sendBounded(ctx, payloads))
	}
	return errors.Join(errs...)
}

// payload is the envelope of realtime/index.js, or an *EventError.
func (e Event) payload(source string) ([]byte, error) {
	refuse := func(reason string) ([]byte, error) {
		return nil, &EventError{Name: e.Name, Site: e.Site, Rooms: e.Rooms, Reason: reason}
	}
	switch {
	case e.Name == "":
		return refuse("it has no name")
	case frappe.ReservedEvent(e.Name):
		return refuse("socket.io reserves this name")
	case e.Site == "":
		return refuse("it has no site")
	case len(e.Rooms) == 0, slices.Contains(e.Rooms, ""):
		return refuse("it has no room and would reach every client of every site")
	}
	rooms := slices.DeleteFunc(slices.Clone(e.Rooms), isNobodys)
	if len(rooms) == 0 {
		return refuse("nobody can be in its rooms")
	}
	// The server hands what stands here to Socket.IO's to(), which takes a list as well and serves each client once.
	var room any = rooms
	if len(rooms) == 1 {
		room = rooms[0]
	}
	payload, err := encode(envelope{e.Name, e.Message, e.Site, room, source})
	switch {
	case err != nil:
		return refuse("its message is no JSON: " + err.Error())
	case len(payload) > maxPayload:
		return refuse(fmt.Sprintf("it has %d bytes, at most %d are sent", len(payload), maxPayload))
	}
	return payload, nil
}

// isNobodys reports whether nobody can be in a room: it is of a user, document or organization without a name, or with one
// that is too long for any.
func isNobodys(room string) bool {
	return len(room) > maxRoom || strings.HasSuffix(room, ":") || strings.HasPrefix(room, "doc:") && strings.HasSuffix(room, "/")
}

type envelope struct {
	Event     string `json:"event"`
	Message   any    `json:"message"`
	Namespace string `json:"namespace"`
	Room      any    `json:"room"`
	Source    string `json:"source,omitempty"`
}

// encode encodes a message, whose own methods may panic.
func encode(e envelope) (payload []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("encoding it panicked: %v", v)
		}
	}()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err = enc.Encode(e)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// sendBounded sends in a goroutine of its own, since a context interrupts a Redis client neither in a connect nor, by
// default, in a read. Those that are left behind are few (awayPause) and end with the client's own timeouts.
func (p *Publisher) sendBounded(ctx context.Context, payloads [][]byte) error {
	p.mu.Lock()
	away := time.Now().Before(p.away)
	p.mu.Unlock()
	if away {
		return ErrAway
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	done := make(chan error, 1)
	p.pending.Go(func() { done <- p.send(ctx, payloads) })
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, context.Canceled) {
		p.mu.Lock()
		p.away = time.Now().Add(awayPause)
		p.mu.Unlock()
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}

// Run sends what ListUpdate and DocUpdate collect until ctx ends, then sends what is left and returns nil. Redis being
// away is logged once; what couldn't be sent is tried again in the next interval.
func (p *Publisher) Run(ctx context.Context) error {
	p.running.Lock()
	defer p.running.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	// A stop must not cut a send short: whether it arrived would be unknown and the flush would repeat it.
	sending := context.WithoutCancel(ctx)
	failing := false
	for {
		select {
		case <-ctx.Done():
			_, err := p.sendDue(sending, true)
			return err
		case <-p.wake:
		case <-timer.C:
		}
		sent, err := p.sendDue(sending, false) // or nothing, which is no news
		switch {
		case err != nil && !failing:
			p.log.Warn("desk updates wait for redis_queue", "error", err)
			failing = true
		case err == nil && failing && sent:
			p.log.Info("desk updates are sent again")
			failing = false
		}
		timer.Reset(p.untilDue())
	}
}

// Close sends what ListUpdate and DocUpdate still hold and waits for sends left behind. Call it after Run, or without.
func (p *Publisher) Close() error {
	p.running.Lock()
	defer p.running.Unlock()
	_, err := p.sendDue(context.Background(), true)
	p.pending.Wait()
	return err
}
