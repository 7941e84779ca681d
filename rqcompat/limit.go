package rqcompat

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Limit bounds how many jobs run at once, or start within a time, of all that were claimed with the same Key, by whatever
// process. RQ knows none: Python's workers neither count nor heed it.
type Limit struct {
	// Key names what is counted.
	Key string
	// Most is how many there may be, at least 1. Who claims says so: claims with different values count together.
	Most int
	// Window makes it a limit of starts: Most within any time that long, in whole milliseconds. Zero is of jobs that run.
	Window time.Duration
	// Lease is how long a job that runs counts when neither Renew nor Settle is called any more, in whole milliseconds.
	Lease time.Duration
}

// maxLimits is how many limits a claim may have: its reply says which one it was in three bits.
const maxLimits = 7

func checkLimits(limits []Limit) error {
	if len(limits) > maxLimits {
		return fmt.Errorf("%d limits, at most %d can be kept", len(limits), maxLimits)
	}
	for _, l := range limits {
		switch {
		case l.Most < 1:
			return fmt.Errorf("limit %q: at most %d, want at least 1", clip(l.Key), l.Most)
		case l.Window < 0 || l.Window > 0 && l.Window < time.Millisecond || l.Window == 0 && l.Lease < time.Millisecond:
			return errors.New("a limit needs a window or a lease of a millisecond or more")
		}
	}
	return nil
}

// Held says which of a claim's limits holds the job, and after how long something of it frees at the latest: at once when
// a job ends. ok is false if none does.
func (r ClaimResult) Held() (limit int, after time.Duration, ok bool) {
	if r >= 0 {
		return 0, 0, false
	}
	return int(-r%8) - 1, time.Duration(-r/8) * time.Millisecond, true
}

// LimitUse is how much of a limit is used.
type LimitUse struct {
	// Used counts the jobs that run, or that started within the window.
	Used int
	// Frees is when the first of them doesn't count any more unless it ends or is renewed; the zero time if there is none.
	Frees time.Time
}

// LimitUses tells how much of each limit is used now.
func (c *Client) LimitUses(ctx context.Context, limits []Limit) ([]LimitUse, error) {
	now := c.Now(ctx)
	counts, firsts := make([]*redis.IntCmd, len(limits)), make([]*redis.ZSliceCmd, len(limits))
	_, err := pipelined(ctx, c.rdb, func(p redis.Pipeliner) {
		for i, l := range limits {
			since := "(" + strconv.FormatInt(now.Add(-l.Window).UnixMilli(), 10)
			counts[i] = p.ZCount(ctx, LimitKey(l.Key), since, "+inf")
			firsts[i] = p.ZRangeByScoreWithScores(ctx, LimitKey(l.Key), &redis.ZRangeBy{Min: since, Max: "+inf", Count: 1})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read the use of %d limits: %w", len(limits), err)
	}
	uses := make([]LimitUse, len(limits))
	for i, l := range limits {
		uses[i].Used = int(counts[i].Val()) // of what is no ZSET nothing
		if first := firsts[i].Val(); len(first) > 0 {
			uses[i].Frees = time.UnixMilli(int64(first[0].Score)).Add(l.Window)
		}
	}
	return uses, nil
}
