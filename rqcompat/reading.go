package rqcompat

import (
	"context"
	"errors"
	"time"
)

// ErrBeingRead says that another process reads a job at this moment.
var ErrBeingRead = errors.New("another process reads the job")

const (
	// readingMost is far longer than a call can be read: a reading that is older and hasn't ended took its process along.
	readingMost = 30 * time.Second
	// readingTTL is how long that is remembered after the last attempt.
	readingTTL = 24 * time.Hour
)

var readScript = newScript("read.lua")

// BeginReading notes that a process, by a name that no other one ever had, begins to read the call of a job of which it
// isn't sure to survive that; EndReading takes the note back. It tells how many other processes began and didn't live to
// end it, within a day; or ErrBeingRead, with nothing noted, while another one is at it.
func (c *Client) BeginReading(ctx context.Context, id, process string) (deaths int, err error) {
	deaths, err = readScript.Run(ctx, c.rdb, []string{ReadingKey(id)}, process, readingMost.Milliseconds(), readingTTL.Milliseconds()).Int()
	if err == nil && deaths < 0 {
		return 0, ErrBeingRead
	}
	return deaths, wrap(err, "note that job %q is read", clip(id))
}

// EndReading takes back what BeginReading noted.
func (c *Client) EndReading(ctx context.Context, id, process string) error {
	return wrap(c.rdb.ZRem(ctx, ReadingKey(id), process).Err(), "note that job %q was read", clip(id))
}
