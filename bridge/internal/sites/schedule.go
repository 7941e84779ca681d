package sites

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Schedule knows when rows are due that wait for a time, by Redis's clock: for their retry, or for when they are to run. The
// rows say it as well, in next_retry_at and run_after, for people: that is the site's local time, of which an hour comes
// twice when summer time ends, and which a change of the site's time zone moves by hours. A row that isn't in here, since
// another program wrote it or Redis lost its data, goes by its text.
type Schedule struct {
	Redis redis.UniversalClient
	// Now is the time by Redis's clock.
	Now func(context.Context) time.Time
}

const (
	// noteTime is how long the end of an attempt waits for Redis to take its retry down.
	noteTime = time.Second
	// overdue is when a row that nobody moves is left to its text: its Job Type may have no handler here any more.
	overdue = 24 * time.Hour
	// dueMost is how many due rows of a site are looked at a time, any of the first dueAmong: other processes look at others at
	// the same moment.
	dueMost  = 250
	dueAmong = 8 * dueMost
	// takenFor is how long due rows are left to the process that took them; then they are anybody's again.
	takenFor = 10 * time.Second
)

// soonestKey is the ZSET of the sites that have rows which wait for a time, scored with when the first is due.
const soonestKey = "rq:bridge:due"

// scheduleKey is the ZSET of those rows of a site: their names, scored with when they are due.
func scheduleKey(site string) string { return soonestKey + ":" + site }

func score(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func scoreText(t time.Time) string { return strconv.FormatFloat(score(t), 'f', 6, 64) }

func timeOf(score float64) time.Time { return time.UnixMicro(int64(score*1e6 + 0.5)) }

// Each script has the keys soonestKey and scheduleKey(site) and begins its arguments with the site. What it changes is kept in
// step: afterwards soonestKey has the first row that is left.
const keepSoonest = `
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if first[1] then redis.call('ZADD', KEYS[1], first[2], ARGV[1]) else redis.call('ZREM', KEYS[1], ARGV[1]) end
`

var (
	// noteScript drops what is due before ARGV[2], has the set live for ARGV[3] seconds at least, and notes rows: pairs of a
	// score and a name. With NX in ARGV[4] one that is there stays as it is.
	noteScript = redis.NewScript(`redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[2])
for i = 5, #ARGV, 2 do
  if ARGV[4] == 'NX' then redis.call('ZADD', KEYS[2], 'NX', ARGV[i], ARGV[i + 1]) else redis.call('ZADD', KEYS[2], ARGV[i], ARGV[i + 1]) end
end
if redis.call('TTL', KEYS[2]) < tonumber(ARGV[3]) then redis.call('EXPIRE', KEYS[2], ARGV[3]) end` + keepSoonest)
	// takeScript puts those of the rows ARGV[4] and on that are due by ARGV[2] off until ARGV[3], and returns them, each with
	// when it was due.
	takeScript = redis.NewScript(`local taken = {}
for i = 4, #ARGV do
  local at = redis.call('ZSCORE', KEYS[2], ARGV[i])
  if at and tonumber(at) <= tonumber(ARGV[2]) then
    redis.call('ZADD', KEYS[2], ARGV[3], ARGV[i])
    taken[#taken + 1] = ARGV[i]
    taken[#taken + 1] = at
  end
end` + keepSoonest + `return taken`)
	// forgetScript removes those of the rows ARGV[4] and on whose score is within ARGV[2] and ARGV[3].
	forgetScript = redis.NewScript(`for i = 4, #ARGV do
  local at = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[i]) or '')
  if at and at >= tonumber(ARGV[2]) and at <= tonumber(ARGV[3]) then redis.call('ZREM', KEYS[2], ARGV[i]) end
end` + keepSoonest + `return {}`)
)

// run runs one of the scripts.
func (s *Schedule) run(ctx context.Context, script *redis.Script, site string, args []any, names []string) ([]string, error) {
	all := append([]any{site}, args...)
	for _, name := range names {
		all = append(all, name)
	}
	list, err := script.Run(ctx, s.Redis, []string{soonestKey, scheduleKey(site)}, all...).StringSlice()
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	return list, err
}

// note takes down when a row is due by Redis's clock.
func (s *Schedule) note(ctx context.Context, site, name string, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, noteTime)
	defer cancel()
	return s.noteAll(ctx, site, "", []any{scoreText(at), name}, at)
}

