package rqcompat

import (
	"context"
	"strconv"
	"strings"
	"time"
)

var dataMarkScript = newScript("datamark.lua")

// DataMark is a mark of the data that Redis has: the same for everybody who asks, and another one once they may have been lost,
// in whole or in part, since the server was emptied, was started again, or another one took over.
func (c *Client) DataMark(ctx context.Context) (string, error) {
	mark, err := dataMarkScript.Run(ctx, c.rdb, []string{DataMarkKey()}, NewExecutionID()).Text()
	return mark, wrap(err, "ask whether Redis has lost data")
}

// DataSince is from when on a server has had the data of a mark, by its clock: it was not emptied or started again since, nor did it
// take over from another. False if that isn't known.
func DataSince(mark string) (time.Time, bool) {
	parts := strings.Split(mark, " ")
	if len(parts) != 3 || parts[1] == "" {
		return time.Time{}, false
	}
	since, err := strconv.ParseInt(parts[2], 10, 64)
	return time.Unix(since, 0), err == nil
}
