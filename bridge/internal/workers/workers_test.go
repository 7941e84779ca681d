package workers

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// records notes what a heartbeat does in Redis.
type records struct {
	renewed, removed []string
	ttl              time.Duration
	err              error
}

func names(ws []*rqcompat.Worker) (out []string) {
	for _, w := range ws {
		out = append(out, w.Name)
	}
	slices.Sort(out)
	return out
}

func (r *records) Heartbeat(_ context.Context, ws []*rqcompat.Worker, ttl time.Duration) error {
	r.renewed, r.ttl = names(ws), ttl
	return r.err
}

func (r *records) Deregister(_ context.Context, ws []*rqcompat.Worker) error {
	r.removed = names(ws)
	return r.err
}

var quiet = slog.New(slog.DiscardHandler)

// worked takes n slots, as a claim does, and registers them.
func worked(s *Slots, n int) []*Slot {
	slots := s.Take(n)
	for _, f := range slots {
		f.Registered = true
	}
	return slots
}

// registered are the worker records of the slots that are free.
func registered(s *Slots) []*rqcompat.Worker {
	records, _ := s.retire(time.Time{}, 0)
	return records
}

func TestTake(t *testing.T) {
	s := NewSlots(3, []string{"q1", "q2"})
	first := s.Take(2)
	if len(first) != 2 || len(s.Take(128)) != 1 || len(s.Take(1)) != 0 {
		t.Fatal("of three slots 2, then 1, then none must be had")
	}
	w := first[0].Worker
	if !IsOurs(w.Name) || IsOurs("python-1") || !slices.Equal(w.Queues, []string{"q1", "q2"}) || w.PID == 0 || first[0].Registered {
		t.Errorf("worker %+v, registered %v, want one of a bridge, of both queues, not in Redis yet", w, first[0].Registered)
	}
	if w.Name == first[1].Worker.Name {
		t.Errorf("two slots share the name %s", w.Name)
	}
	pattern := s.NamePattern()
	if !strings.HasPrefix(w.Name, strings.TrimSuffix(pattern, "*")) || !strings.HasSuffix(pattern, "*") {
		t.Errorf("the pattern %s doesn't match %s", pattern, w.Name)
	}
	if other := NewSlots(1, nil); other.NamePattern() == pattern {
		t.Error("two processes have the same names")
	}
}

// TestGiveBackTellsWhoWaits for a free slot.
func TestGiveBackTellsWhoWaits(t *testing.T) {
	s := NewSlots(1, nil)
	slot := s.Take(1)
	s.GiveBack()
	s.PutBack(nil)
	select {
	case <-s.Freed:
		t.Fatal("Freed is raised although nothing came back")
	default:
	}
	s.GiveBack(slot...)
	select {
	case <-s.Freed:
	default:
		t.Error("Freed isn't raised although a slot came back")
	}
}

// TestSlotsThatAreNotUsedStayIdle: what the claimer takes and doesn't need must not look as if it had worked, or a
// trickle of jobs would keep every record.
func TestSlotsThatAreNotUsedStayIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSlots(3, []string{"q"})
		s.GiveBack(worked(s, 3)...)
		time.Sleep(20 * time.Millisecond)
		limit := time.Now()
		for range 3 {
			free := s.Take(3)
			s.PutBack(free[1:])
			s.GiveBack(free[0])
		}
		if warm, cold := s.retire(limit, 0); len(warm) != 1 || len(cold) != 2 {
			t.Errorf("%d slots are warm and %d cold, want 1 that worked and 2", len(warm), len(cold))
		}
	})
}

// TestSlotsLastInFirstOut: two jobs at a time need two records, however often the claims come.
func TestSlotsLastInFirstOut(t *testing.T) {
	s := NewSlots(5, []string{"q"})
	for range 10 {
		var busy []*Slot
		for range 2 {
			free := s.Take(128)
			s.PutBack(free[1:])
			free[0].Registered = true
			busy = append(busy, free[0])
		}
		s.GiveBack(busy...)
	}
	if n := len(registered(s)); n != 2 {
		t.Errorf("%d slots have worked, want 2", n)
	}
}

// TestPutBackKeepsTheOrder: as if the slots had never been taken.
func TestPutBackKeepsTheOrder(t *testing.T) {
	s := NewSlots(3, nil)
	s.GiveBack(s.Take(3)...)
	before := s.Take(3)
	s.PutBack(before)
	if after := s.Take(3); !slices.Equal(before, after) {
		t.Error("slots that were put back come in another order")
	}
}

