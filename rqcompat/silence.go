package rqcompat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// BeHeard keeps a process's sign of life until ctx ends, and returns ctx's error: a connection that is subscribed to a channel
// of the process's own name. The kernel closes it with the process, however that ends, and Redis knows at once; one that is
// slow, paused or stopped keeps it. A lost connection is subscribed again. told hears of each subscription that stands, with nil,
// and of each loss.
func (c *Client) BeHeard(ctx context.Context, process string, told func(error)) error {
	subscribe := func() *redis.PubSub { return c.rdb.Subscribe(ctx, PubSubChannel(process)) }
	made := func() {
		_, err := c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.ZAdd(ctx, ProcessesKey(), redis.Z{Score: float64(time.Now().Unix()), Member: process})
			p.SAdd(ctx, HeardKey(), process)
			return nil
		})
		told(wrap(err, "be heard as %q", clip(process)))
	}
	return c.listen(ctx, subscribe, made, func(_ string, cmd Command) {
		if cmd.Err != nil {
			told(cmd.Err)
		}
	})
}

var silentScript = newScript("silent.lua")

// Silent lists the processes that were heard (BeHeard) and aren't any more, and says whether the one that asks is heard. Who
// asks counts as alive. A process that lost its connection for a moment is among them until it asks itself, or is heard again;
// after Redis was away all may be. A caller looks more than once before he takes one for dead.
func (c *Client) Silent(ctx context.Context, process string) (heard bool, silent []string, err error) {
	reply, err := silentScript.Run(ctx, c.rdb, []string{HeardKey(), ProcessesKey()}, process).Slice()
	if err == nil && len(reply) == 0 {
		err = errors.New("the script answers nothing")
	}
	if err != nil {
		return false, nil, fmt.Errorf("ask who is silent: %w", err)
	}
	for _, name := range reply[1:] {
		if text, ok := name.(string); ok {
			silent = append(silent, text)
		}
	}
	return reply[0] == int64(1), silent, nil
}

// LeftBy lists the jobs of a queue that processes which fell silent were working on, as Lapsed does those whose lease has run
// out. Rescue takes one away only if its process is silent still.
func (c *Client) LeftBy(ctx context.Context, queue string, silent []string) (left []LapsedJob, err error) {
	for from := int64(0); ; from += lapsedMost {
		members, err := c.rdb.ZRange(ctx, WipKey(queue), from, from+lapsedMost-1).Result()
		if err != nil {
			return nil, fmt.Errorf("look for jobs of dead workers on queue %q: %w", clip(queue), err)
		}
		jobs, err := c.lapsed(ctx, members)
		if err != nil {
			return nil, fmt.Errorf("look at jobs of dead workers on queue %q: %w", clip(queue), err)
		}
		for _, l := range jobs {
			for _, name := range silent {
				if l.Status == StatusStarted && strings.HasPrefix(l.WorkerName, name+"-") {
					l.silent = name
					left = append(left, l)
				}
			}
		}
		if len(members) < lapsedMost {
			return left, nil
		}
	}
}
