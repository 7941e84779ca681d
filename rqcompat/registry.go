package rqcompat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
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

const (
	// listPage is how many ids of a list are read in one step, and pageOverlap how many of them once more in the next: so many
	// may leave the list in between.
	listPage    = 5000
	pageOverlap = 500
)

// EachWaiting calls do with all ids waiting in a queue, in order, some thousand at a time, and with some of them more than
// once. What waits all the time is among them, whatever comes and goes meanwhile.
func (c *Client) EachWaiting(ctx context.Context, queue string, do func(ids []string)) error {
	var last map[string]bool
	for start := int64(0); ; {
		ids, err := c.QueueIDs(ctx, queue, start, start+listPage-1)
		if err != nil {
			return err
		}
		if start > 0 && (len(ids) == 0 || !last[ids[0]]) {
			// Too much has left before it: something in between may not have been seen.
			start = max(start-listPage, 0)
			continue
		}
		do(ids)
		if len(ids) < listPage {
			return nil
		}
		last = make(map[string]bool, len(ids))
		for _, id := range ids {
			last[id] = true
		}
		start += listPage - pageOverlap
	}
}

// EachMember calls do with all entries of a registry, some hundred at a time and in no order. What is there all the time
// is among them, perhaps more than once. It doesn't clean.
func (c *Client) EachMember(ctx context.Context, reg Registry, queue string, do func([]Member) error) error {
	for cursor := uint64(0); ; {
		// Names and scores take turns.
		page, next, err := c.rdb.ZScan(ctx, RegistryKey(reg, queue), cursor, "", scriptBatch).Result()
		if err != nil {
			return fmt.Errorf("read %s registry of queue %q: %w", reg, clip(queue), err)
		}
		members := make([]Member, 0, len(page)/2)
		for i := 0; i+1 < len(page); i += 2 {
			score, _ := strconv.ParseFloat(page[i+1], 64)
			members = append(members, c.member(reg, page[i], score))
		}
		if err := do(members); err != nil || next == 0 {
			return err
		}
		cursor = next
	}
}

func (c *Client) member(reg Registry, name string, score float64) Member {
	m := Member{ID: name, Score: score}
	if reg == Wip {
		m.ID, m.ExecutionID = c.d.SplitWipMember(name)
	}
	return m
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
		members[i] = c.member(reg, name, z.Score)
	}
	return members, nil
}
