package sites

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Schedule knows when retries are due, by Redis's clock. The rows say it as well, in next_retry_at, for people: that is
// the site's local time, of which an hour comes twice when summer time ends, and which a change of the site's time zone
// moves by hours. A row that isn't in here, since another program wrote it or Redis lost its data, goes by its text.
type Schedule struct {
	Redis redis.UniversalClient
	// Now is the time by Redis's clock.
	Now func(context.Context) time.Time
}

const (
	// noteTime is how long the end of an attempt waits for Redis to take its retry down.
	noteTime = time.Second
	// overdue is when a retry that nobody moves is left to its text: its Job Type may have no handler here any more.
	overdue = 24 * time.Hour
	// dueMost is how many due retries of a site are looked at a time.
	dueMost = 1000
)

// scheduleKey is the ZSET of the retries of a site: names of rows, scored with when they are due.
func scheduleKey(site string) string { return "rq:bridge:retries:" + site }

func score(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func scoreText(t time.Time) string { return strconv.FormatFloat(score(t), 'f', 6, 64) }

// note takes down a retry that is due at a time of this machine's clock.
func (s *Schedule) note(ctx context.Context, site, name string, at time.Time) error {
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, noteTime)
	defer cancel()
	pause := time.Until(at)
	now := s.Now(ctx)
	_, err := s.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZAdd(ctx, scheduleKey(site), redis.Z{Score: score(now.Add(pause)), Member: name})
		p.ZRemRangeByScore(ctx, scheduleKey(site), "-inf", scoreText(now.Add(-overdue)))
		p.Expire(ctx, scheduleKey(site), max(pause, 0)+7*overdue)
		return nil
	})
	return err
}

// due lists rows whose retry has come, earliest first.
func (s *Schedule) due(ctx context.Context, site string) ([]string, error) {
	if s == nil {
		return nil, nil
	}
	return s.Redis.ZRangeByScore(ctx, scheduleKey(site), &redis.ZRangeBy{Min: "-inf", Max: scoreText(s.Now(ctx)), Count: dueMost}).Result()
}

// pending tells which sites have a retry that is due.
func (s *Schedule) pending(ctx context.Context, sites []string) (map[string]bool, error) {
	if s == nil || len(sites) == 0 {
		return nil, nil
	}
	until := scoreText(s.Now(ctx))
	counts := make([]*redis.IntCmd, len(sites))
	_, err := s.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, site := range sites {
			counts[i] = p.ZCount(ctx, scheduleKey(site), "-inf", until)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	pending := map[string]bool{}
	for i, site := range sites {
		pending[site] = counts[i].Val() > 0
	}
	return pending, nil
}

// early tells which of the rows are known to be due later.
func (s *Schedule) early(ctx context.Context, site string, names []string) (map[string]bool, error) {
	if s == nil || len(names) == 0 {
		return nil, nil
	}
	scores, err := s.Redis.ZMScore(ctx, scheduleKey(site), names...).Result()
	if err != nil {
		return nil, err
	}
	early := map[string]bool{}
	now := score(s.Now(ctx))
	for i, at := range scores {
		early[names[i]] = at > now // of one that isn't there it is 0
	}
	return early, nil
}

// forgetScript removes from KEYS[1] those members, ARGV[2] and on, that are not scored later than ARGV[1].
var forgetScript = redis.NewScript(`for i = 2, #ARGV do
  local at = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if at and tonumber(at) <= tonumber(ARGV[1]) then redis.call('ZREM', KEYS[1], ARGV[i]) end
end`)

// forget drops rows that don't wait any more, unless they have a new retry since they were due.
func (s *Schedule) forget(ctx context.Context, site string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	args := []any{scoreText(s.Now(ctx))}
	for _, name := range names {
		args = append(args, name)
	}
	err := forgetScript.Run(ctx, s.Redis, []string{scheduleKey(site)}, args...).Err()
	if err == redis.Nil {
		return nil
	}
	return err
}
