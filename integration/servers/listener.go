package servers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ListenerConfig says as whom a Listener connects and what it subscribes to.
type ListenerConfig struct {
	URL           string      `json:"url"`  // of the realtime server
	Site          string      `json:"site"` // directory name, the namespace
	Cookie        string      `json:"cookie,omitempty"`
	Authorization string      `json:"authorization,omitempty"`
	Origin        string      `json:"origin,omitempty"` // default: URL
	Host          string      `json:"host,omitempty"`   // sent instead of X-Frappe-Site-Name when set
	Docs          [][2]string `json:"docs,omitempty"`   // doctype, name: what an opened form subscribes to
	OpenDocs      [][2]string `json:"openDocs,omitempty"`
	DocTypes      []string    `json:"doctypes,omitempty"` // what an opened list subscribes to
	Tasks         []string    `json:"tasks,omitempty"`
	Transports    []string    `json:"transports,omitempty"` // default: websocket
}

// Listener is a stock socket.io-client in a process of its own: what it receives is what a desk user would be told.
// Its methods are for one goroutine.
type Listener struct {
	// Rooms are the rooms the server let it into, sorted. A subscription that was refused is simply missing.
	Rooms []string

	p     *process
	out   *os.File
	lines *bufio.Reader
	early []Received // came before Rooms was known, not yet handed out
}

// Received is one event as the client got it.
type Received struct {
	Event string            `json:"event"`
	Args  []json.RawMessage `json:"args"`
}

// Message is the first argument, which is what Frappe publishes. It is null when there is none.
func (r Received) Message() json.RawMessage {
	if len(r.Args) == 0 {
		return json.RawMessage("null")
	}
	return r.Args[0]
}

// ErrRefused is wrapped by StartListener's error when the realtime server did not accept the connection.
var ErrRefused = errors.New("connection refused by the realtime server")

// StartListener connects and returns when the server has decided about every subscription.
func StartListener(ctx context.Context, cfg ListenerConfig) (*Listener, error) {
	dir, node, err := nodeModules(ctx)
	if err != nil {
		return nil, err
	}
	argument, err := json.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("encode the listener's subscriptions: %w", err)
	}
	p, err := newProcess("listener", node)
	if err != nil {
		return nil, err
	}
	out, childEnd, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the listener: %w", err), p.remove())
	}
	defer childEnd.Close()
	l := &Listener{p: p, out: out, lines: bufio.NewReader(out)}
	p.args, p.stdout = []string{filepath.Join(dir, "client.mjs"), string(argument)}, childEnd
	if err := p.spawn(); err != nil {
		return nil, errors.Join(err, l.Stop())
	}
	if err := l.awaitReady(ctx); err != nil {
		return nil, errors.Join(err, l.Stop())
	}
	return l, nil
}

func (l *Listener) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		line, err := l.readLine(ctx)
		if err != nil {
			return fmt.Errorf("wait for the listener to connect: %w", err)
		}
		switch {
		case line.Error != "":
			return fmt.Errorf("%w: %s", ErrRefused, line.Error)
		case line.Ready != nil:
			l.Rooms = line.Ready
			return nil
		}
		// An event may come before the last subscription is decided.
		if line.Event != "" {
			l.early = append(l.early, line.Received)
		}
	}
}

// listenerLine is what client.mjs prints; one of the fields is set.
type listenerLine struct {
	Ready      []string `json:"ready"`
	Error      string   `json:"error"`
	Disconnect string   `json:"disconnect"`
	Received
}

func (l *Listener) readLine(ctx context.Context) (listenerLine, error) {
	deadline, _ := ctx.Deadline() // zero = none
	if err := l.out.SetReadDeadline(deadline); err != nil {
		return listenerLine{}, fmt.Errorf("set a deadline: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { l.out.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	text, err := l.lines.ReadString('\n')
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
			// What was read of a line is lost, so a listener is of no use after this in the middle of one. Lines are
			// written whole, so that does not happen.
			return listenerLine{}, errors.Join(context.DeadlineExceeded, context.Cause(ctx))
		}
		return listenerLine{}, fmt.Errorf("listener ended (%w); it said: %s", err, l.p.logTail())
	}
	var line listenerLine
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		return listenerLine{}, fmt.Errorf("listener printed %q: %w", strings.TrimSpace(text), err)
	}
	return line, nil
}

// Next returns the next event. When ctx ends first, the error wraps context.DeadlineExceeded or context.Canceled, and
// Next may be called again.
func (l *Listener) Next(ctx context.Context) (Received, error) {
	if len(l.early) > 0 {
		event := l.early[0]
		l.early = l.early[1:]
		return event, nil
	}
	for {
		line, err := l.readLine(ctx)
		if err != nil {
			return Received{}, err
		}
		if line.Disconnect != "" {
			return Received{}, fmt.Errorf("listener lost its connection: %s", line.Disconnect)
		}
		if line.Event != "" {
			return line.Received, nil
		}
	}
}

// Within returns what arrives until d has passed.
func (l *Listener) Within(ctx context.Context, d time.Duration) ([]Received, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var events []Received
	for {
		event, err := l.Next(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, event)
	}
}

// Stop disconnects and ends the client. Calling it again does nothing.
func (l *Listener) Stop() error {
	l.out.Close()
	return l.p.remove()
}
