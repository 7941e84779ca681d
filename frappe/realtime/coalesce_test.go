package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sentEvent is one event with the time after the start at which it went out.
type sentEvent struct {
	At    time.Duration
	Event string
	Room  string
	What  string // name of a list_update, modified of a doc_update
}

// recorder stands for Redis.
type recorder struct {
	start time.Time

	mu     sync.Mutex
	events []sentEvent
	err    error
	delay  time.Duration // before an error
}

func (r *recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *recorder) send(_ context.Context, payloads [][]byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		time.Sleep(r.delay)
		return r.err
	}
	for _, payload := range payloads {
		var e struct {
			Event   string
			Room    string
			Message map[string]string
		}
		if err := json.Unmarshal(payload, &e); err != nil {
			return err
		}
		what := e.Message["modified"]
		if e.Event == "list_update" {
			what = e.Message["name"]
		}
		r.events = append(r.events, sentEvent{time.Since(r.start), e.Event, e.Room, what})
	}
	return nil
}

// coalescing runs scenario against a running Publisher, stops it, and returns what went out.
func coalescing(t *testing.T, scenario func(p *Publisher, r *recorder)) []sentEvent {
	t.Helper()
	var got []sentEvent
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{start: time.Now()}
		p := newPublisher(nil, r.send)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		scenario(p, r)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		got = r.events
	})
	return got
}

