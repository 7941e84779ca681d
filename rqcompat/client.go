package rqcompat

import (
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Client reads and writes RQ's state in one Redis in one dialect. It holds nothing but a look at Redis's clock, may be
// used by many goroutines and does not own the connection: the caller closes it. The connection must not repeat commands
// by itself (redis.Options.MaxRetries -1), or a lost reply can enqueue a job twice.
type Client struct {
	rdb redis.UniversalClient
	d   Dialect

	clock atomic.Pointer[clockReading]
}

// NewClient returns a Client that speaks dialect d over rdb.
func NewClient(rdb redis.UniversalClient, d Dialect) *Client { return &Client{rdb: rdb, d: d} }

// Dialect is the dialect the client writes.
func (c *Client) Dialect() Dialect { return c.d }
