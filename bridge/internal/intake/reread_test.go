package intake

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

var longAgo = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// rereads makes a claimer that keeps no waiting job; l has what it reads again.
func (r *claims) rereads(l *queue, ids ...string) *Claimer {
	c := r.claimer(10)
	c.Fetch, c.Router = l.Fetch, l
	for _, id := range ids {
		q := waitingJob("s", "o", id, "High")
		q.Memory, q.Before, q.Seen = mostKept+1, "before "+id, longAgo
		c.Fair.Add(q)
	}
	return c
}

func (r *claims) claimAll(t *testing.T, ctx context.Context, c *Claimer) {
	t.Helper()
	dealt := c.Fair.deal(10)
	if err := c.claim(ctx, dealt, c.Slots.Take(len(dealt))); err != nil {
		t.Fatal(err)
	}
}

// TestAClaimedJobIsReadAgain: all of a claim in one fetch, and what routing says now counts.
func TestAClaimedJobIsReadAgain(t *testing.T) {
	r := &claims{result: map[string]rqcompat.ClaimResult{"gone": rqcompat.ClaimGone}}
	l := newQueue()
	l.verdict["python's"] = route.Routed{Verdict: route.Foreign}
	l.verdict["unready"] = route.Routed{Verdict: route.Unready}
	l.verdict["held"] = route.Routed{Verdict: route.Held}
	c := r.rereads(l, "a", "python's", "gone", "unready", "held", "b")
	r.claimAll(t, t.Context(), c)
	var got []string
	for i, again := range r.again {
		outline := r.queued[i]
		if outline.Site != "s" || outline.Organization != "o" || outline.Queue.Name != "q" || outline.Kwargs != nil {
			t.Errorf("before it is read, job %s is %+v", outline.ID, outline)
		}
		if q := again(t.Context()); q != nil {
			got = append(got, q.ID+": "+q.Before)
		}
	}
	if !slices.Equal(got, []string{"a: before a", "b: before b"}) {
		t.Errorf("run are %q, want a and b with what is known of them", got)
	}
	for _, f := range l.found {
		if !f.Seen.Equal(longAgo) {
			t.Errorf("%s counts as seen at %s, want when it was: what it waits for has had its time", f.Job.ID, f.Seen)
		}
	}
	if want := [][]string{{"a", "python's", "unready", "held", "b"}}; fmt.Sprint(l.fetched) != fmt.Sprint(want) {
		t.Errorf("read again were %v, want %v", l.fetched, want)
	}
}

// TestAKeptJobIsNotReadAgain.
func TestAKeptJobIsNotReadAgain(t *testing.T) {
	r := &claims{}
	l := newQueue()
	c := r.rereads(l)
	q := waitingJob("s", "o", "a", "Normal")
	c.Fair.Add(q)
	r.claimAll(t, t.Context(), c)
	if r.queued[0] != q || r.again[0] != nil || len(l.fetched) > 0 {
		t.Errorf("a kept job started as %+v, fetched %v, want itself and nothing", r.queued[0], l.fetched)
	}
}

// TestAKeptJobThatIsAnotherByNow: somebody has enqueued another one with its id since it was read. That one was claimed.
func TestAKeptJobThatIsAnotherByNow(t *testing.T) {
	r := &claims{result: map[string]rqcompat.ClaimResult{"a": rqcompat.ClaimedAnother}}
	l := newQueue()
	c := r.rereads(l)
	q := waitingJob("s", "o", "a", "Normal")
	q.CreatedAt = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	c.Fair.Add(q)
	r.claimAll(t, t.Context(), c)
	if got := r.calls[0][0].CreatedAt; !got.Equal(q.CreatedAt) {
		t.Errorf("claimed as made at %s, want %s", got, q.CreatedAt)
	}
	if r.again[0] == nil {
		t.Fatal("it runs what was read before")
	}
	if got := r.again[0](t.Context()); got == q || len(l.fetched) != 1 {
		t.Errorf("it runs %+v after reading %v, want what is read now", got, l.fetched)
	}
}

// TestReadingAgainWaitsForRedis, and gives the jobs back at the end.
func TestReadingAgainWaitsForRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &claims{}
		l := newQueue()
		l.fetchErr[0], l.fetchErr[1] = errBroken, errBroken
		c := r.rereads(l, "a")
		r.claimAll(t, t.Context(), c)
		if q := r.again[0](t.Context()); q == nil || len(l.fetched) != 3 {
			t.Errorf("read %v times: %v, want the job at the third", len(l.fetched), q)
		}
		l.fetchErr[3] = errBroken
		q := waitingJob("s", "o", "b", "Normal")
		q.Memory = mostKept + 1
		c.Fair.Add(q)
		ctx, cancel := context.WithCancel(t.Context())
		r.claimAll(t, ctx, c)
		cancel()
		if q := r.again[1](t.Context()); q != nil {
			t.Errorf("read again at the end: %+v, want it given back", q)
		}
	})
}

// TestWaitingForWhatIsReadAgainEnds with the attempt, whatever the reading does.
func TestWaitingForWhatIsReadAgainEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rereading
		again := r.add(&Note{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if q := again(ctx); q != nil {
			t.Errorf("nothing was read, but %+v", q)
		}
	})
}
