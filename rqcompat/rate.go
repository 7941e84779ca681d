package rqcompat

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

var rateScript = newScript("rate.lua")

// TakePlaces asks for places in a sliding window, of which there are limit within its length: one for each of who, which may
// be any text. Who has one already keeps it. taken tells who has one, in their order, and next after how long another one
// is free, zero if one is. It is exact, whoever asks at the same time.
func (c *Client) TakePlaces(ctx context.Context, window string, length time.Duration, limit int, who []string) (taken []bool, next time.Duration, err error) {
	for some := range slices.Chunk(who, scriptBatch) {
		args := append([]any{length.Microseconds(), limit}, anys(some)...)
		reply, err := rateScript.Run(ctx, c.rdb, []string{RateKey(window)}, args...).StringSlice()
		if err != nil {
			return nil, 0, fmt.Errorf("take a place in the window %q: %w", clip(window), err)
		}
		for _, got := range reply[:len(some)] {
			taken = append(taken, got == "1")
		}
		micros, _ := strconv.ParseInt(reply[len(some)], 10, 64)
		next = time.Duration(micros) * time.Microsecond
	}
	return taken, next, nil
}

// LeavePlaces gives places back.
func (c *Client) LeavePlaces(ctx context.Context, window string, who []string) error {
	if len(who) == 0 {
		return nil
	}
	if err := c.rdb.ZRem(ctx, RateKey(window), anys(who)...).Err(); err != nil {
		return fmt.Errorf("give back a place in the window %q: %w", clip(window), err)
	}
	return nil
}
