//lint:file-ignore SA1019 The library is deprecated for having moved; see its import.

// Package socketio is a client of Frappe's realtime server (15.41 to 17), as a browser is: it sees what the desk sees.
package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	// The library's maintained home is github.com/coder/websocket, same API: a switch changes only this import.
	"nhooyr.io/websocket"
)

const (
	// defaultDialTimeout covers that the realtime server asks the site who is connecting before it answers.
	defaultDialTimeout = 15 * time.Second
	closeTimeout       = time.Second // of Close when the server doesn't read any more
	writeTimeout       = 10 * time.Second
	maxMessage         = 8 << 20 // one message of the server
	maxUnread          = 1024    // how many events may wait for Next
)

var (
	// ErrClosed is what Next and Emit return after Close.
	ErrClosed = errors.New("the Socket.IO connection was closed")
	// ErrUnread ends a connection whose events aren't fetched with Next.
	ErrUnread = fmt.Errorf("more than %d Socket.IO events were left unread", maxUnread)

	errNoPing = errors.New("the server fell silent: its ping is overdue")
	errBinary = errors.New("the server sent binary data, which Frappe's realtime protocol doesn't know")
)

// Conn is a connection to one namespace of a Frappe realtime server (Socket.IO protocol 5 on Engine.IO protocol 4,
// WebSocket only). Emit may be called by several goroutines, Next by one. It doesn't reconnect, and a new connection is
// in none of the old one's document rooms.
type Conn struct {
	conn       *websocket.Conn
	place      string
	namespace  string
	maxPayload int
	silence    time.Duration // longest time without a packet: between pings, and before that of connecting

	cancel  context.CancelFunc // ends the reader
	ended   chan struct{}      // closed by the reader after err is set
	err     error
	events  chan event // closed like ended
	closed  chan struct{}
	closing sync.Once
}

type event struct {
	name string
	args []json.RawMessage
}

// Dial connects to a site's namespace as a browser does. ctx counts for connecting only. A refusal is a *ConnectError.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	target, host, header, err := cfg.handshake()
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Transport:     http.DefaultTransport.(*http.Transport).Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultDialTimeout
	}
	s := &Conn{
		place:     target.Scheme + "://" + target.Host,
		namespace: "/" + cfg.Site,
		silence:   cfg.Timeout,
		ended:     make(chan struct{}),
		closed:    make(chan struct{}),
		events:    make(chan event, maxUnread),
	}
	dialCtx, cancelDial := context.WithTimeout(ctx, cfg.Timeout)
	defer cancelDial()
	conn, res, err := websocket.Dial(dialCtx, target.String(), &websocket.DialOptions{
		HTTPClient: client, HTTPHeader: header, Host: host,
	})
	if err != nil {
		client.CloseIdleConnections()
		return nil, s.dialError(ctx, dialCtx, res, err, cfg.Timeout)
	}
	s.conn = conn
	conn.SetReadLimit(maxMessage)
	if err := s.join(dialCtx); err != nil {
		// The connection is given up; why is in err.
		_ = conn.CloseNow()
		return nil, s.dialError(ctx, dialCtx, nil, err, cfg.Timeout)
	}
	readCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	go s.read(readCtx)
	return s, nil
}

// dialError tells a refusal, the caller's end and our timeout apart.
func (s *Conn) dialError(ctx, dialCtx context.Context, res *http.Response, err error, timeout time.Duration) error {
	_, refused := errors.AsType[*ConnectError](err)
	switch {
	case refused:
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("connect to %s: %w", s.place, ctx.Err())
	case dialCtx.Err() != nil:
		return fmt.Errorf("connect to %s: no answer within %s: %w", s.place, timeout, context.DeadlineExceeded)
	case res != nil && res.StatusCode != http.StatusSwitchingProtocols:
		return &ConnectError{URL: s.place, Status: res.StatusCode, Message: refusalText(res)}
	}
	// url.Error would show the whole URL.
	if whole, ok := errors.AsType[*url.Error](err); ok {
		err = whole.Err
	}
	return fmt.Errorf("connect to %s: %w", s.place, err)
}

// join reads Engine.IO's open packet and connects the namespace.
func (s *Conn) join(ctx context.Context) error {
	text, err := s.receive(ctx)
	if err != nil {
		return err
	}
	var open struct {
		PingInterval, PingTimeout, MaxPayload int
	}
	if text[0] != engineOpen || json.Unmarshal([]byte(text[1:]), &open) != nil || open.PingInterval <= 0 || open.PingTimeout <= 0 {
		return errors.New("this is not a Socket.IO 4 server: its first message is not an open packet")
	}
	s.maxPayload = open.MaxPayload
	if err := s.write(ctx, message(socketConnect, s.namespace, nil)); err != nil {
		return err
	}
	for {
		p, err := s.next(ctx)
		switch {
		case err != nil:
			return err
		case p.kind == socketConnect:
			s.silence = time.Duration(open.PingInterval+open.PingTimeout) * time.Millisecond
			return nil
		case p.kind == socketConnectError:
			return &ConnectError{URL: s.place, Namespace: s.namespace, Message: p.reason()}
		}
	}
}

