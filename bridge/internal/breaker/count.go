package breaker

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

//go:embed count.lua
var countText string

var countScript = redis.NewScript(countText)

// buckets is how many parts the window has: a part is forgotten at a time.
const buckets = 30

// counted are the attempts of a Job Type and an organization that ended together.
type counted struct {
	jobType, organization string
	attempts, failures    int
	why                   string // the last failure
}

// key is the HASH of how the attempts of a Job Type and an organization ended.
func (c counted) key(site string) string {
	b := rows.Breaker{JobType: c.jobType, Organization: c.organization}
	return "rq:bridge:breaker:" + site + ":" + b.Pair()
}

// count counts attempts that ended, in one script, and opens the breakers that are due.
func (k *Keeper) count(ctx context.Context, site string, ends []end) error {
	var all []*counted
	of := map[[2]string]*counted{}
	for _, e := range ends {
		if !e.ran {
			continue
		}
		pair := [2]string{e.JobType, e.Organization}
		c := of[pair]
		if c == nil {
			c = &counted{jobType: e.JobType, organization: e.Organization}
			of[pair], all = c, append(all, c)
		}
		c.attempts++
		if e.failed {
			c.failures, c.why = c.failures+1, e.why
		}
	}
	if len(all) == 0 {
		return nil
	}
	part := max(k.Window/buckets, time.Millisecond)
	bucket := k.Clock(ctx).UnixNano() / int64(part)
	keys := make([]string, len(all))
	args := []any{bucket, bucket - buckets + 1, (k.Window + part).Milliseconds()}
	for i, c := range all {
		keys[i] = c.key(site)
		args = append(args, c.attempts, c.failures)
	}
	sums, err := countScript.Run(ctx, k.Redis, keys, args...).Int64Slice()
	if err != nil {
		return fmt.Errorf("count %d kinds of jobs: %w", len(all), err)
	}
	for i, c := range all {
		c.attempts, c.failures = int(sums[2*i]), int(sums[2*i+1])
		if c.attempts < k.AtLeast || float64(c.failures) < k.Failures*float64(c.attempts) {
			continue
		}
		if err := k.open(ctx, site, *c); err != nil {
			return err // it opens at the next failure: what was counted stays
		}
	}
	return nil
}

// open opens a breaker and begins to count anew.
func (k *Keeper) open(ctx context.Context, site string, c counted) error {
	b := rows.Breaker{JobType: c.jobType, Organization: c.organization, Failures: c.failures, Attempts: c.attempts, LastError: c.why}
	opened, err := k.Rows.OpenBreaker(ctx, site, b, k.Clock(ctx).Add(k.Open))
	if err != nil {
		return err
	}
	if opened {
		k.Log.Error("circuit breaker opened: jobs of the Job Type wait for this organization; look at the error, then wait or close it (bridge breakers)",
			"site", site, "job_type", c.jobType, "organization", c.organization, "failures", c.failures, "attempts", c.attempts, "trial_in", k.Open, "error", c.why)
		k.changed(site, b.Pair())
	}
	return forgetScript.Run(ctx, k.Redis, []string{c.key(site)}).Err()
}

// forgetScript forgets what was counted under KEYS[1].
var forgetScript = redis.NewScript("return redis.call('DEL', KEYS[1])")
