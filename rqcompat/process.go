package rqcompat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Process is what a process of this package's workers tells about itself. RQ has no such record: it knows workers of one
// job each, and none of them can say that a handler goes on after its job has ended.
type Process struct {
	// Name, and a dash, starts the names of all its workers. It is new with each start: the same PID on the same host is another
	// process.
	Name     string    `json:"name"`
	Hostname string    `json:"hostname"`
	PID      int       `json:"pid"`
	Version  string    `json:"version"`
	Birth    time.Time `json:"birth"`
	// Queues are worked, those in Shared together with Python.
	Queues []string `json:"queues"`
	Shared []string `json:"shared"`
	// Handlers are the methods and Job Types that it can run.
	Handlers []string `json:"handlers"`
	// Slots is how many jobs it runs at once, Running how many it does, Waiting how many only lack a slot. What is in
	// Abandoned counts as running.
	Slots   int `json:"slots"`
	Running int `json:"running"`
	Waiting int `json:"waiting"`
	// Memory is about how many bytes the running jobs take, MemoryMost how many there are for them, in two halves: large jobs
	// wait for each other. 0 of a process that doesn't count.
	Memory     int         `json:"memory,omitempty"`
	MemoryMost int         `json:"memory_most,omitempty"`
	Abandoned  []Abandoned `json:"abandoned"`
	// Troubles says in words which servers it can't use.
	Troubles []string `json:"troubles,omitempty"`
	// Repairs is how often it has mended something, by kind.
	Repairs map[string]int `json:"repairs,omitempty"`
}

// IsOldest reports whether the process of that name is the first of a list that has the oldest first, as Client.Processes: what one of
// all is to do, it does.
func IsOldest(processes []Process, name string) bool {
	return len(processes) > 0 && processes[0].Name == name
}

// Abandoned is a handler that goes on although its job has ended: it ignores that it was told to.
type Abandoned struct {
	JobID string `json:"job_id"`
	Queue string `json:"queue"`
	// Row is the row that it worked on, "" for a job without one.
	Row    string    `json:"row,omitempty"`
	Method string    `json:"method"`
	Since  time.Time `json:"since"`
}

// NewProcess describes this process, born now.
func NewProcess(name, version string) Process {
	w := NewWorker(name)
	return Process{Name: name, Hostname: w.Hostname, PID: w.PID, Version: version, Birth: w.Birth}
}

const (
	// processTTL is the life of a record that nobody renews, processForgotten that of its entry in the index.
	processTTL       = 30 * time.Second
	processForgotten = time.Hour
)

// Handles reports whether the process has a handler of one of the names.
func (p Process) Handles(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(p.Handlers, name) })
}

// Publish writes the record of a process, which lasts for 30 s.
func (c *Client) Publish(ctx context.Context, p Process) error {
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("publish process %q: %w", clip(p.Name), err)
	}
	now := time.Now()
	_, err = c.rdb.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Set(ctx, ProcessKey(p.Name), text, processTTL)
		pipe.ZAdd(ctx, ProcessesKey(), redis.Z{Score: float64(now.Unix()), Member: p.Name})
		pipe.ZRemRangeByScore(ctx, ProcessesKey(), "-inf", strconv.FormatInt(now.Add(-processForgotten).Unix(), 10))
		return nil
	})
	return wrap(err, "publish process %q", clip(p.Name))
}

// Withdraw removes the record of a process.
func (c *Client) Withdraw(ctx context.Context, name string) error {
	_, err := c.rdb.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Del(ctx, ProcessKey(name))
		pipe.ZRem(ctx, ProcessesKey(), name)
		pipe.SRem(ctx, HeardKey(), name)
		return nil
	})
	return wrap(err, "withdraw process %q", clip(name))
}

// Processes lists the processes that have a record, the oldest first. One that can't be read is left out, and part of
// the error.
func (c *Client) Processes(ctx context.Context) ([]Process, error) {
	names, err := c.rdb.ZRange(ctx, ProcessesKey(), 0, -1).Result()
	if err != nil || len(names) == 0 {
		return nil, wrap(err, "list processes")
	}
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = ProcessKey(name)
	}
	values, err := c.rdb.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, fmt.Errorf("read processes: %w", err)
	}
	var found []Process
	var bad []error
	for i, v := range values {
		text, ok := v.(string)
		if !ok {
			continue // it died
		}
		var p Process
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			bad = append(bad, fmt.Errorf("process %q: %w", clip(names[i]), err))
			continue
		}
		found = append(found, p)
	}
	slices.SortFunc(found, func(a, b Process) int { return a.Birth.Compare(b.Birth) })
	return found, errors.Join(bad...)
}
