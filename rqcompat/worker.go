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

// Worker states as RQ shows them. rq/worker.py WorkerStatus.
const (
	StateStarted   = "started"
	StateIdle      = "idle"
	StateBusy      = "busy"
	StateSuspended = "suspended"
)

const (
	// recordTTL is the life of worker and execution records: RQ's 30 s of heartbeat interval and 60 s of
	// patience. RQ lets idle workers live for 480 s because it speaks to Redis that rarely then; ours have the
	// same life idle and busy, so a claim need not touch it.
	recordTTL = 90 * time.Second
	// deadTTL is how long a record outlives the worker's orderly exit.
	deadTTL = 60 * time.Second
)

// Worker is the record rq:worker:<name>. To RQ a worker runs one job at a time, so a process that runs many
// has one record per slot: same PID, different names. rq/worker.py register_birth and refresh, 1.15.1–2.10.
type Worker struct {
	// Name must be unique among all workers that ever live at the same time, across restarts too: outcomes
	// are fenced by it.
	Name   string
	Queues []string
	// PID must not be 0; tools hide such workers. Hostname and IPAddress ("ip:port" or "unknown") are text.
	PID                 int
	Hostname, IPAddress string
	// Version is the RQ version and Python the interpreter's; empty means the client's dialect and a text
	// that starts with "go", by which Detect knows that this is no Python worker.
	Version, Python string

	State, CurrentJob                      string
	Birth, LastHeartbeat                   time.Time
	Death, ShutdownRequested               time.Time
	Successful, Failed                     int64
	TotalWorkingTime, CurrentJobWorkedTime float64 // seconds
}

// NewWorker returns an idle worker of this process, born now.
func NewWorker(name string, queues ...string) *Worker {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &Worker{
		Name: name, Queues: queues, PID: os.Getpid(), Hostname: strings.ToValidUTF8(host, "?"), IPAddress: "unknown",
		State: StateIdle, Birth: time.Now(),
	}
}

// recordFields is the number of values in a worker record as the scripts take them.
const recordFields = 7

// record is the part of a worker's hash that stays the same for its life: birth, queues, pid, hostname,
// ip_address, version, python_version.
type record [recordFields]string

var errWorker = errors.New("worker record")

func (c *Client) record(w *Worker) (record, error) {
	switch {
	case w.Name == "" || strings.HasSuffix(w.Name, ":executions"):
		return record{}, fmt.Errorf("%w: name %q is empty or ends in \":executions\"", errWorker, clip(w.Name))
	case w.PID == 0:
		return record{}, fmt.Errorf("%w %q: pid is 0, which hides it from the desk", errWorker, clip(w.Name))
	case w.Birth.IsZero():
		return record{}, fmt.Errorf("%w %q: birth is not set", errWorker, clip(w.Name))
	}
	r := record{
		FormatTime(w.Birth), strings.Join(w.Queues, ","), strconv.Itoa(w.PID), w.Hostname,
		orElse(w.IPAddress, "unknown"), orElse(w.Version, c.d.Version), orElse(w.Python, goVersion),
	}
	for _, v := range append(r[:], w.Name) {
		if !utf8.ValidString(v) {
			return record{}, fmt.Errorf("%w %q: %q is not UTF-8, which breaks every list of workers", errWorker, clip(w.Name), clip(v))
		}
	}
	return r, nil
}

var goVersion = runtime.Version() + " dartwing-bridge"

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// recordTable collects the different records of a batch, so that a hundred slots of one process send it once.
type recordTable struct {
	c     *Client
	index map[record]int
	order []record
}

func (t *recordTable) add(w *Worker) (int, error) {
	r, err := t.c.record(w)
	if err != nil {
		return 0, err
	}
	i, ok := t.index[r]
	if !ok {
		if t.index == nil {
			t.index = map[record]int{}
		}
		i = len(t.order)
		t.index[r] = i
		t.order = append(t.order, r)
	}
	return i, nil
}

// appendTo appends the number of records and the records.
func (t *recordTable) appendTo(args []any) []any {
	args = append(args, len(t.order))
	for i := range t.order {
		for j := range t.order[i] {
			args = append(args, t.order[i][j])
		}
	}
	return args
}

// Register writes the records of new workers, all in one transaction, with a life of 90 s: Heartbeat keeps
// them alive.
// rq/worker.py register_birth and rq/worker_registration.py register.
func (c *Client) Register(ctx context.Context, ws []*Worker) error {
	if len(ws) == 0 {
		return nil
	}
	records := make([]record, len(ws))
	for i, w := range ws {
		var err error
		if records[i], err = c.record(w); err != nil {
			return err
		}
	}
	now := FormatTime(time.Now())
	_, err := c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for i, w := range ws {
			key, r := WorkerKey(w.Name), records[i]
			p.Del(ctx, key)
			p.HSet(ctx, key, "birth", r[0], "last_heartbeat", now, "queues", r[1], "pid", r[2], "hostname", r[3],
				"ip_address", r[4], "version", r[5], "python_version", r[6], "state", orElse(w.State, StateStarted))
			p.SAdd(ctx, WorkersKey(), key)
			for _, q := range w.Queues {
				p.SAdd(ctx, QueueWorkersKey(q), key)
			}
			p.Expire(ctx, key, recordTTL)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("register %d workers: %w", len(ws), err)
	}
	return nil
}

// Deregister takes workers off the lists and lets their records die within a minute.
// rq/worker.py register_death.
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
	if err != nil {
		return fmt.Errorf("deregister %d workers: %w", len(ws), err)
	}
	return nil
}

