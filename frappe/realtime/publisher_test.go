package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/redis/go-redis/v9"
)

func TestPublishToRedis(t *testing.T) {
	server := servertest.Redis(t)
	opts, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	opts.MaxRetries = -1
	rdb := redis.NewClient(opts)
	t.Cleanup(func() { _ = rdb.Close() })
	sub := rdb.Subscribe(t.Context(), "events")
	t.Cleanup(func() { _ = sub.Close() })
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := NewPublisher(rdb, nil)
	err = p.Publish(t.Context(),
		Event{"job_progress", "site1.localhost", []string{RoomDoc("Background Job", "JOB-1")}, map[string]any{"progress": 40, "text": "<é>"}},
		Event{"connect", "site1.localhost", []string{"all"}, nil},
		Event{"job_status_changed", "site1.localhost", []string{RoomUser("jane@example.com")}, json.RawMessage(`{"a": [1]}`)},
		Event{"x", "site1.localhost", []string{RoomUser("jane@example.com"), "all"}, 1})
	var refused *EventError
	if !errors.As(err, &refused) || refused.Name != "connect" {
		t.Errorf("error = %v, want an *EventError that names connect", err)
	}
	want := []string{
		`{"event":"job_progress","message":{"progress":40,"text":"<é>"},"namespace":"site1.localhost","room":"doc:Background Job/JOB-1"}`,
		`{"event":"job_status_changed","message":{"a":[1]},"namespace":"site1.localhost","room":"user:jane@example.com"}`,
		`{"event":"x","message":1,"namespace":"site1.localhost","room":["user:jane@example.com","all"]}`,
	}
	var got []string
	for range want {
		m, err := sub.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Payload)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events on the wire (-want +got):\n%s", diff)
	}

	server.Kill()
	if err := p.Publish(t.Context(), Event{"job_progress", "s", []string{"all"}, nil}); !errors.Is(err, ErrAway) {
		t.Errorf("Redis killed: error = %v, want ErrAway", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("close with nothing to send: %v", err)
	}
}

func TestPublishRefuses(t *testing.T) {
	var sent int
	p := newPublisher(nil, func(_ context.Context, payloads [][]byte) error {
		sent += len(payloads)
		return nil
	})
	for name, e := range map[string]Event{
		"connect":         {"connect", "s", []string{"all"}, nil},
		"connect_error":   {"connect_error", "s", []string{"all"}, nil},
		"disconnect":      {"disconnect", "s", []string{"all"}, nil},
		"disconnecting":   {"disconnecting", "s", []string{"all"}, nil},
		"newListener":     {"newListener", "s", []string{"all"}, nil},
		"removeListener":  {"removeListener", "s", []string{"all"}, nil},
		"no name":         {"", "s", []string{"all"}, nil},
		"no site":         {"x", "", []string{"all"}, nil},
		"no room":         {"x", "s", nil, nil},
		"an empty room":   {"x", "s", []string{"all", ""}, nil},
		"NaN":             {"x", "s", []string{"all"}, math.NaN()},
		"broken raw JSON": {"x", "s", []string{"all"}, json.RawMessage("{")},
		"function":        {"x", "s", []string{"all"}, func() {}},
	} {
		var refused *EventError
		if err := p.Publish(t.Context(), e); !errors.As(err, &refused) {
			t.Errorf("%s: error = %v, want an *EventError", name, err)
		}
	}
	if sent != 0 {
		t.Errorf("%d refused events were sent", sent)
	}
}

// A Redis that accepts connections and never answers must not hold a job up.
func TestPublishToSilentRedis(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	rdb := redis.NewClient(&redis.Options{
		Addr: l.Addr().String(), MaxRetries: -1, ReadTimeout: 4 * time.Second, DisableIdentity: true,
	})
	p := NewPublisher(rdb, nil)
	start := time.Now()
	if err := p.Publish(t.Context(), Event{"x", "s", []string{"all"}, nil}); !errors.Is(err, ErrAway) {
		t.Errorf("error = %v, want ErrAway", err)
	}
	if took := time.Since(start); took > publishTimeout+time.Second {
		t.Errorf("Publish took %s", took)
	}
	start = time.Now()
	if err := p.Publish(t.Context(), Event{"x", "s", []string{"all"}, nil}); !errors.Is(err, ErrAway) {
		t.Errorf("second call: error = %v, want ErrAway", err)
	}
	if took := time.Since(start); took > 100*time.Millisecond {
		t.Errorf("second Publish took %s, want an answer at once", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.mu.Lock()
	p.away = time.Time{} // the pause is over
	p.mu.Unlock()
	if err := p.Publish(ctx, Event{"x", "s", []string{"all"}, nil}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: error = %v, want context.Canceled", err)
	}
	_ = rdb.Close()
	_ = p.Close()
}

func TestRooms(t *testing.T) {
	for got, want := range map[string]string{
		RoomUser("jane@example.com"):       "user:jane@example.com",
		RoomDoc("Background Job", "JOB-1"): "doc:Background Job/JOB-1",
		RoomDocType("Background Job"):      "doctype:Background Job",
		RoomOrganization("ORG-2025-00001"): "org:ORG-2025-00001",
	} {
		if got != want {
			t.Errorf("room %q, want %q", got, want)
		}
	}
}
