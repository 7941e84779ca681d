package bridge

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func testWork(site, org, id, priority string) *work {
	return &work{queue: "q", id: id, site: site, organization: org, priority: priorityOf(priority)}
}

func dealtIDs(ws []*work) (ids []string) {
	for _, w := range ws {
		ids = append(ids, w.id)
	}
	return ids
}

func TestTurnsAreFairBetweenTenants(t *testing.T) {
	turns := newTurns(map[string]int{"big": 2})
	for i := range 10_000 {
		turns.add(testWork("s", "big", fmt.Sprint("big", i), "Normal"))
	}
	turns.add(testWork("s", "small", "small0", "Normal"), testWork("s", "small", "small1", "Normal"))
	got := dealtIDs(turns.deal(6))
	want := []string{"big0", "big1", "small0", "big2", "big3", "small1"}
	if !slices.Equal(got, want) {
		t.Errorf("dealt %v, want %v", got, want)
	}
}

func TestTurnsPriorityThenAge(t *testing.T) {
	turns := newTurns(nil)
	turns.add(testWork("s", "o", "low", "Low"), testWork("s", "o", "n1", "Normal"),
		testWork("s", "o", "n2", "Normal"), testWork("s", "o", "crit", "Critical"))
	want := []string{"crit", "n1", "n2", "low"}
	if got := dealtIDs(turns.deal(10)); !slices.Equal(got, want) {
		t.Errorf("dealt %v, want %v", got, want)
	}
}

// Whatever is added and dropped, every job that stays is dealt exactly once.
func TestTurnsDealEachJobOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		turns := newTurns(map[string]int{"o1": 3})
		want := map[string]bool{}
		got := map[string]bool{}
		next := 0
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				w := testWork("s", fmt.Sprint("o", rapid.IntRange(0, 3).Draw(t, "org")), fmt.Sprint(next),
					rapid.SampledFrom(priorities[:]).Draw(t, "priority"))
				next++
				want[w.id] = true
				turns.add(w, w)
			},
			"drop": func(t *rapid.T) {
				id := fmt.Sprint(rapid.IntRange(0, next).Draw(t, "id"))
				turns.drop("q", id, "unknown")
				if !got[id] {
					delete(want, id)
				}
			},
			"deal": func(t *rapid.T) {
				for _, id := range dealtIDs(turns.deal(rapid.IntRange(0, 5).Draw(t, "n"))) {
					if got[id] || !want[id] {
						t.Fatalf("job %s dealt twice or after it was dropped", id)
					}
					got[id] = true
				}
			},
			"": func(t *rapid.T) {},
		})
		for _, id := range dealtIDs(turns.deal(1 << 20)) {
			got[id] = true
		}
		if len(got) != len(want) {
			t.Fatalf("dealt %d jobs, want %d", len(got), len(want))
		}
		if !turns.empty() || len(turns.lines) != 0 || len(turns.ring) != 0 {
			t.Fatal("leftovers after everything was dealt")
		}
	})
}
