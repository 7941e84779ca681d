package servertest

import (
	"context"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// FakeSite serves the given sites' users for this test.
func FakeSite(t testing.TB, sites map[string][]servers.SiteUser) *servers.FakeSite {
	t.Helper()
	f, err := servers.StartFakeSite(sites)
	Need(t, err)
	t.Cleanup(func() { stop(t, f.Stop) })
	return f
}

// Realtime starts a realtime server for this test.
func Realtime(t testing.TB, cfg servers.RealtimeConfig) *servers.Realtime {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	rt, err := servers.StartRealtime(ctx, cfg)
	Need(t, err)
	t.Cleanup(func() { stop(t, rt.Stop) })
	return rt
}

// Listener connects a stock client for this test.
func Listener(t testing.TB, cfg servers.ListenerConfig) *servers.Listener {
	t.Helper()
	l, err := servers.StartListener(t.Context(), cfg)
	Need(t, err)
	t.Cleanup(func() { stop(t, l.Stop) })
	return l
}

// WantEvents fails the test unless the listener receives events of exactly these names, in this order, within the
// given time, and nothing beside them shortly after.
func WantEvents(t testing.TB, l *servers.Listener, within time.Duration, names ...string) []servers.Received {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var got []servers.Received
	for len(got) < len(names) {
		event, err := l.Next(ctx)
		if err != nil {
			t.Fatalf("got %v, want %v: %v", eventNames(got), names, err)
		}
		got = append(got, event)
	}
	more, err := l.Within(t.Context(), quietTime)
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, more...)
	for i, event := range got {
		if len(got) != len(names) || event.Event != names[i] {
			t.Fatalf("got %v, want %v", eventNames(got), names)
		}
	}
	return got
}

// quietTime is how long WantEvents looks for events nobody should get: far longer than one takes on loopback.
const quietTime = 150 * time.Millisecond

func eventNames(events []servers.Received) []string {
	var names []string
	for _, event := range events {
		names = append(names, event.Event)
	}
	return names
}
