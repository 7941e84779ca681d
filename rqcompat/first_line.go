package rqcompat

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ReturnPopped puts what waiters of [First] popped from a queue back to its head, and returns the ids. While a waiter is
// alive, as its last second and a half tell, it does nothing, unless anyway is set.
func (c *Client) ReturnPopped(ctx context.Context, queue string, anyway bool) (ids []string, err error) {
	silence := strconv.FormatInt(firstSilence.Milliseconds(), 10)
	if anyway {
		silence = ""
	}
	for keys := []string{FirstKey(queue), QueueKey(queue), FirstWaitersKey(queue)}; ; {
		some, err := firstReturnScript.Run(ctx, c.rdb, keys, silence, maintainStep).StringSlice()
		ids = append(some, ids...)
		if err != nil || len(some) < maintainStep {
			return ids, wrap(err, "return what was popped from queue %q", clip(queue))
		}
	}
}

// Popped lists what waiters of [First] popped from a queue and that stands nowhere else.
func (c *Client) Popped(ctx context.Context, queue string) ([]string, error) {
	ids, err := c.rdb.LRange(ctx, FirstKey(queue), 0, -1).Result()
	return ids, wrap(err, "read what was popped from queue %q", clip(queue))
}

// stayAhead sends idle Python workers to the end of the line once half of the waiters may stand behind them, and says
// after what time to ask again.
func (f *First) stayAhead(ctx context.Context) time.Duration {
	f.mu.Lock()
	behind := f.blocked > f.waiters/2
	f.mu.Unlock()
	switch {
	case !behind:
		return firstLook
	case time.Since(f.rotated) < firstRotations:
		return firstRotations
	}
	_ = sleep(ctx, time.Millisecond) // so that the last of them is blocked
	f.mu.Lock()
	f.blocked = 0
	f.mu.Unlock()
	f.rotated = time.Now()
	f.rotate(ctx)
	return firstLook
}

// back puts all but the ids that stay back. In the same step all waiters, those of other processes as well, are sent away,
// or they would pop the ids once more, and ones that were pushed later would go before them.
func (f *First) back(ctx context.Context, stay []string) error {
	waiters, err := f.c.rdb.ZRange(ctx, FirstWaitersKey(f.queue), 0, -1).Result()
	if err != nil {
		return err
	}
	keys := []string{FirstKey(f.queue), QueueKey(f.queue)}
	_, err = f.c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range waiters {
			p.Do(ctx, "CLIENT", "UNBLOCK", id)
		}
		firstBackScript.EvalSha(ctx, p, keys, anys(stay)...)
		return nil
	})
	if _, refused := errors.AsType[redis.Error](err); refused {
		// Without the right to unblock; or the server has forgotten the script.
		return firstBackScript.Run(ctx, f.c.rdb, keys, anys(stay)...).Err()
	}
	return err
}

// rotate sends idle Python workers to the end of the line. Where that is forbidden, they may be served first.
func (f *First) rotate(ctx context.Context) {
	clients, err := f.c.rdb.ClientList(ctx).Result()
	if err != nil {
		return
	}
	_, _ = pipelined(ctx, f.c.rdb, func(p redis.Pipeliner) {
		for line := range strings.Lines(clients) {
			client := clientFields(line)
			if strings.Contains(client["flags"], "b") && client["name"] != waiterName && slices.Contains(waitingForLists, client["cmd"]) {
				p.Do(ctx, "CLIENT", "UNBLOCK", client["id"])
			}
		}
	})
}

// waitingForLists are the commands with which RQ's workers wait, rq/queue.py Queue.lpop.
var waitingForLists = []string{"blpop", "blmove", "brpoplpush"}

// clientFields reads a line of CLIENT LIST.
func clientFields(line string) map[string]string {
	fields := map[string]string{}
	for field := range strings.FieldsSeq(line) {
		if name, value, ok := strings.Cut(field, "="); ok {
			fields[name] = value
		}
	}
	return fields
}
