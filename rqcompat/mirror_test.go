package rqcompat

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func (b *bed) sync(m *Mirror) (added, removed []string) {
	b.t.Helper()
	added, removed, err := m.Sync(b.ctx())
	if err != nil {
		b.t.Fatal(err)
	}
	return added, removed
}

func (b *bed) wantMirror(m *Mirror, want ...string) {
	b.t.Helper()
	if got := m.all(); !slices.Equal(got, want) {
		b.t.Errorf("mirror holds %q, want %q", got, want)
	}
}

func TestMirror(t *testing.T) {
	for _, c := range []struct {
		name           string
		change         [][]any
		added, removed []string
		want           []string
	}{
		{"nothing", nil, nil, nil, []string{"a", "b", "c"}},
		{"push", [][]any{{"RPUSH", "Q", "d", "e"}}, []string{"d", "e"}, nil, []string{"a", "b", "c", "d", "e"}},
		{"at front", [][]any{{"LPUSH", "Q", "d", "e"}}, []string{"e", "d"}, nil, []string{"e", "d", "a", "b", "c"}},
		{"popped", [][]any{{"LPOP", "Q", "2"}}, nil, []string{"a", "b"}, []string{"c"}},
		{"popped and pushed", [][]any{{"LPOP", "Q"}, {"RPUSH", "Q", "d"}, {"LPUSH", "Q", "e"}}, []string{"e", "d"}, []string{"a"}, []string{"e", "b", "c", "d"}},
		{"emptied", [][]any{{"DEL", "Q"}}, nil, []string{"a", "b", "c"}, nil},
		{"replaced", [][]any{{"DEL", "Q"}, {"RPUSH", "Q", "x", "y"}}, []string{"x", "y"}, []string{"a", "b", "c"}, []string{"x", "y"}},
		{"last to the front", [][]any{{"LMOVE", "Q", "Q", "RIGHT", "LEFT"}}, nil, []string{"a", "b"}, nil},
		{"a second copy", [][]any{{"RPUSH", "Q", "b"}}, nil, nil, []string{"a", "b", "c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, "2.6.1")
			b.do("RPUSH", "rq:queue:default", "a", "b", "c")
			m := b.NewMirror("default")
			if added, removed := b.sync(m); !slices.Equal(added, []string{"a", "b", "c"}) || removed != nil {
				t.Errorf("first sync: %q, %q", added, removed)
			}
			for _, cmd := range c.change {
				cmd = slices.Clone(cmd)
				for i := range cmd {
					if cmd[i] == "Q" {
						cmd[i] = "rq:queue:default"
					}
				}
				b.do(cmd...)
			}
			added, removed := b.sync(m)
			if c.name == "last to the front" {
				// a and b must not be forgotten because c shows at the head.
				b.wantMirror(m, "c", "a", "b")
				return
			}
			if !slices.Equal(added, c.added) || !slices.Equal(removed, c.removed) {
				t.Errorf("added %q, removed %q; want %q, %q", added, removed, c.added, c.removed)
			}
			b.wantMirror(m, c.want...)
		})
	}
}

// What is taken from the middle by others shows in the length and is found by reading the list again.
func TestMirrorDrift(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.do("RPUSH", "rq:queue:default", "a", "b", "c")
	m := b.NewMirror("default")
	b.sync(m)
	b.do("LREM", "rq:queue:default", 1, "b")
	b.sync(m)
	b.wantMirror(m, "a", "b", "c")
	m.driftSince = time.Now().Add(-mirrorDrift - time.Second)
	if _, removed := b.sync(m); !slices.Equal(removed, []string{"b"}) {
		t.Errorf("removed %q, want b", removed)
	}
	b.wantMirror(m, "a", "c")
	if m.listLen != 2 || m.Len() != 2 {
		t.Errorf("waiting %d, len %d, want 2", m.listLen, m.Len())
	}
}

// Of a queue longer than a mirror the head is read, and more of it as that goes; what comes is seen nevertheless.
func TestMirrorLimit(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.many(600, func(p redis.Pipeliner, id string) { p.RPush(b.ctx(), "rq:queue:default", id) })
	m := b.NewMirror("default")
	m.limit, m.page, m.overlap = 200, 50, 10
	read := func() (added []string) {
		added, _ = b.sync(m)
		for m.Unread() {
			b.readOn(m)
		}
		return added
	}
	read()
	b.do("LPOP", "rq:queue:default", 6)
	b.do("RPUSH", "rq:queue:default", "new")
	if added := read(); !slices.Contains(added, "new") {
		t.Errorf("what came isn't among %q", added)
	}
	for left := b.llen(); left > 0; left = b.llen() {
		if m.Len() == 0 || m.Len() > 300+mirrorEnd || m.listLen != left {
			t.Fatalf("the mirror has %d of %d ids, of which the queue has %d", m.Len(), m.listLen, left)
		}
		b.do("LPOP", "rq:queue:default", 7)
		read()
	}
	b.wantMirror(m)
}

