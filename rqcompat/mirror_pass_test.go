package rqcompat

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// readOn reads one more page.
func (b *bed) readOn(m *Mirror) (added, removed []string) {
	b.t.Helper()
	added, removed, err := m.ReadOn(b.ctx())
	if err != nil {
		b.t.Fatal(err)
	}
	return added, removed
}

// TestMirrorSeesBothEndsOfALongList at once, and what comes there while it reads what is in between, each id once.
func TestMirrorSeesBothEndsOfALongList(t *testing.T) {
	b := newBed(t, "2.6.1")
	const n = 3*listPage + 7
	b.many(n, func(p redis.Pipeliner, id string) { p.RPush(b.ctx(), "rq:queue:default", id) })
	m := b.NewMirror("default")
	known := map[string]bool{}
	take := func(added, removed []string) {
		t.Helper()
		for _, id := range added {
			if known[id] {
				t.Fatalf("%s is new twice", id)
			}
			known[id] = true
		}
		if len(removed) > 0 {
			t.Fatalf("%q have left", removed)
		}
	}
	take(b.sync(m))
	if !known["many-0"] || !known[fmt.Sprint("many-", n-1)] || len(known) > 2*mirrorFirst {
		t.Errorf("of %d ids the first look sees %d, want some of both ends", n, len(known))
	}
	steps := 0
	for ; m.Unread(); steps++ {
		take(b.readOn(m))
		b.do("RPUSH", "rq:queue:default", fmt.Sprint("new-", steps))
		take(b.sync(m))
		if !known[fmt.Sprint("new-", steps)] {
			t.Errorf("what came after page %d wasn't seen at once", steps)
		}
	}
	if list := b.rdb.LRange(b.ctx(), "rq:queue:default", 0, -1).Val(); !slices.Equal(m.all(), list) || len(known) != len(list) {
		t.Errorf("%d ids are known and %d told after %d pages, want the list's %d in order", m.Len(), len(known), steps, len(list))
	}
	if steps > 5 {
		t.Errorf("it took %d pages", steps)
	}
}

// TestMirrorReadsWhileOthersPopAndPush: with small pages, whatever comes and goes while they are read, nothing that waits is
// missed, nothing is told twice, and in the end the mirror equals the list.
func TestMirrorReadsWhileOthersPopAndPush(t *testing.T) {
	b := newBed(t, "2.6.1")
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 5))
		b.do("DEL", "rq:queue:default")
		next := 0
		push := func(command string, n int) {
			for range n {
				next++
				b.do(command, "rq:queue:default", fmt.Sprint(next))
			}
		}
		push("RPUSH", 400)
		m := b.NewMirror("default")
		m.page, m.overlap = 20, 5
		known := map[string]bool{}
		told := func(added, removed []string) {
			for _, id := range removed {
				if !known[id] {
					t.Fatalf("seed %d: %s has left, which was not there", seed, id)
				}
				delete(known, id)
			}
			for _, id := range added {
				if known[id] {
					t.Fatalf("seed %d: %s is new, which was there", seed, id)
				}
				known[id] = true
			}
			if len(known) != m.Len() {
				t.Fatalf("seed %d: %d ids are told of, the mirror holds %d", seed, len(known), m.Len())
			}
		}
		change := func() {
			switch list := b.rdb.LRange(b.ctx(), "rq:queue:default", 0, -1).Val(); r.IntN(7) {
			case 0:
				push("RPUSH", r.IntN(30))
			case 1:
				push("LPUSH", r.IntN(12))
			case 2:
				b.do("LPOP", "rq:queue:default", r.IntN(15)+1)
			case 3: // own claim
				if len(list) > 0 {
					id := list[r.IntN(len(list))]
					b.do("LREM", "rq:queue:default", 1, id)
					m.Drop(id)
					delete(known, id)
				}
			case 4: // of another bridge
				if len(list) > 0 {
					b.do("LREM", "rq:queue:default", 1, list[r.IntN(len(list))])
				}
			case 5:
				b.do("LMOVE", "rq:queue:default", "rq:queue:default", "LEFT", "RIGHT")
			}
		}
		for range 200 {
			change()
			told(b.sync(m))
			told(b.readOn(m))
		}
		// What is wrong by now shows within the time that a difference may stay.
		for range 3 {
			m.read, m.driftSince = time.Time{}, time.Time{}
			told(b.sync(m))
			for m.Unread() {
				told(b.readOn(m))
			}
		}
		list := b.rdb.LRange(b.ctx(), "rq:queue:default", 0, -1).Val()
		slices.Sort(list)
		got := m.all()
		slices.Sort(got)
		if !slices.Equal(got, list) {
			t.Fatalf("seed %d: the mirror holds %d ids, the list %d", seed, len(got), len(list))
		}
	}
}

// TestIDList: against a map and a slice.
func TestIDList(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	l := newIDList()
	var want []string
	for step := range 200_000 {
		id := fmt.Sprint("id-", r.IntN(20_000))
		if at := r.IntN(len(want) + 1); l.find(id) == 0 {
			behind := uint32(0)
			if at > 0 {
				behind = l.find(want[at-1])
			}
			l.insert(behind, id, 0)
			want = slices.Insert(want, at, id)
		}
		if len(want) > 300 || step%3 == 0 && len(want) > 0 {
			at := r.IntN(len(want))
			place := l.find(want[at])
			if place == 0 || l.text(place) != want[at] {
				t.Fatalf("step %d: %s isn't found", step, want[at])
			}
			l.remove(place)
			if l.find(want[at]) > 0 {
				t.Fatalf("step %d: %s is still found", step, want[at])
			}
			want = slices.Delete(want, at, at+1)
		}
		if l.count != len(want) {
			t.Fatalf("step %d: %d ids, want %d", step, l.count, len(want))
		}
	}
	at := 0
	l.each(func(place uint32) {
		if l.text(place) != want[at] {
			t.Fatalf("%s stands at %d, want %s", l.text(place), at, want[at])
		}
		at++
	})
}

// BenchmarkAWaitingID measures what an id of Frappe's length takes in a mirror.
func BenchmarkAWaitingID(b *testing.B) {
	const n = 1_000_000
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for b.Loop() {
		before := heap()
		l := newIDList()
		for i := range n {
			l.insert(l.node(0).prev, fmt.Sprintf("site1.localhost||%036d", i), 0)
		}
		b.ReportMetric((heap()-before)/n, "B/id")
		runtime.KeepAlive(l)
	}
}
