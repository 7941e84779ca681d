package foreign

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// closesKept is a service that closes a kept connection just as the second request on it arrives, as gunicorn and uvicorn
// do with one that was idle for some seconds. It has answered each connection's first request, unless never is set.
func closesKept(t *testing.T, never bool) (url string, connections *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = &atomic.Int32{}
	ended, end := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			context.AfterFunc(ended, func() { c.Close() })
			serving.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				request, err := http.ReadRequest(r)
				if err != nil || never {
					return
				}
				_, _ = io.Copy(io.Discard, request.Body)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"result\": \"x\"}")
				_, _ = r.ReadByte() // of the next request, which stays unread: the client gets a reset
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		end()
		serving.Wait()
	})
	return "http://" + l.Addr().String(), connections
}

// TestHTTPKeptConnectionThatCloses: it says nothing of the job, however long the request is.
func TestHTTPKeptConnectionThatCloses(t *testing.T) {
	for name, params := range map[string]json.RawMessage{
		"short": json.RawMessage(`{"a": 1}`), "long": json.RawMessage(`"` + strings.Repeat("x", 8<<20) + `"`),
	} {
		t.Run(name, func(t *testing.T) {
			url, connections := closesKept(t, false)
			run, err := NewHTTP(HTTP{URL: url})
			if err != nil {
				t.Fatal(err)
			}
			for call := range 4 {
				var h heard
				if result, err := run(t.Context(), attempt, params, &h); err != nil || result != "x" {
					t.Fatalf("call %d: got %v, %v; want x", call+1, result, err)
				}
			}
			if n := connections.Load(); n != 4 {
				t.Errorf("4 calls took %d connections, want 4: the second request on each was cut off", n)
			}
		})
	}
}

// TestHTTPFreshConnectionThatCloses: a service that answers nobody is asked once a call.
func TestHTTPFreshConnectionThatCloses(t *testing.T) {
	url, connections := closesKept(t, true)
	run, err := NewHTTP(HTTP{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	var h heard
	if _, err := run(t.Context(), attempt, nil, &h); err == nil || job.Classify(err) != job.Transient {
		t.Errorf("error %v, want a transient one", err)
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("one call took %d connections, want 1", n)
	}
}
