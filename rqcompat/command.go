package rqcompat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The commands a worker may get. rq/command.py.
const (
	CommandShutdown  = "shutdown"   // finish the current job, take no more
	CommandKillHorse = "kill-horse" // abort the current job as failed
	CommandStopJob   = "stop-job"   // abort JobID, if it is the current job, as stopped
)

// Command is a message to one worker. Unknown names are to be ignored.
type Command struct {
	Name  string `json:"command"`
	JobID string `json:"job_id,omitempty"`
	// Err says what is wrong with a received message that is not a command; Name is then empty.
	Err error `json:"-"`
}

const (
	// listenPing is how often a silent subscription is checked, listenReply how long the answer may take.
	listenPing  = 10 * time.Second
	listenReply = 5 * time.Second
	// listenPause and listenMaxPause bound the pause before a lost subscription is tried again.
	listenPause    = 100 * time.Millisecond
	listenMaxPause = 10 * time.Second
)

// Listen calls f, one command at a time, for every command sent to a worker whose name matches namePattern (Redis
// glob), until ctx ends, and returns ctx's error. A lost connection is subscribed again, ever less often, and
// reported with worker "" and a Command whose Err is set; commands sent meanwhile are lost, as they are for Python
// workers. Messages that are not commands are reported the same way with the worker's name.
func (c *Client) Listen(ctx context.Context, namePattern string, f func(worker string, cmd Command)) error {
	return c.listen(ctx, func() *redis.PubSub { return c.rdb.PSubscribe(ctx, PubSubChannel(namePattern)) }, func() {}, f)
}

// listen tells made of each subscription that stands.
func (c *Client) listen(ctx context.Context, subscribe func() *redis.PubSub, made func(), f func(worker string, cmd Command)) error {
	pause := listenPause
	for {
		heard, err := listenOnce(ctx, subscribe(), made, f)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if heard {
			pause = listenPause
		}
		f("", Command{Err: fmt.Errorf("listen for commands: %w", err)})
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, listenMaxPause)
	}
}

// listenOnce listens on one connection until it breaks. heard says that the subscription had been made.
func listenOnce(ctx context.Context, ps *redis.PubSub, made func(), f func(worker string, cmd Command)) (heard bool, err error) {
	defer ps.Close()
	// A context does not interrupt a read; a closed connection does.
	stop := context.AfterFunc(ctx, func() { _ = ps.Close() })
	defer stop()
	wait := listenPing
	for {
		m, err := ps.ReceiveTimeout(ctx, wait)
		var timeout interface{ Timeout() bool }
		switch {
		case err != nil && errors.As(err, &timeout) && timeout.Timeout() && wait == listenPing && heard:
			if err := ps.Ping(ctx); err != nil {
				return heard, err
			}
			wait = listenReply
			continue
		case err != nil:
			return heard, err
		}
		wait = listenPing
		switch m := m.(type) {
		case *redis.Subscription:
			heard = true
			made()
		case *redis.Message:
			f(strings.TrimPrefix(m.Channel, PubSubChannel("")), parseCommand(m.Payload))
		}
	}
}

// maxCommand is how long a message may be, in bytes. RQ's own have some hundred.
const maxCommand = 64 << 10

func parseCommand(payload string) Command {
	var cmd Command
	if len(payload) > maxCommand {
		return Command{Err: fmt.Errorf("command %q: longer than %d bytes", clip(payload), maxCommand)}
	}
	if err := json.Unmarshal([]byte(payload), &cmd); err != nil {
		return Command{Err: fmt.Errorf("command %q: %w", clip(payload), err)}
	}
	if cmd.Name == "" {
		return Command{Err: fmt.Errorf("command %q: no name", clip(payload))}
	}
	return cmd
}

// SendCommand sends a command to a worker and says how many listened: 0 is nobody. rq/command.py send_command.
func (c *Client) SendCommand(ctx context.Context, worker string, cmd Command) (receivers int64, err error) {
	payload, err := json.Marshal(cmd)
	if err != nil {
		return 0, fmt.Errorf("send %s: %w", cmd.Name, err)
	}
	receivers, err = c.rdb.Publish(ctx, PubSubChannel(worker), payload).Result()
	return receivers, wrap(err, "send %s to worker %q", cmd.Name, clip(worker))
}

// SendStop asks the worker that runs a job to stop it, and returns the worker's name. ErrNotRunning when the job
// does not run or its worker does not listen. The job has stopped only when its status says so. rq/command.py
// send_stop_job_command.
func (c *Client) SendStop(ctx context.Context, jobID string) (worker string, err error) {
	h, err := c.rdb.HMGet(ctx, JobKey(jobID), "status", "worker_name").Result()
	if err != nil {
		return "", fmt.Errorf("stop job %q: %w", clip(jobID), err)
	}
	status, _ := h[0].(string)
	worker, _ = h[1].(string)
	if Status(status) != StatusStarted || worker == "" {
		return "", fmt.Errorf("stop job %q, which is %q: %w", clip(jobID), clip(status), ErrNotRunning)
	}
	n, err := c.SendCommand(ctx, worker, Command{Name: CommandStopJob, JobID: jobID})
	if err == nil && n == 0 {
		err = fmt.Errorf("stop job %q: worker %q does not listen: %w", clip(jobID), clip(worker), ErrNotRunning)
	}
	return worker, err
}
