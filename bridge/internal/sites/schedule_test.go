package sites

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/redis/go-redis/v9"
)

// newSchedule is one whose Redis's clock is ahead of this machine's by what ahead points to.
func newSchedule(t *testing.T, addr string, ahead *time.Duration) *Schedule {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	return &Schedule{Redis: rdb, Now: func(context.Context) time.Time { return time.Now().Add(*ahead) }}
}

// TestSchedule knows what is due by Redis's clock, whatever this machine's says, and gives it to one.
func TestSchedule(t *testing.T) {
	ctx := t.Context()
	ahead := -time.Hour
	s := newSchedule(t, servertest.Redis(t).Addr, &ahead)
	clock := func() time.Time { return time.Now().Add(ahead).Truncate(time.Microsecond) }
	want := func(what string, names ...string) {
		t.Helper()
		if got, err := s.due(ctx, site); err != nil || !slices.Equal(got, names) {
			t.Errorf("%s: due are %v, %v, want %v", what, got, err, names)
		}
	}
	soonest := func(want time.Duration) {
		t.Helper()
		if in, err := s.soonest(ctx); err != nil || in[site] < want-time.Second || in[site] > want {
			t.Errorf("the first is due in %v, %v, want in %s", in, err, want)
		}
	}
	var taken map[string]time.Time
	take := func(what string, names ...string) (until time.Time) {
		t.Helper()
		var err error
		taken, until, err = s.take(ctx, site, []string{"JOB-1", "JOB-2", "JOB-3", "JOB-4"})
		if got := slices.Sorted(maps.Keys(taken)); err != nil || !slices.Equal(got, names) {
			t.Errorf("%s: taken are %v, %v, want %v", what, taken, err, names)
		}
		return until
	}
	forget := func(taken time.Time, names ...string) {
		t.Helper()
		if err := s.forget(ctx, site, names, taken); err != nil {
			t.Fatal(err)
		}
	}
	note := func(name string, at time.Time) {
		t.Helper()
		if err := s.note(ctx, site, name, at); err != nil {
			t.Fatal(err)
		}
	}
	noted := map[string]time.Time{}
	for name, in := range map[string]time.Duration{"JOB-2": time.Minute, "JOB-1": 30 * time.Second, "JOB-3": time.Hour} {
		noted[name] = clock().Add(in)
		note(name, noted[name])
	}
	want("at once")
	soonest(30 * time.Second)
	times, err := s.times(ctx, site, []string{"JOB-1", "JOB-3", "JOB-4"})
	if err != nil || !times["JOB-1"].Equal(noted["JOB-1"]) || !times["JOB-3"].Equal(noted["JOB-3"]) || !times["JOB-4"].IsZero() {
		t.Errorf("they are due %v, %v, want those that it knows: %v", times, err, noted)
	}
	ahead += 2 * time.Minute
	want("two minutes later", "JOB-1", "JOB-2")
	until := take("two are due", "JOB-1", "JOB-2")
	if at := taken["JOB-1"]; !at.Equal(noted["JOB-1"]) {
		t.Errorf("it was due %s, want %s", at, noted["JOB-1"])
	}
	want("what is taken is nobody else's")
	take("what is taken is nobody else's")
	soonest(takenFor)
	// The first ran meanwhile, and failed again; the second has ended.
	note("JOB-1", clock().Add(time.Minute))
	forget(until, "JOB-1", "JOB-2", "JOB-4")
	soonest(time.Minute)
	ahead += 2 * time.Minute
	want("a new retry is not forgotten", "JOB-1")
	take("one is due", "JOB-1")
	ahead += takenFor
	want("what is taken by one that dies is anybody's", "JOB-1")
	forget(time.Time{}, "JOB-1", "JOB-3")
	want("what doesn't wait any more is forgotten")
	if err := s.adopt(ctx, site, []string{"JOB-3", "JOB-4"}); err != nil {
		t.Fatal(err)
	}
	want("what is unknown is due now", "JOB-4")
	note("JOB-3", clock().Add(30*24*time.Hour))
	note("JOB-6", clock().Add(time.Minute))
	if ttl := s.Redis.TTL(ctx, scheduleKey(site)).Val(); ttl < 37*24*time.Hour-time.Minute {
		t.Errorf("the schedule of a site expires in %s, want a week after the last", ttl)
	}
	ahead += 25 * time.Hour
	note("JOB-5", clock())
	want("what nobody moves for a day is left to its row", "JOB-5")
	take("that is due")
	forget(time.Time{}, "JOB-3", "JOB-5")
	soonest(29*24*time.Hour - time.Hour)
	ahead += 30 * 24 * time.Hour
	forget(time.Time{}, "JOB-3")
	if in, err := s.soonest(ctx); err != nil || len(in) > 0 {
		t.Errorf("nothing waits, and yet %v, %v", in, err)
	}
}

