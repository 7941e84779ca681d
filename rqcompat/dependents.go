package rqcompat

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	releaseScript      = newScript("release.lua")
	releaseChildScript = newScript("release_child.lua")
)

// releasesAtOnce is how many ends and children one ReleaseDependents looks at.
const releasesAtOnce = 20

// ReleaseDependents goes on with the dependents of jobs that ended with more than 250 of them, or with children of more
// than 20 parents: a script that did it all at once would keep the server from everybody else. Each call takes some steps
// of some of them, whoever ended the jobs; more says that there may be others. Any number of callers may do this at the
// same time. rq/queue.py Queue.enqueue_dependents.
func (c *Client) ReleaseDependents(ctx context.Context) (more bool, err error) {
	// At random, so that one job's many dependents don't hold up another's.
	ends, err := c.rdb.HRandField(ctx, ReleasingKey(), releasesAtOnce).Result()
	if err != nil {
		return false, wrap(err, "look for dependents to release")
	}
	var bad []error // what is odd about one keeps no other
	for _, end := range ends {
		// One after the other: what is sent together is served together.
		err := releaseScript.Run(ctx, c.rdb, []string{ReleasingKey()}, end, bit(!c.d.ResultExecution), FormatTime(time.Now())).Err()
		if bad = append(bad, wrap(err, "release dependents of %q", clip(end))); err != nil && Judge(err) != Final {
			return false, err
		}
	}
	children, err := c.rdb.HRandFieldWithValues(ctx, ReleasingChildrenKey(), releasesAtOnce).Result()
	if err != nil {
		return false, wrap(err, "look for children to release")
	}
	for _, child := range children {
		err := c.releaseChild(ctx, child)
		if bad = append(bad, wrap(err, "release dependent %q", clip(child.Key))); err != nil && Judge(err) != Final {
			return false, err
		}
	}
	err = errors.Join(bad...)
	return len(ends)+len(children) > 0 && err == nil, err
}

func (c *Client) releaseChild(ctx context.Context, child redis.KeyValue) (err error) {
	for cursor := "0"; ; {
		cursor, err = releaseChildScript.Run(ctx, c.rdb, []string{ReleasingChildrenKey()}, child.Key, child.Value, cursor, FormatTime(time.Now())).Text()
		if err != nil || cursor == "0" {
			return err
		}
	}
}
