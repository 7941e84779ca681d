package rqcompat

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

type heard struct {
	worker string
	cmd    Command
}

func (b *bed) listen(pattern string) (<-chan heard, func()) {
	ctx, cancel := context.WithCancel(b.ctx())
	got := make(chan heard, 100)
	done := make(chan error, 1)
	go func() { done <- b.Listen(ctx, pattern, func(w string, c Command) { got <- heard{w, c} }) }()
	b.subscribed()
	return got, func() {
		b.t.Helper()
		cancel()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				b.t.Errorf("Listen returned %v", err)
			}
		case <-time.After(5 * time.Second):
			b.t.Error("Listen did not end with its context")
		}
	}
}

// subscribed waits until one pattern is subscribed.
func (b *bed) subscribed() {
	b.t.Helper()
	for range 500 {
		if b.do("PUBSUB", "NUMPAT") == int64(1) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	b.t.Fatal("nobody subscribed")
}

func wantHeard(t *testing.T, got <-chan heard) heard {
	t.Helper()
	select {
	case h := <-got:
		return h
	case <-time.After(5 * time.Second):
		t.Fatal("no command arrived")
		return heard{}
	}
}

func TestListen(t *testing.T) {
	b := newBed(t, "2.6.1")
	got, stop := b.listen("bridge-*")
	defer stop()
	for _, c := range []struct {
		worker, payload string
		want            Command
		bad             bool
	}{
		{"bridge-1", `{"command": "stop-job", "job_id": "site||a"}`, Command{Name: CommandStopJob, JobID: "site||a"}, false},
		{"bridge-2", `{"command": "shutdown", "later": [1]}`, Command{Name: CommandShutdown}, false},
		{"bridge-2", `{"command": "stop-execution", "job_id": "a", "execution_id": "x"}`, Command{Name: "stop-execution", JobID: "a"}, false},
		{"bridge-2", `{`, Command{}, true},
		{"bridge-2", `{"command": 5}`, Command{}, true},
		{"bridge-2", `[]`, Command{}, true},
		{"bridge-2", `{}`, Command{}, true},
		{"bridge-2", `{"command": "` + strings.Repeat("x", 64<<10) + `"}`, Command{}, true},
	} {
		if n := b.do("PUBLISH", "rq:pubsub:"+c.worker, c.payload); n != int64(1) {
			t.Fatalf("%d receivers", n)
		}
		h := wantHeard(t, got)
		if bad := h.cmd.Err != nil; h.worker != c.worker || bad != c.bad || !bad && h.cmd != c.want {
			t.Errorf("%s: got %+v, want %+v", c.payload, h, c.want)
		}
	}
	if n, err := b.SendCommand(b.ctx(), "python-worker", Command{Name: CommandShutdown}); n != 0 || err != nil {
		t.Errorf("command to nobody: %d, %v", n, err)
	}
	if n, err := b.SendCommand(b.ctx(), "bridge-9", Command{Name: CommandKillHorse}); n != 1 || err != nil {
		t.Errorf("command: %d, %v", n, err)
	}
	if h := wantHeard(t, got); h.worker != "bridge-9" || h.cmd != (Command{Name: CommandKillHorse}) {
		t.Errorf("sent kill-horse to bridge-9: heard %+v", h)
	}
}

func TestListenSubscribesAgain(t *testing.T) {
	b := newBed(t, "2.6.1")
	got, stop := b.listen("*")
	defer stop()
	for range 3 {
		b.do("CLIENT", "KILL", "TYPE", "pubsub")
		h := wantHeard(t, got)
		for h.worker == "w" { // sent twice before it was heard
			h = wantHeard(t, got)
		}
		if h.worker != "" || h.cmd.Err == nil {
			t.Errorf("got %+v, want a report of the lost connection", h)
		}
		if h := sendUntilHeard(b, got); h.worker != "w" || h.cmd.Name != CommandShutdown {
			t.Errorf("sent shutdown to w after the connection was lost: heard %+v", h)
		}
	}
}

// sendUntilHeard sends a command again and again: for a moment after a lost connection the server may still count
// the old subscription, and what is sent to that one is lost.
func sendUntilHeard(b *bed, got <-chan heard) heard {
	b.t.Helper()
	for range 500 {
		if b.do("PUBLISH", "rq:pubsub:w", `{"command": "shutdown"}`) == int64(0) {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		select {
		case h := <-got:
			return h
		case <-time.After(100 * time.Millisecond):
		}
	}
	b.t.Fatal("no command arrived")
	return heard{}
}

func TestSendStop(t *testing.T) {
	b := newBed(t, "2.6.1")
	got, stop := b.listen("w1")
	defer stop()
	b.put("default", "a")
	for _, id := range []string{"a", "nosuch"} {
		if _, err := b.SendStop(b.ctx(), id); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: %v", id, err)
		}
	}
	b.claim("default", "a")
	worker, err := b.SendStop(b.ctx(), "a")
	if worker != "w1" || err != nil {
		t.Errorf("stopped job a: asked worker %q, %v, want w1", worker, err)
	}
	if h := wantHeard(t, got); h != (heard{"w1", Command{Name: CommandStopJob, JobID: "a"}}) {
		t.Errorf("stopped job a, which w1 runs: heard %+v", h)
	}
	b.do("HSET", "rq:job:a", "worker_name", "dead")
	if _, err := b.SendStop(b.ctx(), "a"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("deaf worker: %v", err)
	}
}
