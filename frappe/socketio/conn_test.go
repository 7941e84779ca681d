package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func dialFake(t *testing.T, script func(*fakeSocket)) *Conn {
	t.Helper()
	s, err := Dial(t.Context(), Config{URL: fakeSocketServer(t, script), Site: "site1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestEvents(t *testing.T) {
	said := make(chan string, 10)
	s := dialFake(t, func(f *fakeSocket) {
		f.accept()
		f.send("2")
		said <- f.receive()
		said <- f.receive()
		f.send("6")
		f.send(`42/other,["not ours"]`)
		f.send(`42["root namespace"]`)
		f.send(`43/site1,7["an acknowledgement"]`)
		f.send(`42/site1,12["with ack id",1]`)
		f.send(`42/site1,["job_progress",{"a":[1,2]},null]`)
		f.send(`42/site1,["big","` + strings.Repeat("x", 100_000) + `"]`)
		said <- f.receive()
		f.drain()
	})
	if err := s.Emit(t.Context(), "doc_subscribe", "Background Job", "JOB-1"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"with ack id [1]", `job_progress [{"a":[1,2]} null]`, ""} {
		name, args, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%s %s", name, args)
		if want != "" && got != want || want == "" && len(got) < 100_000 {
			t.Errorf("event %.100s, want %s", got, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	var got []string
	for range 3 {
		got = append(got, <-said)
	}
	// The pong may overtake the event or the other way round.
	if got[0] != "3" {
		got[0], got[1] = got[1], got[0]
	}
	want := []string{"3", `42/site1,["doc_subscribe","Background Job","JOB-1"]`, "41/site1,"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("client said (-want +got):\n%s", diff)
	}
	if _, _, err := s.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Next after Close: %v", err)
	}
	if err := s.Emit(t.Context(), "x"); !errors.Is(err, ErrClosed) {
		t.Errorf("Emit after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestRequest(t *testing.T) {
	type seen struct{ Path, Query, Host, Origin, Site, Cookie string }
	for name, tc := range map[string]struct {
		path   string
		origin string
		header http.Header
		want   seen
	}{
		"plain": {"", "", nil, seen{Path: "/socket.io/", Host: "HOST", Origin: "http://HOST", Site: "site1"}},
		"origin and credentials": {"/", "http://site1:8000", http.Header{"Cookie": {"sid=1"}},
			seen{Path: "/socket.io/", Host: "site1:8000", Origin: "http://site1:8000", Site: "site1", Cookie: "sid=1"}},
		"own site header": {"/sub", "", http.Header{"X-Frappe-Site-Name": {"other"}},
			seen{Path: "/sub/socket.io/", Host: "HOST", Origin: "http://HOST", Site: "other"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan seen, 1)
			url := fakeSocketServer(t, func(f *fakeSocket) {
				r := f.request
				got <- seen{r.URL.Path, r.URL.RawQuery, r.Host, r.Header.Get("Origin"), r.Header.Get("X-Frappe-Site-Name"), r.Header.Get("Cookie")}
				f.accept()
				f.drain()
			})
			given := tc.header.Clone()
			s, err := Dial(t.Context(), Config{URL: url + tc.path, Site: "site1", Origin: tc.origin, Header: tc.header})
			if err != nil {
				t.Fatal(err)
			}
			_ = s.Close()
			host := strings.TrimPrefix(url, "http://")
			tc.want.Host, tc.want.Origin = strings.Replace(tc.want.Host, "HOST", host, 1), strings.Replace(tc.want.Origin, "HOST", host, 1)
			tc.want.Query = "EIO=4&transport=websocket"
			if diff := cmp.Diff(tc.want, <-got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(given, tc.header); diff != "" {
				t.Errorf("the caller's header was changed:\n%s", diff)
			}
		})
	}
}

func TestConnectErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		script func(*fakeSocket)
		want   string
	}{
		"namespace refused": {func(f *fakeSocket) {
			f.send(openPacket)
			f.receive()
			f.send(`44/site1,{"message":"Unauthorized: 403"}`)
		}, "namespace /site1 was refused: Unauthorized: 403"},
		"refused in a string": {func(f *fakeSocket) { f.send(openPacket); f.receive(); f.send(`44/site1,"no"`) }, "refused: no"},
		"refused silently":    {func(f *fakeSocket) { f.send(openPacket); f.receive(); f.send(`44/site1,`) }, "refused: no reason given"},
		"no open packet":      {func(f *fakeSocket) { f.send("42[]") }, "not a Socket.IO 4 server"},
		"Socket.IO 2":         {func(f *fakeSocket) { f.send(`0{"sid":"x"}`) }, "not a Socket.IO 4 server"},
		"binary open":         {func(f *fakeSocket) { f.frame(2, []byte("0")) }, "binary data"},
		"empty packet":        {func(f *fakeSocket) { f.send("") }, "empty packet"},
		"closes at once":      {func(f *fakeSocket) { f.frame(8, []byte{0x03, 0xf0, 'n', 'o'}) }, "the server closed the connection: status 1008 no"},
		"goes away":           {func(*fakeSocket) {}, "EOF"},
		"goes after the open": {func(f *fakeSocket) { f.send(openPacket); f.receive() }, "EOF"},
		"closes Engine.IO":    {func(f *fakeSocket) { f.send(openPacket); f.receive(); f.send("1") }, "the server closed the connection"},
		"says nothing":        {func(f *fakeSocket) { f.drain() }, "no answer within 300ms"},
		"never connects":      {func(f *fakeSocket) { f.send(openPacket); f.drain() }, "no answer within 300ms"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{URL: fakeSocketServer(t, tc.script), Site: "site1", Timeout: 300 * time.Millisecond}
			if s, err := Dial(t.Context(), cfg); err == nil {
				_ = s.Close()
				t.Error("no error")
			} else if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q lacks %q", err, tc.want)
			}
		})
	}
}

func TestHandshakeRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		status  int
		body    string
		message string
	}{
		"401":       {401, "log in first", "log in first"},
		"socket.io": {400, `{"code":0,"message":"Transport unknown"}`, "Transport unknown"},
		"no text":   {502, "", "no reason given"},
		"redirect":  {301, "", `it redirects to "https://elsewhere/", which is not followed`},
		"a page":    {200, "<html>\n hello", "<html> hello"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tc.status == 301 {
					w.Header().Set("Location", "https://u:secret@elsewhere/?token=secret")
				}
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			}))
			defer s.Close()
			_, err := Dial(t.Context(), Config{URL: strings.Replace(s.URL, "//", "//u:secret@", 1), Site: "site1"})
			var refused *ConnectError
			if !errors.As(err, &refused) || refused.Status != tc.status || refused.Message != tc.message {
				t.Errorf("error = %v, want status %d with %q", err, tc.status, tc.message)
			}
			if strings.Contains(fmt.Sprint(err), "secret") {
				t.Errorf("error shows the password: %v", err)
			}
		})
	}
}

