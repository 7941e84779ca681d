package rqcompat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
)

const (
	// recordTTL is the life of worker and execution records: RQ's 30 s of heartbeat interval and 60 s of slack. RQ
	// lets idle workers live for 480 s because it speaks to Redis that rarely then; ours have the same life idle
	// and busy, so a claim need not touch it.
	recordTTL = 90 * time.Second
	deadTTL   = 60 * time.Second // how long a record outlives the worker's orderly exit
)

// Worker is the record rq:worker:<name>. To RQ a worker runs one job at a time, so a process that runs many has
// one record per slot: same PID, different names. rq/worker.py register_birth and refresh, 1.15.1–2.10.
type Worker struct {
	// Name must be unique among all workers alive, across restarts too: outcomes are fenced by it.
	Name       string
	Queues     []string
	PID        int // not 0: tools hide such workers
	Hostname   string
	CurrentJob string    // the id of the job it works on; empty means that it is idle
	Birth      time.Time // when it started

	// State and Version, RQ's, are only read: started, idle, busy or suspended.
	State, Version string
}

// NewWorker returns an idle worker of this process, born now.
func NewWorker(name string, queues ...string) *Worker {
	return &Worker{Name: name, Queues: queues, PID: os.Getpid(), Hostname: hostname(), Birth: time.Now()}
}

func hostname() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return strings.ToValidUTF8(host, "?")
}

// record is the part of a worker's hash that stays the same for its life, as lua/worker_record.lua takes it:
// birth, queues, pid, hostname, ip_address, version, python_version.
type record [7]string

var errWorker = errors.New("worker record")

// checkWorker says why a worker can't have a record.
func (c *Client) checkWorker(w *Worker) error {
	switch {
	case w.Name == "" || strings.HasSuffix(w.Name, ":executions"):
		return fmt.Errorf("%w: name %q is empty or ends in \":executions\"", errWorker, clip(w.Name))
	case w.PID == 0:
		return fmt.Errorf("%w %q: pid is 0, which hides it from tools", errWorker, clip(w.Name))
	case w.Birth.IsZero():
		return fmt.Errorf("%w %q: birth is not set", errWorker, clip(w.Name))
	}
	bad := func(s string) bool { return !utf8.ValidString(s) }
	for _, s := range [...]string{w.Name, w.Hostname, c.d.Version} {
		if bad(s) {
			return fmt.Errorf("%w %q: %q is not UTF-8, which breaks every list of workers", errWorker, clip(w.Name), clip(s))
		}
	}
	if i := slices.IndexFunc(w.Queues, bad); i >= 0 {
		return fmt.Errorf("%w %q: its queue %q is not UTF-8, which breaks every list of workers", errWorker, clip(w.Name), clip(w.Queues[i]))
	}
	return nil
}

func (c *Client) record(w *Worker) (record, error) {
	return record{
		FormatTime(w.Birth), strings.Join(w.Queues, ","), strconv.Itoa(w.PID), w.Hostname, "unknown", c.d.Version, goVersion,
	}, c.checkWorker(w)
}

// goVersion stands for python_version. Detect knows by it that this is not a Python worker.
var goVersion = runtime.Version() + " dartwing-bridge"

// records returns the different records of workers as the scripts take them, first their number, then the values
// of each, and for every worker the number of its record. A hundred slots of one process send theirs once.
func (c *Client) records(ws []*Worker) (args []any, index []int, err error) {
	known := map[record]int{}
	index = make([]int, len(ws))
	args = []any{0}
	for i, w := range ws {
		r, err := c.record(w)
		if err != nil {
			return nil, nil, err
		}
		n, ok := known[r]
		if !ok {
			n = len(known)
			known[r] = n
			args = append(args, anys(r[:])...)
		}
		index[i] = n
	}
	args[0] = len(known)
	return args, index, nil
}

