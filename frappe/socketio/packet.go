package socketio

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Packet types of Engine.IO 4 and, inside its messages, of Socket.IO 5.
const (
	engineOpen    = '0'
	engineClose   = '1'
	enginePing    = '2'
	enginePong    = '3'
	engineMessage = '4'
	engineNoop    = '6'

	socketConnect      = '0'
	socketDisconnect   = '1'
	socketEventKind    = '2'
	socketAck          = '3'
	socketConnectError = '4'
	socketBinaryEvent  = '5'
	socketBinaryAck    = '6'
)

// packet is one decoded Socket.IO packet: type, namespace and comma unless it is "/", acknowledgement's id, JSON.
type packet struct {
	kind      byte
	namespace string
	data      string
}

func parsePacket(text string) (*packet, error) {
	if text == "" {
		return nil, errors.New("empty Socket.IO packet")
	}
	p := &packet{kind: text[0], namespace: "/"}
	switch p.kind {
	case socketConnect, socketDisconnect, socketEventKind, socketAck, socketConnectError:
	case socketBinaryEvent, socketBinaryAck:
		return nil, errBinary
	default:
		return nil, fmt.Errorf("unknown Socket.IO packet type %q", p.kind)
	}
	rest := text[1:]
	if strings.HasPrefix(rest, "/") {
		p.namespace, rest, _ = strings.Cut(rest, ",")
		p.namespace, _, _ = strings.Cut(p.namespace, "?")
	}
	// Nobody waits for our acknowledgement: Frappe's server asks for none.
	p.data = strings.TrimLeft(rest, "0123456789")
	return p, nil
}

// event returns the name and arguments of an event packet.
func (p *packet) event() (name string, args []json.RawMessage, err error) {
	if err := json.Unmarshal([]byte(p.data), &args); err != nil {
		return "", nil, fmt.Errorf("the server sent an event that is not a JSON array: %w", err)
	}
	if len(args) == 0 || json.Unmarshal(args[0], &name) != nil || name == "" {
		return "", nil, errors.New("the server sent an event without a name")
	}
	return name, args[1:], nil
}

// reason is why a namespace was refused: {"message": …} since protocol 5, a bare JSON string before.
func (p *packet) reason() string {
	var reason struct{ Message string }
	if json.Unmarshal([]byte(p.data), &reason) == nil && reason.Message != "" {
		return reason.Message
	}
	var text string
	if json.Unmarshal([]byte(p.data), &text) == nil && text != "" {
		return text
	}
	return "no reason given"
}

func message(kind byte, namespace string, body []byte) string {
	return string([]byte{engineMessage, kind}) + namespace + "," + string(body)
}
