package sites

import (
	"context"
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

// TestSchedule knows what is due by Redis's clock, whatever this machine's says.
func TestSchedule(t *testing.T) {
	ctx := t.Context()
	ahead := -time.Hour
	s := newSchedule(t, servertest.Redis(t).Addr, &ahead)
	want := func(what string, names ...string) {
		t.Helper()
		if got, err := s.due(ctx, site); err != nil || !slices.Equal(got, names) {
			t.Errorf("%s: due are %v, %v, want %v", what, got, err, names)
		}
	}
	for name, in := range map[string]time.Duration{"JOB-2": time.Minute, "JOB-1": 30 * time.Second, "JOB-3": time.Hour} {
		if err := s.note(ctx, site, name, time.Now().Add(in)); err != nil {
			t.Fatal(err)
		}
	}
	want("at once")
	early, err := s.early(ctx, site, []string{"JOB-1", "JOB-3", "JOB-4"})
	if err != nil || !early["JOB-1"] || !early["JOB-3"] || early["JOB-4"] {
		t.Errorf("early are %v, %v, want those that it knows", early, err)
	}
	ahead += 2 * time.Minute
	want("two minutes later", "JOB-1", "JOB-2")
	if early, err := s.early(ctx, site, []string{"JOB-1", "JOB-3"}); err != nil || early["JOB-1"] || !early["JOB-3"] {
		t.Errorf("early are %v, %v, want the one that isn't due yet", early, err)
	}
	// The first ran meanwhile, and failed again; the second has ended.
	if err := s.note(ctx, site, "JOB-1", time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := s.forget(ctx, site, []string{"JOB-1", "JOB-2", "JOB-4"}); err != nil {
		t.Fatal(err)
	}
	want("what is over is forgotten")
	ahead += 2 * time.Minute
	want("a new retry is not", "JOB-1")
	ahead += 25 * time.Hour
	if err := s.note(ctx, site, "JOB-5", time.Now()); err != nil {
		t.Fatal(err)
	}
	want("what nobody moves for a day is left to its row", "JOB-5")
	if ttl := s.Redis.TTL(ctx, scheduleKey(site)).Val(); ttl < 7*24*time.Hour {
		t.Errorf("the schedule of a site expires in %s, want a week at least", ttl)
	}
	s = nil
	want("without a schedule")
	if err := s.note(ctx, site, "x", time.Now()); err != nil {
		t.Error(err)
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
	if due, err := s.Due(t.Context(), site, nil, 1); err != nil || due != nil {
		t.Errorf("due are %v, %v, want none", due, err)
	}
}