// TestARetryIsScheduledBeforeItsRowIsMoved: nobody may see the row without it.
func TestARetryIsScheduledBeforeItsRowIsMoved(t *testing.T) {
	var none time.Duration
	s := withoutDatabase(&story{}, rows.TransitionResult{}, nil)
	s.Schedule = newSchedule(t, servertest.Redis(t).Addr, &none)
	var seen []float64
	s.writers[site].ends.Call = func(_ context.Context, ts []rows.Transition) ([]rows.TransitionResult, error) {
		seen = s.Schedule.Redis.ZMScore(t.Context(), scheduleKey(site), "JOB-1").Val()
		return make([]rows.TransitionResult, len(ts)), nil
	}
	now := time.Now()
	if _, err := s.Apply(t.Context(), moves.Fail(site, runningRow(), moves.Said{}, moves.Failure{Err: errAway, Attempt: 1}, now, time.Minute), nil); err != nil {
		t.Fatal(err)
	}
	if at := score(now.Add(time.Minute)); len(seen) != 1 || seen[0] < at-1 || seen[0] > at+1 {
		t.Errorf("as the row is moved its retry is scheduled for %v, want %v", seen, at)
	}
}

// TestNothingIsDueWhileRedisIsAway: it couldn't be delivered; that Redis is away is said elsewhere.
func TestNothingIsDueWhileRedisIsAway(t *testing.T) {
	var none time.Duration
	s := New(Params{Schedule: newSchedule(t, "127.0.0.1:1", &none)})
	if due, err := s.Due(t.Context(), site, nil, true); err != nil || due.Retries != nil {
		t.Errorf("due are %v, %v, want none", due, err)
	}
}

// TestManyAreDue at once: whoever asks gets some of the first, and not everybody the same.
func TestManyAreDue(t *testing.T) {
	var ahead time.Duration
	s := newSchedule(t, servertest.Redis(t).Addr, &ahead)
	at, began := map[string]time.Time{}, time.Now().Add(-time.Minute)
	var all []string
	for i := range dueAmong + 100 {
		name := fmt.Sprintf("JOB-%05d", i)
		all, at[name] = append(all, name), began.Add(time.Duration(i)*time.Millisecond)
	}
	sites := &Sites{Params: Params{Schedule: s}}
	if err := sites.noteTimes(t.Context(), site, "", at); err != nil {
		t.Fatal(err)
	}
	firsts, left := map[string]bool{}, len(all)
	for range 200 {
		got, err := s.due(t.Context(), site)
		if err != nil || len(got) == 0 || len(got) > dueMost {
			t.Fatalf("%d are due, %v", len(got), err)
		}
		if i := slices.Index(all, got[0]); i+len(got) > dueAmong || !slices.Equal(all[i:i+len(got)], got) {
			t.Fatalf("of %d the %d from place %d are named, want some of the first %d in their order", len(all), len(got), i, dueAmong)
		}
		firsts[got[0]] = true
	}
	if len(firsts) < dueAmong/dueMost/2 {
		t.Errorf("in 200 times only the parts that begin with %v were named", firsts)
	}
	for left > 0 {
		got, err := s.due(t.Context(), site)
		taken, _, err2 := s.take(t.Context(), site, got)
		if err != nil || err2 != nil || len(taken) == 0 {
			t.Fatalf("with %d left %d are named, and %d taken; %v, %v", left, len(got), len(taken), err, err2)
		}
		left -= len(taken)
	}
}