func TestListUpdatesAreCollected(t *testing.T) {
	got := coalescing(t, func(p *Publisher, _ *recorder) {
		for i := range 8 { // 0.9 s apart
			p.ListUpdate("s", "Background Job", fmt.Sprint("JOB-", i))
			synctest.Wait()
			p.ListUpdate("s", "Background Job", fmt.Sprint("JOB-", i))
			if i == 1 {
				p.ListUpdate("s", "Job Type", "echo", "sample")
			}
			time.Sleep(900 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		p.ListUpdate("s", "Background Job", "JOB-late")
	})
	const room, other = "doctype:Background Job", "doctype:Job Type"
	want := []sentEvent{
		{0, "list_update", room, "JOB-0"},
		{900 * time.Millisecond, "list_update", other, "echo"},
		{900 * time.Millisecond, "list_update", other, "sample"},
		{3 * time.Second, "list_update", room, "JOB-0"}, // its second report
		{3 * time.Second, "list_update", room, "JOB-1"},
		{3 * time.Second, "list_update", room, "JOB-2"},
		{3 * time.Second, "list_update", room, "JOB-3"},
		{6 * time.Second, "list_update", room, "JOB-4"},
		{6 * time.Second, "list_update", room, "JOB-5"},
		{6 * time.Second, "list_update", room, "JOB-6"},
		{9 * time.Second, "list_update", room, "JOB-7"},
		{17200 * time.Millisecond, "list_update", room, "JOB-late"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDocUpdatesKeepTheNewest(t *testing.T) {
	got := coalescing(t, func(p *Publisher, _ *recorder) {
		p.DocUpdate("s", "Background Job", "JOB-1", "m1")
		p.DocUpdate("s", "Background Job", "JOB-2", "other")
		p.DocUpdate("s", "Background Job", "", "no such form")
		synctest.Wait()
		time.Sleep(500 * time.Millisecond)
		p.DocUpdate("s", "Background Job", "JOB-1", "m2")
		time.Sleep(500 * time.Millisecond)
		p.DocUpdate("s", "Background Job", "JOB-1", "m3")
		time.Sleep(2 * time.Second)
		p.DocUpdate("s", "Background Job", "JOB-1", "m4") // sent by the stop
	})
	want := []sentEvent{
		{0, "doc_update", "doc:Background Job/JOB-1", "m1"},
		{0, "doc_update", "doc:Background Job/JOB-2", "other"},
		{2 * time.Second, "doc_update", "doc:Background Job/JOB-1", "m3"},
		{3 * time.Second, "doc_update", "doc:Background Job/JOB-1", "m4"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUpdatesWaitForRedis(t *testing.T) {
	got := coalescing(t, func(p *Publisher, r *recorder) {
		r.fail(errors.New("connection refused"))
		p.DocUpdate("s", "D", "1", "m1")
		p.ListUpdate("s", "D", "a")
		time.Sleep(time.Minute)
		p.ListUpdate("s", "D", "b")
		p.DocUpdate("s", "D", "1", "m2")
		synctest.Wait()
		r.fail(nil)
		time.Sleep(5 * time.Second)
	})
	what := map[string]int{}
	for _, e := range got {
		what[e.What]++
		if e.At < time.Minute || e.At > time.Minute+4*time.Second {
			t.Errorf("%s went out after %s, want it soon after Redis came back", e.What, e.At)
		}
	}
	if diff := cmp.Diff(map[string]int{"m2": 1, "a": 1, "b": 1}, what); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What comes while a send is failing is newer than what it puts back.
func TestUpdatesDuringAFailure(t *testing.T) {
	got := coalescing(t, func(p *Publisher, r *recorder) {
		r.delay = time.Second
		r.fail(errors.New("connection refused"))
		p.DocUpdate("s", "D", "1", "m1")
		p.ListUpdate("s", "D", "a")
		synctest.Wait() // the send has begun
		p.DocUpdate("s", "D", "1", "m2")
		p.ListUpdate("s", "D", "b", "a")
		time.Sleep(1500 * time.Millisecond)
		r.fail(nil)
		time.Sleep(10 * time.Second)
	})
	var what []string
	for _, e := range got {
		what = append(what, e.What)
	}
	slices.Sort(what)
	if diff := cmp.Diff([]string{"a", "b", "m2"}, what); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCloseFlushesWithoutRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{start: time.Now()}
		p := newPublisher(nil, r.send)
		p.ListUpdate("s", "D", "a", "b")
		p.ListUpdate("s", "D")
		p.DocUpdate("s", "D", "a", "m")
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if len(r.events) != 3 {
			t.Errorf("%d events were sent, want 3: %v", len(r.events), r.events)
		}
		if err := p.Close(); err != nil || len(r.events) != 3 {
			t.Errorf("second close: %v, %d events", err, len(r.events))
		}
	})
}

func TestUpdatesAreBounded(t *testing.T) {
	p := newPublisher(nil, nil)
	for i := range 3*maxListNames + 7 {
		p.ListUpdate("s", "D", fmt.Sprint(i))
	}
	for i := range maxWindows + 10 {
		p.DocUpdate("s", "D", fmt.Sprint(i), "m")
	}
	if n := len(p.docs.windows); n != maxWindows {
		t.Errorf("%d documents are remembered, want %d", n, maxWindows)
	}
	if p.docs.dropped != 10 {
		t.Errorf("%d counted as dropped, want 10", p.docs.dropped)
	}
	now := time.Now()
	names := p.lists.take(now, false)[0].values
	if len(names) != maxListNames || names[len(names)-1] != fmt.Sprint(3*maxListNames+6) {
		t.Errorf("%d names to %s are kept, want the newest %d", len(names), names[len(names)-1], maxListNames)
	}
	if n := len(p.docs.take(now, false)); n != maxWindows {
		t.Errorf("%d documents are due, want %d", n, maxWindows)
	}
	// A window without a further update is forgotten when it is over.
	if n := len(p.docs.take(now.Add(docInterval-1), false)); n != 0 || len(p.docs.windows) != maxWindows {
		t.Errorf("%d due, %d remembered within the interval", n, len(p.docs.windows))
	}
	if n := len(p.docs.take(now.Add(docInterval), false)); n != 0 || len(p.docs.windows) != 0 {
		t.Errorf("%d due, %d remembered after the interval", n, len(p.docs.windows))
	}
	if p.DocUpdate("s", "D", "1", "m"); len(p.docs.ready) != 1 {
		t.Error("there is no room again")
	}
}
