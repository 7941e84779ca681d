package bridge

import (
	"testing"
	"time"
)

// TestSlotsThatAreNotUsedStayIdle: what the claimer takes and doesn't need must
// not look as if it had worked, or a trickle of jobs would keep every record.
func TestSlotsThatAreNotUsedStayIdle(t *testing.T) {
	s := newSlots(3, []string{"q"})
	busy := s.take(3)
	for _, f := range busy {
		f.registered = true
	}
	s.giveBack(busy...)
	time.Sleep(20 * time.Millisecond)
	limit := time.Now()
	for range 3 {
		free := s.take(3)
		s.putBack(free[1:])
		s.giveBack(free[0])
	}
	if warm, cold := s.idleRecords(limit, 0); len(warm) != 1 || len(cold) != 2 {
		t.Errorf("%d slots are warm and %d cold, want 1 that worked and 2", len(warm), len(cold))
	}
}

// TestSlotsLastInFirstOut: two jobs at a time need two records, however often
// the claims come.
func TestSlotsLastInFirstOut(t *testing.T) {
	s := newSlots(5, []string{"q"})
	for range 10 {
		var busy []*slot
		for range 2 {
			free := s.take(128)
			s.putBack(free[1:])
			free[0].registered = true
			busy = append(busy, free[0])
		}
		s.giveBack(busy...)
	}
	if n := len(s.records()); n != 2 {
		t.Errorf("%d slots have worked, want 2", n)
	}
}