// TestNamesAreNeverUsedAgain: outcomes are fenced by the worker's name, and nobody knows what an old record says.
func TestNamesAreNeverUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSlots(2, []string{"q"})
		seen := map[string]bool{}
		note := func(what string, slots ...*Slot) {
			t.Helper()
			for _, f := range slots {
				if seen[f.Worker.Name] {
					t.Errorf("%s: the name %s was used before", what, f.Worker.Name)
				}
				seen[f.Worker.Name] = true
			}
		}
		slots := worked(s, 2)
		note("at first", slots...)
		s.Rename(slots[0])
		note("renamed", slots[0])
		if slots[0].Registered || slots[0].Worker.Queues[0] != "q" {
			t.Errorf("a renamed slot: registered %v, queues %v, want an unregistered worker of q", slots[0].Registered, slots[0].Worker.Queues)
		}
		s.GiveBack(slots...)
		time.Sleep(2 * slotIdle)
		for _, f := range worked(s, 2) {
			s.GiveBack(f)
		}
		time.Sleep(2 * slotIdle)
		s.retire(time.Now(), 0)
		note("after their records were removed", s.Take(2)...)
	})
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSlots(5, []string{"q"})
		r := &records{}
		busy := worked(s, 3)
		all := names([]*rqcompat.Worker{busy[0].Worker, busy[1].Worker, busy[2].Worker})

		beat := func(busy bool) {
			s.Retire(t.Context(), r, quiet)
			s.Heartbeat(t.Context(), r, busy, quiet)
		}
		beat(true)
		if len(r.renewed) > 0 || len(r.removed) > 0 {
			t.Errorf("while all slots work: renewed %v, removed %v, want none: their jobs' renewal does it", r.renewed, r.removed)
		}
		s.GiveBack(busy...)
		time.Sleep(slotIdle - time.Second)
		beat(false)
		if !slices.Equal(r.renewed, all) || len(r.removed) > 0 {
			t.Errorf("idle for 4 s: renewed %v, removed %v, want all three renewed", r.renewed, r.removed)
		}
		if r.ttl != 90*time.Second {
			t.Errorf("renewed for %s, want 90 s as RQ's workers", r.ttl)
		}
		time.Sleep(2 * time.Second)
		beat(false)
		if len(r.renewed) != 1 || len(r.removed) != 2 {
			t.Errorf("idle for 6 s: renewed %v, removed %v, want one that stays and two that go", r.renewed, r.removed)
		}
		if got := names(registered(s)); !slices.Equal(got, r.renewed) {
			t.Errorf("registered are %v afterwards, want %v", got, r.renewed)
		}
		if free := s.Take(5); len(free) != 5 {
			t.Errorf("%d slots are left of 5", len(free))
		}
	})
}

// TestAQuietProcessShowsOneWorker, unless a running job shows it already.
func TestAQuietProcessShowsOneWorker(t *testing.T) {
	s := NewSlots(2, nil)
	r := &records{}
	s.Heartbeat(t.Context(), r, true, quiet)
	if len(r.renewed) > 0 {
		t.Errorf("renewed %v beside a running job, want none", r.renewed)
	}
	s.Heartbeat(t.Context(), r, false, quiet)
	first := r.renewed
	if len(first) != 1 || !slices.Equal(names(registered(s)), first) {
		t.Fatalf("renewed %v, registered %v, want one", first, names(registered(s)))
	}
	s.Heartbeat(t.Context(), r, false, quiet)
	if !slices.Equal(r.renewed, first) {
		t.Errorf("renewed %v the next time, want %v again", r.renewed, first)
	}
	free := s.Take(3)
	if len(free) != 2 || free[0].Worker.Name != first[0] {
		t.Errorf("%d slots, the next is %s, want 2 and the one that is registered", len(free), free[0].Worker.Name)
	}
	s.Heartbeat(t.Context(), r, false, quiet) // no slot is left to show
}

func TestAHeartbeatThatFailsIsLogged(t *testing.T) {
	var log bytes.Buffer
	s := NewSlots(1, nil)
	r := &records{err: errors.New("no route")}
	logger := slog.New(slog.NewTextHandler(&log, nil))
	s.Heartbeat(t.Context(), r, false, logger)
	s.Retire(t.Context(), r, logger)
	for _, want := range []string{"worker records not renewed", "idle worker records not removed", "no route"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}

func TestLeave(t *testing.T) {
	s := NewSlots(3, nil)
	s.GiveBack(worked(s, 1)...)
	s.GiveBack(s.Take(2)...)
	r := &records{}
	if err := s.Leave(t.Context(), r); err != nil || len(r.removed) != 1 {
		t.Errorf("removed %v, %v, want the one that is registered", r.removed, err)
	}
	r.err = errors.New("no route")
	if err := s.Leave(t.Context(), r); !errors.Is(err, r.err) {
		t.Errorf("error %v, want Redis's", err)
	}
}
