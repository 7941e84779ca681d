package rqcompat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Member is one entry of a registry. ExecutionID is set in Wip of RQ 2 only. What Score means depends on the
// registry: the end of a lease or of a result's life, a due time, the time of the cancel; Unix seconds, -1 or infinite.
type Member struct {
	ID          string
	ExecutionID string
	Score       float64
}

// Queues returns the names of all queues that were ever pushed to, sorted. Members of rq:queues that are not queue
// keys (Python readers raise on them) are left out.
func (c *Client) Queues(ctx context.Context) ([]string, error) {
	keys, err := c.rdb.SMembers(ctx, QueuesKey()).Result()
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	names := keys[:0]
	for _, k := range keys {
		if name, ok := strings.CutPrefix(k, QueueKey("")); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// QueueLen is the number of jobs waiting in a queue.
func (c *Client) QueueLen(ctx context.Context, queue string) (int64, error) {
	n, err := c.rdb.LLen(ctx, QueueKey(queue)).Result()
	return n, wrap(err, "count queue %q", clip(queue))
}

// QueueIDs returns ids waiting in a queue, next to run first, from the index from to the index to inclusive;
// negative indexes count from the end.
func (c *Client) QueueIDs(ctx context.Context, queue string, from, to int64) ([]string, error) {
	ids, err := c.rdb.LRange(ctx, QueueKey(queue), from, to).Result()
	return ids, wrap(err, "read queue %q", clip(queue))
}

// Count is the size of a registry. Unlike RQ's, it doesn't clean the registry first, so entries whose time is up
// are counted until maintenance takes them.
func (c *Client) Count(ctx context.Context, reg Registry, queue string) (int64, error) {
	n, err := c.rdb.ZCard(ctx, RegistryKey(reg, queue)).Result()
	return n, wrap(err, "count %s registry of queue %q", reg, clip(queue))
}

// Score is the score of a job in a registry, see [Member]; ok is false if it isn't there. It doesn't find the entries that
// RQ 2 makes in Wip.
func (c *Client) Score(ctx context.Context, reg Registry, queue, id string) (score float64, ok bool, err error) {
	score, err = c.rdb.ZScore(ctx, RegistryKey(reg, queue), id).Result()
	if errors.Is(err, redis.Nil) {
		return 0, false, nil
	}
	return score, err == nil, wrap(err, "look for job %q in the %s registry", clip(id), reg)
}

// Members returns entries of a registry, lowest score first, from the index from to the index to inclusive;
// negative indexes count from the end. It doesn't clean.
func (c *Client) Members(ctx context.Context, reg Registry, queue string, from, to int64) ([]Member, error) {
	zs, err := c.rdb.ZRangeWithScores(ctx, RegistryKey(reg, queue), from, to).Result()
	if err != nil {
		return nil, fmt.Errorf("read %s registry of queue %q: %w", reg, clip(queue), err)
	}
	members := make([]Member, len(zs))
	for i, z := range zs {
		name, _ := z.Member.(string)
		members[i] = Member{ID: name, Score: z.Score}
		if reg == Wip {
			members[i].ID, members[i].ExecutionID = c.d.SplitWipMember(name)
		}
	}
	return members, nil
}