func (b *bed) llen() int64 { return b.do("LLEN", "rq:queue:default").(int64) }

// After any mixture of changes by others and own claims, a mirror that has settled equals the list.
func TestMirrorRandom(t *testing.T) {
	b := newBed(t, "2.6.1")
	r := rand.New(rand.NewPCG(1, 2))
	m := b.NewMirror("default")
	known := map[string]bool{}
	next := 0
	for step := range 600 {
		switch r.IntN(8) {
		case 0, 1:
			for range r.IntN(40) {
				next++
				b.do("RPUSH", "rq:queue:default", fmt.Sprint(next))
			}
		case 2:
			next++
			b.do("LPUSH", "rq:queue:default", fmt.Sprint(next))
		case 3, 4:
			b.do("LPOP", "rq:queue:default", r.IntN(12)+1)
		case 5: // own claim, given back by somebody now and then
			if n := m.Len(); n > 0 {
				id := m.all()[r.IntN(n)]
				b.do("LREM", "rq:queue:default", 1, id)
				m.Drop(id)
				delete(known, id)
			}
		case 6:
			b.do("LMOVE", "rq:queue:default", "rq:queue:default", "RIGHT", "LEFT")
		}
		added, removed := b.sync(m)
		for _, id := range removed {
			if !known[id] {
				t.Fatalf("step %d: removed %s, which was not there", step, id)
			}
			delete(known, id)
		}
		for _, id := range added {
			known[id] = true
		}
		if len(known) != m.Len() {
			t.Fatalf("step %d: added and removed say %d ids, the mirror holds %d", step, len(known), m.Len())
		}
		list, _ := b.rdb.LRange(b.ctx(), "rq:queue:default", 0, -1).Result()
		for _, id := range list {
			if !m.has(id) {
				t.Fatalf("step %d: %s is in the queue and not in the mirror", step, id)
			}
		}
		if step%50 == 49 {
			m.driftSince = time.Now().Add(-time.Hour)
			b.sync(m)
			m.read = time.Time{}
			for _, id := range func() []string { _, gone := b.sync(m); return gone }() {
				delete(known, id)
			}
			b.wantMirror(m, list...)
		}
	}
}

func BenchmarkMirrorSync(b *testing.B) {
	bed := newBed(b, "2.6.1")
	for i := range 10_000 {
		bed.do("RPUSH", "rq:queue:default", fmt.Sprint("site1.local||0123456789abcdef", i))
	}
	m := bed.NewMirror("default")
	bed.sync(m)
	b.ResetTimer()
	for range b.N {
		bed.sync(m)
	}
}

// failOn makes the n-th pipeline from now on fail.
type failOn struct{ n int }

func (*failOn) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*failOn) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (f *failOn) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if f.n--; f.n == 0 {
			return errors.New("broken connection")
		}
		return next(ctx, cmds)
	}
}

// TestMirrorNamesWhatABrokenSyncTookUp: an id that a broken Sync has taken up must be named by that Sync or by a
// later one.
func TestMirrorNamesWhatABrokenSyncTookUp(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.do("RPUSH", "rq:queue:default", "a", "b", "c", "d")
	m := b.NewMirror("default")
	b.sync(m)
	b.do("LREM", "rq:queue:default", "1", "b")
	b.sync(m)
	m.driftSince = time.Now().Add(-time.Hour)
	b.do("RPUSH", "rq:queue:default", "e")
	b.rdb.AddHook(&failOn{n: 2})
	named, removed, err := m.Sync(b.ctx())
	if err != nil && (named != nil || removed != nil) {
		t.Errorf("%v, and yet %q and %q", err, named, removed)
	}
	more, gone := b.sync(m)
	if named, removed = append(named, more...), append(removed, gone...); !slices.Equal(named, []string{"e"}) || !slices.Equal(removed, []string{"b"}) {
		t.Errorf("new %q, gone %q, want e and b", named, removed)
	}
}

// TestAMirrorThatIsCleared finds everything anew, and loses nothing in between.
func TestAMirrorThatIsCleared(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.do("RPUSH", "rq:queue:default", "a", "b")
	m := b.NewMirror("default")
	b.sync(m)
	m.Clear()
	b.wantMirror(m)
	b.do("DEL", "rq:queue:default")
	if _, removed := b.sync(m); removed != nil {
		t.Errorf("sync after Clear names %q as gone, which nobody has seen", removed)
	}
	m.Clear()
	b.do("RPUSH", "rq:queue:default", "a", "b")
	if added, removed := b.sync(m); !slices.Equal(added, []string{"a", "b"}) || removed != nil || m.listLen != 2 {
		t.Errorf("sync after Clear: %q, %q, want both as new", added, removed)
	}
	b.do("RPUSH", "rq:queue:default", "c")
	b.sync(m)
	b.wantMirror(m, "a", "b", "c")
}
