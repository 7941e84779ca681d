package rqcompat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// waitBlock is the longest blocking look. A canceled Wait lingers no longer where CLIENT UNBLOCK isn't allowed.
	waitBlock = time.Second
	// waitPollMin and waitPollMax bound the pace of looking at a list that is not empty.
	waitPollMin = 20 * time.Millisecond
	waitPollMax = 200 * time.Millisecond
)

// Waiter waits until a queue has something, on a connection of its own. It serves one goroutine at a time.
//
// It looks with BLMOVE q q LEFT LEFT, which moves the head onto itself: nothing changes place, other clients blocked on
// the list are served all the same, and nobody has to poll an empty queue. Servers before Redis 6.2 are polled.
type Waiter struct {
	c      *Client
	client *redis.Client // has this connection alone
	conn   *redis.Conn
	id     int64 // of conn, for CLIENT UNBLOCK; 0 unknown
	noMove bool  // the server has no BLMOVE
}

// NewWaiter returns a Waiter. Close it to free its connection.
func (c *Client) NewWaiter() *Waiter { return &Waiter{c: c} }

// Close closes the connection. It must not be called during a Wait.
func (w *Waiter) Close() error {
	if w.conn == nil {
		return nil
	}
	err := w.client.Close()
	w.conn, w.id = nil, 0
	return err
}

// Wait returns true as soon as queue is not empty, and false after most or when ctx ends, then with its error. On
// a queue that is not empty it returns at once.
func (w *Waiter) Wait(ctx context.Context, queue string, most time.Duration) (bool, error) {
	deadline := time.Now().Add(most)
	pause := waitPollMin
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return false, nil
		}
		if w.noMove {
			n, err := w.c.rdb.LLen(ctx, QueueKey(queue)).Result()
			if err != nil || n > 0 {
				return n > 0, wrap(err, "wait for queue %q", clip(queue))
			}
			_ = sleep(ctx, min(pause, left)) // whether ctx ended is asked above
			pause = min(2*pause, waitPollMax)
			continue
		}
		found, err := w.block(ctx, queue, func(ctx context.Context, conn *redis.Conn) error {
			// Do, because BLMove rounds the time up to whole seconds; waitBlock is below any read timeout.
			key := QueueKey(queue)
			return conn.Do(ctx, "BLMOVE", key, key, "LEFT", "LEFT", secondsText(max(min(left, waitBlock), time.Millisecond))).Err()
		})
		if found || err != nil {
			return found, err
		}
	}
}

// block has move block on the waiter's connection until the queue has a head, and ends it when ctx ends.
func (w *Waiter) block(ctx context.Context, queue string, move func(context.Context, *redis.Conn) error) (bool, error) {
	if err := w.connect(ctx); err != nil {
		return false, err
	}
	done := make(chan error, 1)
	conn := w.conn
	// Not ctx: go-redis would give the call up only between commands, and then with the connection unusable.
	go func() { done <- move(context.WithoutCancel(ctx), conn) }()
	select {
	case err := <-done:
		return w.looked(queue, err)
	case <-ctx.Done():
	}
	w.unblock(ctx)
	if err := <-done; err != nil {
		_, _ = w.looked(queue, err)
	}
	return false, ctx.Err()
}

func (w *Waiter) looked(queue string, err error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, redis.Nil):
		return false, nil
	case redis.HasErrorPrefix(err, "ERR unknown command"):
		w.noMove = true
		return false, nil
	}
	// The connection may be broken: the next look gets another.
	_ = w.Close()
	return false, wrap(err, "wait for queue %q", clip(queue))
}

// unblock ends the waiter's blocking command, where that is not allowed with its connection.
func (w *Waiter) unblock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), waitBlock)
	defer cancel()
	if w.id == 0 || w.c.rdb.Do(ctx, "CLIENT", "UNBLOCK", w.id).Err() != nil {
		_ = w.Close()
	}
}

// waiterName is the name of the connections that wait.
const waiterName = "rqcompat"

var errNoConnection = errors.New("this kind of redis client has no connection of its own to block on; use a single server or Sentinel")

func (w *Waiter) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	pool, ok := w.c.rdb.(*redis.Client)
	if !ok {
		return errNoConnection
	}
	// Of a client of its own: who waits must not take a connection from those who work.
	options := *pool.Options()
	options.PoolSize, options.MinIdleConns = 1, 0
	client := redis.NewClient(&options)
	conn := client.Conn()
	_ = conn.ClientSetName(ctx, waiterName).Err() // for those who look; without the right to it there is no name
	id, err := conn.ClientID(ctx).Result()
	if err != nil && !redis.HasErrorPrefix(err, "NOPERM") && !redis.HasErrorPrefix(err, "unknown") {
		_ = client.Close()
		return fmt.Errorf("connect to wait: %w", err)
	}
	w.client, w.conn, w.id = client, conn, id
	return nil
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
