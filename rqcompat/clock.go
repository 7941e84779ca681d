package rqcompat

import (
	"context"
	"time"
)

const (
	// clockKept is how long one look at Redis's clock serves.
	clockKept = 2 * time.Second
	// clockAnswer is how late an answer may come to be better than what was known before.
	clockAnswer = time.Second
)

// clockReading is what Redis's clock said, and when, by this machine's clock that nobody sets.
type clockReading struct{ redis, at time.Time }

func (r *clockReading) now() time.Time { return r.redis.Add(time.Since(r.at)) }

// Now is the time by Redis's clock. Scores, which are leases and due times, go by it, so that they mean the same on every
// machine, also on one whose clock is wrong or set while it runs; timestamps are the machine's, as those of RQ's Python
// are. While Redis doesn't answer it goes on from its last answer, and by this machine's clock if there was none.
func (c *Client) Now(ctx context.Context) time.Time {
	r := c.clock.Load()
	if r != nil && time.Since(r.at) < clockKept {
		return r.now()
	}
	fresh, took, err := c.readClock(ctx)
	switch {
	case err == nil && (r == nil || took < clockAnswer):
		r = fresh
		c.clock.Store(r)
	case r == nil:
		return time.Now()
	}
	return r.now()
}

// MostSkew is how far a machine's clock may be from Redis's before somebody should hear of it.
const MostSkew = 2 * time.Second

// Skew is how far Redis's clock is ahead of this machine's.
func (c *Client) Skew(ctx context.Context) (time.Duration, error) {
	r, _, err := c.readClock(ctx)
	if err != nil {
		return 0, err
	}
	return r.redis.Sub(r.at), nil
}

// readClock takes the middle of the time that it takes for the moment at which Redis looked.
func (c *Client) readClock(ctx context.Context) (r *clockReading, took time.Duration, err error) {
	before := time.Now()
	now, err := c.rdb.Time(ctx).Result()
	took = time.Since(before)
	return &clockReading{now, before.Add(took / 2)}, took, wrap(err, "read Redis's clock")
}