var heartbeatScript = newScript("heartbeat.lua")

// Heartbeat keeps the records of workers alive for another ttl, and writes those that vanished again, with the
// worker's State and CurrentJob. rq/worker.py heartbeat.
func (c *Client) Heartbeat(ctx context.Context, ws []*Worker, ttl time.Duration) error {
	var calls []scriptCall
	for batch := range slices.Chunk(ws, scriptBatch) {
		table := recordTable{c: c}
		index := make([]int, len(batch))
		for i, w := range batch {
			var err error
			if index[i], err = table.add(w); err != nil {
				return err
			}
		}
		args := table.appendTo([]any{FormatTime(time.Now()), seconds(ttl)})
		for i, w := range batch {
			args = append(args, w.Name, index[i], orElse(w.State, StateIdle), w.CurrentJob)
		}
		calls = append(calls, scriptCall{script: heartbeatScript, args: args})
	}
	if err := c.runBatch(ctx, calls, nil); err != nil {
		return fmt.Errorf("heartbeat of %d workers: %w", len(ws), err)
	}
	return nil
}

// scriptBatch is the most items one script call gets. At some 20 µs an item other clients wait 5 ms at most,
// and unpack stays far below Lua's limit.
const scriptBatch = 250

// runBatch runs calls in one round trip and, with codes, collects the number each script answers per item.
func (c *Client) runBatch(ctx context.Context, calls []scriptCall, codes *[]int64) error {
	if len(calls) == 0 {
		return nil
	}
	replies, err := c.runScripts(ctx, calls)
	if err != nil {
		return err
	}
	for _, r := range replies {
		if err := r.Err(); err != nil {
			return err
		}
		if codes == nil {
			continue
		}
		got, err := r.Int64Slice()
		if err != nil {
			return err
		}
		*codes = append(*codes, got...)
	}
	return nil
}

// seconds is d in whole seconds, at least 1: a TTL of 0 would delete.
func seconds(d time.Duration) int64 { return max(int64(d/time.Second), 1) }

// floatTime is t the way Python prints a float timestamp with microseconds.
func floatTime(t time.Time) string {
	return strconv.FormatInt(t.Unix(), 10) + "." + strconv.FormatInt(1_000_000+int64(t.Nanosecond()/1000), 10)[1:]
}

// Workers lists the workers that have a live record, by name. Members of rq:workers whose record expired are
// left out, and left to maintenance. A record with a broken field is returned without that field and the
// problem is part of the error, so that one bad record does not hide the others. rq/worker.py Worker.all.
func (c *Client) Workers(ctx context.Context) ([]*Worker, error) {
	keys, err := c.rdb.SMembers(ctx, WorkersKey()).Result()
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	slices.Sort(keys)
	var ws []*Worker
	var bad []error
	for batch := range slices.Chunk(keys, scriptBatch) {
		cmds, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, k := range batch {
				p.HGetAll(ctx, k)
			}
			return nil
		})
		if err != nil && !isReplyError(err) {
			return nil, fmt.Errorf("read workers: %w", err)
		}
		for i, cmd := range cmds {
			h, err := cmd.(*redis.MapStringStringCmd).Result()
			name, ok := workerName(batch[i])
			if err != nil || !ok {
				bad = append(bad, fmt.Errorf("%w %q: %w", errWorker, clip(batch[i]), orNotAKey(err)))
				continue
			}
			if len(h) == 0 {
				continue
			}
			w, err := parseWorker(name, h)
			if err != nil {
				bad = append(bad, err)
			}
			ws = append(ws, w)
		}
	}
	return ws, errors.Join(bad...)
}

func orNotAKey(err error) error {
	if err == nil {
		return errors.New("not a worker key in rq:workers")
	}
	return err
}

func parseWorker(name string, h map[string]string) (*Worker, error) {
	w := &Worker{
		Name: name, Hostname: h["hostname"], IPAddress: h["ip_address"], Version: h["version"], Python: h["python_version"],
		State: h["state"], CurrentJob: h["current_job"],
	}
	if h["queues"] != "" {
		w.Queues = strings.Split(h["queues"], ",")
	}
	var bad []error
	note := func(field string, err error) {
		if err != nil {
			bad = append(bad, fmt.Errorf("%w %q: field %s %q: %w", errWorker, clip(name), field, clip(h[field]), err))
		}
	}
	for field, to := range map[string]*time.Time{
		"birth": &w.Birth, "last_heartbeat": &w.LastHeartbeat, "death": &w.Death, "shutdown_requested_date": &w.ShutdownRequested,
	} {
		if s := h[field]; s != "" {
			t, err := ParseTime(s)
			*to = t
			note(field, err)
		}
	}
	for field, to := range map[string]*int64{"successful_job_count": &w.Successful, "failed_job_count": &w.Failed} {
		if s := h[field]; s != "" {
			n, err := strconv.ParseInt(s, 10, 64)
			*to = n
			note(field, err)
		}
	}
	for field, to := range map[string]*float64{
		"total_working_time": &w.TotalWorkingTime, "current_job_working_time": &w.CurrentJobWorkedTime,
	} {
		if s := h[field]; s != "" {
			f, err := strconv.ParseFloat(s, 64)
			*to = f
			note(field, err)
		}
	}
	if s := h["pid"]; s != "" {
		pid, err := strconv.Atoi(s)
		w.PID = pid
		note("pid", err)
	}
	return w, errors.Join(bad...)
}
