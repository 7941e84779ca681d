package bridge

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// aheadBy is a hook that answers for a Redis whose clock is ahead.
type aheadBy time.Duration

func (h aheadBy) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h aheadBy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h aheadBy) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		cmd.(*redis.TimeCmd).SetVal(time.Now().Add(time.Duration(h)))
		return nil
	}
}

// TestAWrongClockIsSaidAtStart.
func TestAWrongClockIsSaidAtStart(t *testing.T) {
	for ahead, want := range map[time.Duration]string{
		0: "", 1500 * time.Millisecond: "", -1500 * time.Millisecond: "",
		time.Minute: "redis_is_ahead=1m0", -3 * time.Second: "redis_is_ahead=-3",
	} {
		var log bytes.Buffer
		rdb := redis.NewClient(&redis.Options{Addr: "none"})
		rdb.AddHook(aheadBy(ahead))
		rq := rqcompat.NewClient(rdb, rqcompat.Dialect{})
		e := &Engine{cfg: Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, client: &Client{connections: &connections{rq: rq}}}
		e.sayIfSkewed(t.Context())
		if said := log.String(); (said == "") != (want == "") || !strings.Contains(said, want) {
			t.Errorf("Redis is %s ahead; the bridge says %q, want %q in it", ahead, said, want)
		}
		_ = rdb.Close()
	}
}