// adopt takes rows down as due now that aren't there.
func (s *Schedule) adopt(ctx context.Context, site string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	now := s.Now(ctx)
	var pairs []any
	for _, name := range names {
		pairs = append(pairs, scoreText(now), name)
	}
	return s.noteAll(ctx, site, "NX", pairs, now)
}

func (s *Schedule) noteAll(ctx context.Context, site, nx string, pairs []any, last time.Time) error {
	now := s.Now(ctx)
	lives := max(last.Sub(now), 0) + 7*overdue
	_, err := s.run(ctx, noteScript, site, append([]any{scoreText(now.Add(-overdue)), int64(lives / time.Second), nx}, pairs...), nil)
	return err
}

// due lists rows whose time has come, earliest first: some of the first.
func (s *Schedule) due(ctx context.Context, site string) ([]string, error) {
	key, now := scheduleKey(site), scoreText(s.Now(ctx))
	n, err := s.Redis.ZCount(ctx, key, "-inf", now).Result()
	if err != nil || n == 0 {
		return nil, err
	}
	by := &redis.ZRangeBy{Min: "-inf", Max: now, Count: dueMost}
	by.Offset = dueMost * rand.N((min(n, dueAmong)+dueMost-1)/dueMost)
	names, err := s.Redis.ZRangeByScore(ctx, key, by).Result()
	if err == nil && len(names) == 0 && by.Offset > 0 { // others took so many meanwhile
		by.Offset = 0
		return s.Redis.ZRangeByScore(ctx, key, by).Result()
	}
	return names, err
}

// soonest tells in which time each site has the first row that is due.
func (s *Schedule) soonest(ctx context.Context) (map[string]time.Duration, error) {
	if s == nil {
		return nil, nil
	}
	found, err := s.Redis.ZRangeWithScores(ctx, soonestKey, 0, -1).Result()
	if err != nil {
		return nil, err
	}
	now, soonest := s.Now(ctx), map[string]time.Duration{}
	for _, z := range found {
		site, _ := z.Member.(string)
		soonest[site] = timeOf(z.Score).Sub(now)
	}
	return soonest, nil
}

// times tells when rows are due, of those that it knows.
func (s *Schedule) times(ctx context.Context, site string, names []string) (map[string]time.Time, error) {
	if s == nil || len(names) == 0 {
		return nil, nil
	}
	scores, err := s.Redis.ZMScore(ctx, scheduleKey(site), names...).Result()
	if err != nil {
		return nil, err
	}
	times := map[string]time.Time{}
	for i, at := range scores {
		if at > 0 { // of one that isn't there it is 0
			times[names[i]] = timeOf(at)
		}
	}
	return times, nil
}

// take makes those of the rows this process's that are due and that no other has taken, until the time that it tells. Each
// comes with when it was due.
func (s *Schedule) take(ctx context.Context, site string, names []string) (taken map[string]time.Time, until time.Time, err error) {
	if len(names) == 0 {
		return nil, time.Time{}, nil
	}
	now := s.Now(ctx)
	until = now.Add(takenFor).Truncate(time.Microsecond)
	pairs, err := s.run(ctx, takeScript, site, []any{scoreText(now), scoreText(until)}, names)
	taken = map[string]time.Time{}
	for pair := range slices.Chunk(pairs, 2) {
		at, _ := strconv.ParseFloat(pair[1], 64) // as Redis wrote it
		taken[pair[0]] = timeOf(at)
	}
	return taken, until, err
}

// forget drops rows that don't wait any more: those that were taken until such a time, or for the zero one those that are
// due. One that waits anew since then stays.
func (s *Schedule) forget(ctx context.Context, site string, names []string, taken time.Time) error {
	if len(names) == 0 {
		return nil
	}
	from, to := scoreText(taken), scoreText(taken)
	if taken.IsZero() {
		from, to = "0", scoreText(s.Now(ctx))
	}
	_, err := s.run(ctx, forgetScript, site, []any{from, to}, names)
	return err
}