func TestDialRefuses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := "http://" + l.Addr().String()
	_ = l.Close()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		ctx  context.Context
		cfg  Config
		want string
	}{
		"nobody listens": {t.Context(), Config{URL: free, Site: "site1"}, "connection refused"},
		"no site":        {t.Context(), Config{URL: free}, "is not the name of a site"},
		"a path as site": {t.Context(), Config{URL: free, Site: "a/b"}, "is not the name of a site"},
		"no URL":         {t.Context(), Config{Site: "s"}, "not like http"},
		"ws URL":         {t.Context(), Config{URL: "ws://x?token=secret", Site: "s"}, "not like http"},
		"only a user":    {t.Context(), Config{URL: "u:secret@x", Site: "s"}, "not like http"},
		"bad origin":     {t.Context(), Config{URL: free, Site: "s", Origin: "site1?token=secret"}, "origin"},
		"canceled":       {canceled, Config{URL: free, Site: "s"}, "context canceled"},
	} {
		if _, err := Dial(tc.ctx, tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v lacks %q, or shows a secret", name, err, tc.want)
		}
	}
}

func TestEnds(t *testing.T) {
	const event = `42/site1,["last words"]`
	for name, tc := range map[string]struct {
		script func(*fakeSocket)
		want   string
	}{
		"binary event":     {func(f *fakeSocket) { f.send(`451-/site1,["x",{"_placeholder":true,"num":0}]`); f.drain() }, "binary data"},
		"binary frame":     {func(f *fakeSocket) { f.frame(2, []byte("x")); f.drain() }, "binary data"},
		"disconnected":     {func(f *fakeSocket) { f.send("41/site1,"); f.drain() }, "disconnected the namespace"},
		"engine closed":    {func(f *fakeSocket) { f.send("1"); f.drain() }, "closed the connection"},
		"websocket closed": {func(f *fakeSocket) { f.frame(8, []byte{0x03, 0xe9}) }, "status 1001"},
		"went away":        {func(*fakeSocket) {}, "EOF"},
		"no JSON":          {func(f *fakeSocket) { f.send("42/site1,nonsense"); f.drain() }, "not a JSON array"},
		"no name":          {func(f *fakeSocket) { f.send("42/site1,[7]"); f.drain() }, "without a name"},
		"unknown type":     {func(f *fakeSocket) { f.send("49"); f.drain() }, "unknown Socket.IO packet"},
		"bare message":     {func(f *fakeSocket) { f.send("4"); f.drain() }, "empty Socket.IO packet"},
		"unknown engine":   {func(f *fakeSocket) { f.send("9"); f.drain() }, "unexpected Engine.IO packet"},
		"too big":          {func(f *fakeSocket) { f.send(strings.Repeat("x", maxMessage+1)); f.drain() }, "limit"},
		"too many unread": {func(f *fakeSocket) {
			for range maxUnread + 10 {
				f.send(event)
			}
			f.drain()
		}, "left unread"},
	} {
		t.Run(name, func(t *testing.T) {
			s := dialFake(t, func(f *fakeSocket) {
				f.accept()
				f.send(event)
				tc.script(f)
			})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			select {
			case <-s.ended:
			case <-ctx.Done():
				t.Error("the connection goes on")
			}
			if name, _, err := s.Next(ctx); name != "last words" || err != nil {
				t.Errorf("the event before the end: %q, %v", name, err)
			}
			var err error
			for err == nil {
				_, _, err = s.Next(ctx)
			}
			if !strings.Contains(err.Error(), tc.want) || errors.Is(err, ErrClosed) {
				t.Errorf("error %q lacks %q", err, tc.want)
			}
		})
	}
}