// Deregister takes workers off the lists and lets their records die within a minute. rq/worker.py register_death.
func (c *Client) Deregister(ctx context.Context, ws []*Worker) error {
	if len(ws) == 0 {
		return nil
	}
	now := FormatTime(time.Now())
	_, err := c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for _, w := range ws {
			key := WorkerKey(w.Name)
			p.SRem(ctx, WorkersKey(), key)
			for _, q := range w.Queues {
				p.SRem(ctx, QueueWorkersKey(q), key)
			}
			p.HSet(ctx, key, "death", now)
			p.Expire(ctx, key, deadTTL)
		}
		return nil
	})
	return wrap(err, "deregister %d workers", len(ws))
}

var heartbeatScript = newScript("heartbeat.lua")

// Heartbeat keeps the records of workers alive for another ttl, and writes those that vanished again, with the
// worker's CurrentJob. A record that can't be written keeps no other from it, and is part of the error.
// rq/worker.py heartbeat.
func (c *Client) Heartbeat(ctx context.Context, ws []*Worker, ttl time.Duration) error {
	refuse := func(w *Worker) error {
		_, err := c.record(w)
		return err
	}
	script := batched[*Worker]{script: heartbeatScript, refuse: refuse, args: func(some []*Worker) (args []any, err error) {
		records, index, err := c.records(some)
		if err != nil {
			return nil, err
		}
		args = append([]any{FormatTime(time.Now()), seconds(ttl)}, records...)
		for i, w := range some {
			args = append(args, w.Name, index[i], w.CurrentJob)
		}
		return args, nil
	}}
	answers, err := inBatches[int](ctx, c, script, ws)
	for i, a := range answers {
		if a.Err != nil {
			err = errors.Join(err, fmt.Errorf("%w %q: %w", errWorker, clip(ws[i].Name), a.Err))
		}
	}
	return wrap(err, "heartbeat of %d workers", len(ws))
}

// Workers lists the workers that have a live record, by name. Members of rq:workers whose record expired are left
// out, and left to maintenance. A record with a broken field is returned without that field and the problem is
// part of the error, so that one bad record does not hide the others. rq/worker.py Worker.all.
func (c *Client) Workers(ctx context.Context) ([]*Worker, error) {
	keys, err := c.rdb.SMembers(ctx, WorkersKey()).Result()
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	slices.Sort(keys)
	var ws []*Worker
	var bad []error
	for batch := range slices.Chunk(keys, scriptBatch) {
		cmds, err := pipelined(ctx, c.rdb, func(p redis.Pipeliner) {
			for _, k := range batch {
				p.HGetAll(ctx, k)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("read workers: %w", err)
		}
		for i, cmd := range cmds {
			h, err := cmd.(*redis.MapStringStringCmd).Result()
			name, ok := strings.CutPrefix(batch[i], WorkerKey(""))
			if err == nil && !ok {
				err = errors.New("not a worker key in rq:workers")
			}
			if err != nil {
				bad = append(bad, fmt.Errorf("%w %q: %w", errWorker, clip(batch[i]), err))
			} else if len(h) > 0 {
				w, err := parseWorker(name, h)
				bad = append(bad, err)
				ws = append(ws, w)
			}
		}
	}
	return ws, errors.Join(bad...)
}

func parseWorker(name string, h map[string]string) (*Worker, error) {
	w := &Worker{Name: name, Hostname: h["hostname"], CurrentJob: h["current_job"], State: h["state"], Version: h["version"]}
	if h["queues"] != "" {
		w.Queues = strings.Split(h["queues"], ",")
	}
	var bad []error
	note := func(field string, err error) {
		if err != nil {
			bad = append(bad, fmt.Errorf("%w %q: field %s %q: %w", errWorker, clip(name), field, clip(h[field]), err))
		}
	}
	var err error
	if s := h["birth"]; s != "" {
		w.Birth, err = ParseTime(s)
		note("birth", err)
	}
	if s := h["pid"]; s != "" {
		w.PID, err = strconv.Atoi(s)
		note("pid", err)
	}
	return w, errors.Join(bad...)
}
