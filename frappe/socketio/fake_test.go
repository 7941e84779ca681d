package socketio

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// fakeSocket is the server's end of a WebSocket connection, written by hand so that it can do what no library would.
type fakeSocket struct {
	t       *testing.T
	net     net.Conn
	r       *bufio.Reader
	request *http.Request
}

const openPacket = `0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}`

// fakeSocketServer runs script for each connection and returns the URL.
func fakeSocketServer(t *testing.T, script func(*fakeSocket)) string {
	t.Helper()
	var running sync.WaitGroup
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Done()
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
			base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
		script(&fakeSocket{t: t, net: conn, r: rw.Reader, request: r})
	}))
	t.Cleanup(func() {
		s.Close()
		running.Wait()
	})
	return s.URL
}

func (f *fakeSocket) frame(opcode byte, payload []byte) {
	head := []byte{0x80 | opcode, byte(len(payload))}
	if len(payload) > 125 {
		head = binary.BigEndian.AppendUint64([]byte{0x80 | opcode, 127}, uint64(len(payload)))
	}
	// The client may be gone already, which some scripts want.
	_, _ = f.net.Write(append(head, payload...))
}

func (f *fakeSocket) send(text string) { f.frame(1, []byte(text)) }

// accept plays the server's part of a successful connection.
func (f *fakeSocket) accept() {
	f.send(openPacket)
	if got := f.receive(); got != "40/site1," {
		f.t.Errorf("client sent %q, want the connection of namespace /site1", got)
	}
	f.send(`40/site1,{"sid":"y"}`)
}

// receive returns the next text of the client, "" when it said goodbye or went.
func (f *fakeSocket) receive() string {
	head := make([]byte, 2)
	if _, err := io.ReadFull(f.r, head); err != nil {
		return ""
	}
	n := int(head[1] & 0x7f)
	if n == 126 {
		long := make([]byte, 2)
		_, _ = io.ReadFull(f.r, long)
		n = int(binary.BigEndian.Uint16(long))
	}
	masked := make([]byte, 4+n)
	if _, err := io.ReadFull(f.r, masked); err != nil {
		return ""
	}
	mask, payload := masked[:4], masked[4:]
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	if head[0]&0xf == 8 {
		f.frame(8, payload)
		return ""
	}
	return string(payload)
}

// drain waits until the client has gone.
func (f *fakeSocket) drain() {
	for f.receive() != "" {
	}
}