func TestSilence(t *testing.T) {
	s := dialFake(t, func(f *fakeSocket) {
		f.send(`0{"sid":"x","pingInterval":200,"pingTimeout":100}`)
		f.receive()
		f.send("40/site1,{}")
		f.send("2")
		f.drain()
	})
	start := time.Now()
	_, _, err := s.Next(t.Context())
	if !errors.Is(err, errNoPing) {
		t.Errorf("error = %v, want errNoPing", err)
	}
	if took := time.Since(start); took < 250*time.Millisecond || took > 5*time.Second {
		t.Errorf("silence was noticed after %s, want 300ms", took)
	}
}

func TestNextKeepsTheConnection(t *testing.T) {
	step := make(chan struct{})
	s := dialFake(t, func(f *fakeSocket) {
		f.accept()
		<-step
		f.send(`42/site1,["later"]`)
		f.drain()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want context.DeadlineExceeded", err)
	}
	close(step)
	if name, _, err := s.Next(t.Context()); name != "later" || err != nil {
		t.Errorf("after a Next that was given up: %q, %v", name, err)
	}
}

func TestCloseOfAHangingServer(t *testing.T) {
	release := make(chan struct{})
	s := dialFake(t, func(f *fakeSocket) {
		f.accept()
		<-release
	})
	start := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > closeTimeout+2*time.Second {
		t.Errorf("Close took %s", took)
	}
	close(release)
}

func TestEmitRefuses(t *testing.T) {
	s := dialFake(t, func(f *fakeSocket) { f.accept(); f.drain() })
	for name, tc := range map[string]struct {
		event string
		args  []any
		want  string
	}{
		"reserved": {"connect", nil, "reserves"},
		"no name":  {"", nil, "reserves"},
		"no JSON":  {"x", []any{make(chan int)}, "unsupported type"},
		"too big":  {"x", []any{strings.Repeat("x", 1000)}, "at most 1000"},
	} {
		if err := s.Emit(t.Context(), tc.event, tc.args...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v lacks %q", name, err, tc.want)
		}
	}
	if err := s.Emit(t.Context(), "fine"); err != nil {
		t.Error(err)
	}
}

func FuzzParseSocketPacket(f *testing.F) {
	for _, seed := range []string{"", "2", `2/site1,["a"]`, `2/site1?x=1,12["a",1]`, "0/site1,", "451-/x,[]", `4/site1,{"message":"x"}`, "2/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePacket(text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(p.namespace, "/") {
			t.Errorf("namespace %q", p.namespace)
		}
		_ = p.reason()
		if name, args, err := p.event(); err == nil {
			body, _ := json.Marshal(append([]any{name}, anySlice(args)...))
			back, err := parsePacket(message(socketEventKind, "/s", body)[1:])
			if err != nil {
				t.Fatal(err)
			}
			if again, _, err := back.event(); err != nil || again != name {
				t.Errorf("event %q came back as %q, %v", name, again, err)
			}
		}
	})
}

func anySlice(args []json.RawMessage) (out []any) {
	for _, a := range args {
		out = append(out, a)
	}
	return out
}
