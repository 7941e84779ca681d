package rqcompat

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisClock is a hook under which Redis's clock is ahead of this machine's.
type redisClock struct {
	ahead, took time.Duration
	err         error
	asked       int
}

func (h *redisClock) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *redisClock) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *redisClock) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c, isTime := cmd.(*redis.TimeCmd)
		if !isTime {
			return next(ctx, cmd)
		}
		h.asked++
		time.Sleep(h.took / 2)
		c.SetVal(time.Now().Add(h.ahead))
		time.Sleep(h.took / 2)
		if h.err != nil {
			c.SetErr(h.err)
		}
		return h.err
	}
}

// TestLeasesGoByRedisClock: a machine that is a minute ahead of Redis, or behind it, takes no live job from another one,
// and gives its own leases their full time.
func TestLeasesGoByRedisClock(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Minute, time.Minute} {
		everyDialect(t, func(t *testing.T, b *bed) {
			clock := &redisClock{ahead: ahead}
			b.rdb.AddHook(clock)
			redisNow := func() int64 { return time.Now().Add(ahead).Unix() }
			near := func(what string, got float64, want int64) {
				t.Helper()
				if d := got - float64(want); d < -1 || d > 2 {
					t.Errorf("Redis is %s ahead: %s is %.0f s off", ahead, what, d)
				}
			}
			b.put("default", "a")
			l := b.claim("default", "a")
			member := b.d.WipMember("a", l.ExecutionID)
			near("the score of a claim", b.rdb.ZScore(b.ctx(), "rq:wip:default", member).Val(), redisNow()+15)
			b.wantHash("rq:job:a", map[string]string{"started_at": FormatTime(l.StartedAt)})
			for _, full := range []bool{false, true} {
				b.wantRenew(l, full, LeaseHeld)
				near("the score of a renewal", b.rdb.ZScore(b.ctx(), "rq:wip:default", member).Val(), redisNow()+40)
			}
			// Another machine renewed it, and a Python worker its own.
			b.wip("python", "python-1")
			for _, m := range b.rdb.ZRange(b.ctx(), "rq:wip:default", 0, -1).Val() {
				b.do("ZADD", "rq:wip:default", redisNow()+10, m)
			}
			if lapsed, err := b.Lapsed(b.ctx(), "default", 0); err != nil || len(lapsed) > 0 {
				t.Errorf("Redis is %s ahead: leases that hold for ten seconds are lapsed: %+v, %v", ahead, lapsed, err)
			}
			b.rescue(LapsedJob{ID: "a", ExecutionID: l.ExecutionID, Member: member, Status: StatusStarted, WorkerName: l.Worker, StartedAt: l.StartedAt}, RescueNothing)
			b.maintain(MaintenanceReport{})
			for _, m := range b.rdb.ZRange(b.ctx(), "rq:wip:default", 0, -1).Val() {
				b.do("ZADD", "rq:wip:default", redisNow()-10, m)
			}
			if lapsed, err := b.Lapsed(b.ctx(), "default", 0); err != nil || len(lapsed) != 2 {
				t.Errorf("Redis is %s ahead: of leases that ended ten seconds ago these are lapsed: %+v, %v", ahead, lapsed, err)
			}
			b.put("default", "retried")
			r := b.claim("default", "retried")
			b.settle(Outcome{Lease: r, Kind: OutcomeRetried, RetryAt: time.Now().Add(30 * time.Second)}, Settled)
			near("the score of a retry", b.rdb.ZScore(b.ctx(), "rq:scheduled:default", "retried").Val(), redisNow()+31)
			b.put("default", "late", "status", "scheduled")
			b.put("default", "due", "status", "scheduled")
			b.do("ZADD", "rq:scheduled:default", redisNow()+20, "late", redisNow()-20, "due")
			if n, err := b.EnqueueDue(b.ctx(), "default"); n != 1 || err != nil {
				t.Errorf("Redis is %s ahead: %d scheduled jobs are due, %v, want the one that is", ahead, n, err)
			}
			if got, err := b.Skew(b.ctx()); err != nil || (got-ahead).Abs() > 500*time.Millisecond {
				t.Errorf("Redis is %s ahead: Skew is %s, %v", ahead, got, err)
			}
		})
	}
}

// TestRedisClockIsAskedSeldom, and what was heard last holds while Redis is away or slow.
func TestRedisClockIsAskedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rdb := redis.NewClient(testOptions("none"))
		defer rdb.Close()
		h := &redisClock{ahead: time.Hour, err: errors.New("away")}
		rdb.AddHook(h)
		c := NewClient(rdb, Dialect{})
		want := func(what string, ahead time.Duration, asked int) {
			t.Helper()
			if got := c.Now(t.Context()); !got.Equal(time.Now().Add(ahead)) || h.asked != asked {
				t.Errorf("%s: the time is %s ahead of this machine's, asked %d times; want %s, %d", what, time.Until(got), h.asked, ahead, asked)
			}
		}
		want("Redis has never answered", 0, 1)
		h.err = nil
		want("it answers", time.Hour, 2)
		h.ahead = 2 * time.Hour
		time.Sleep(clockKept - 1)
		want("a moment later", time.Hour, 2)
		time.Sleep(time.Nanosecond)
		want("two seconds later", 2*time.Hour, 3)
		time.Sleep(clockKept)
		h.err, h.ahead = errors.New("away"), 3*time.Hour
		want("Redis is away", 2*time.Hour, 4)
		h.err, h.took = nil, 3*time.Second
		want("it is slow", 2*time.Hour, 5)
		h.took = 500 * time.Millisecond
		want("it is less slow", 3*time.Hour, 6)
	})
}