// receive returns the next Engine.IO packet, which is never empty.
func (s *Conn) receive(ctx context.Context) (string, error) {
	waiting, cancel := context.WithTimeout(ctx, s.silence)
	defer cancel()
	kind, b, err := s.conn.Read(waiting)
	closed, isClosed := errors.AsType[websocket.CloseError](err)
	switch {
	case err != nil && waiting.Err() != nil && ctx.Err() == nil:
		return "", fmt.Errorf("%w since %s", errNoPing, s.silence)
	case isClosed:
		return "", fmt.Errorf("the server closed the connection: status %d %s", closed.Code, closed.Reason)
	case err != nil:
		return "", err
	case kind == websocket.MessageBinary:
		return "", errBinary
	case len(b) == 0:
		return "", errors.New("the server sent an empty packet")
	}
	return string(b), nil
}

// next returns the next Socket.IO packet of the namespace, and answers what Engine.IO wants answered before.
func (s *Conn) next(ctx context.Context) (*packet, error) {
	for {
		text, err := s.receive(ctx)
		if err != nil {
			return nil, err
		}
		var p *packet
		switch text[0] {
		case enginePing:
			err = s.write(ctx, string(enginePong)+text[1:])
		case engineNoop:
		case engineClose:
			err = errors.New("the server closed the connection")
		case engineMessage:
			p, err = parsePacket(text[1:])
		default:
			err = fmt.Errorf("unexpected Engine.IO packet type %q", text[0])
		}
		if err != nil || p != nil && p.namespace == s.namespace {
			return p, err
		}
	}
}

// read owns the receiving side until the connection ends.
func (s *Conn) read(ctx context.Context) {
	defer close(s.ended)
	defer s.cancel()
	err := s.readEvents(ctx)
	// The connection is over in any case; why is in err.
	_ = s.conn.CloseNow()
	select {
	case <-s.closed:
		err = ErrClosed
	default:
		err = fmt.Errorf("socket.io at %s: %w", s.place, err)
	}
	s.err = err
	close(s.events)
}

func (s *Conn) readEvents(ctx context.Context) error {
	for {
		p, err := s.next(ctx)
		switch {
		case err != nil:
			return err
		case p.kind == socketDisconnect:
			return errors.New("the server disconnected the namespace")
		case p.kind == socketEventKind:
			name, args, err := p.event()
			if err != nil {
				return err
			}
			select {
			case s.events <- event{name, args}:
			default:
				// Waiting here would leave pings unanswered.
				return ErrUnread
			}
		}
	}
}

// Next returns the next event and its arguments in the order in which they came. Events that came before the connection
// ended are still returned; then why it ended, ErrClosed after Close. The end of ctx leaves the connection alone.
func (s *Conn) Next(ctx context.Context) (name string, args []json.RawMessage, err error) {
	var e event
	open := true
	select {
	case e, open = <-s.events:
	default:
		select {
		case e, open = <-s.events:
		case <-ctx.Done():
			return "", nil, ctx.Err()
		}
	}
	if !open {
		return "", nil, s.err
	}
	return e.name, e.args, nil
}

// Emit sends an event, e.g. "doc_subscribe" with DocType and name. It returns when the event is on its way; Frappe's
// server acknowledges none. A ctx that ends while it is being written ends the connection.
func (s *Conn) Emit(ctx context.Context, event string, args ...any) error {
	if event == "" || frappe.ReservedEvent(event) {
		return fmt.Errorf("emit %q: socket.io reserves this name", event)
	}
	body, err := json.Marshal(append([]any{event}, args...))
	if err != nil {
		return fmt.Errorf("emit %q: %w", event, err)
	}
	packet := message(socketEventKind, s.namespace, body)
	if s.maxPayload > 0 && len(packet) > s.maxPayload {
		return fmt.Errorf("emit %q: %d bytes, the server takes at most %d", event, len(packet), s.maxPayload)
	}
	select {
	case <-s.ended:
		return fmt.Errorf("emit %q: %w", event, s.err)
	default:
	}
	if err := s.write(ctx, packet); err != nil {
		return fmt.Errorf("emit %q: %w", event, err)
	}
	return nil
}

func (s *Conn) write(ctx context.Context, packet string) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, []byte(packet))
}

// Close leaves the namespace and ends the connection, within a second. It returns nil and may be called again.
func (s *Conn) Close() error {
	s.closing.Do(func() {
		close(s.closed)
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		// The connection may be gone already, which is what is wanted.
		_ = s.write(ctx, message(socketDisconnect, s.namespace, nil))
		s.cancel()
	})
	<-s.ended
	return nil
}
