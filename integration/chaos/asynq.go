package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/hibiken/asynq"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// asynqVariable makes this program a server of asynq on the Redis that it names, until it is killed.
const asynqVariable = "CHAOS_ASYNQ"

func asynqMain(addr string) int {
	l, err := newLedger(os.Getenv(ledgerVariable))
	if err == nil {
		server := asynq.NewServer(asynq.RedisClientOpt{Addr: addr}, asynq.Config{Concurrency: 8, LogLevel: asynq.FatalLevel})
		err = server.Run(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
			var p params
			if err := json.Unmarshal(t.Payload(), &p); err != nil {
				return err
			}
			if err := l.add(began, p.Key, os.Getpid()); err != nil {
				return err
			}
			pause(ctx, time.Duration(p.MS)*time.Millisecond)
			return errors.Join(ctx.Err(), l.add(ended, p.Key, os.Getpid()))
		}))
	}
	fmt.Fprintln(os.Stderr, "chaos asynq:", err)
	return 1
}

// killAsynq kills servers of asynq, as it comes.
func killAsynq(ctx context.Context, o *options, version string, mariadb *servers.MariaDB, rnd *rand.Rand) (r report, err error) {
	b, err := newBed(ctx, o, version, bedOptions{mariadb: mariadb})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	v := keep(running, seats, func() (*worker, error) {
		return b.start("asynq", "", []string{asynqVariable + "=" + b.redis.Addr, ledgerVariable + "=" + b.ledger.path}, self)
	})
	client := asynq.NewClientFromRedisClient(b.rdb)
	n, kills := o.many(peerJobs, 40), o.many(peerKills, 4)
	for i := range n {
		payload, err := json.Marshal(params{fmt.Sprint("job-", i), rnd.IntN(600)})
		if err == nil {
			_, err = client.EnqueueContext(ctx, asynq.NewTask("chaos", payload, asynq.TaskID(fmt.Sprint("job-", i))))
		}
		if err != nil {
			return r, err
		}
		if i%(n/kills) == 0 {
			v.kill(rnd)
		}
		pause(ctx, peerKillEvery*time.Duration(kills)/time.Duration(n))
	}
	o.say("asynq: %d jobs; waiting for what it brings back", n)
	l, err := b.asynqLine(ctx, n, o.lasting(asynqPatience, 2*time.Second))
	r.Lines = []line{l}
	stop()
	return r, errors.Join(err, v.wait())
}

// asynqLine waits until all jobs have ended, at most for patience, and says what became of them.
func (b *bed) asynqLine(ctx context.Context, n int, patience time.Duration) (l line, err error) {
	var h history
	var open []string
	until(ctx, patience, func() bool {
		open = nil
		if h, err = b.ledger.history(); err != nil {
			return true
		}
		for i := range n {
			if key := fmt.Sprint("job-", i); !h.ran(key) {
				open = append(open, key)
			}
		}
		pause(ctx, time.Second)
		return len(open) == 0
	})
	if err != nil {
		return l, err
	}
	l = line{Who: "asynq", Version: "0.26.0", Peer: true, Kills: h.kills, Jobs: n, Rescues: h.rescues}
	for i := range n {
		if len(h.runs[fmt.Sprint("job-", i)]) > 1 {
			l.Twice++
		}
	}
	inspector := asynq.NewInspectorFromRedisClient(b.rdb)
	for _, key := range open {
		switch info, err := inspector.GetTaskInfo("default", key); {
		case errors.Is(err, asynq.ErrTaskNotFound):
			l.Lost++
		case err != nil:
			return l, err
		case info.State == asynq.TaskStateArchived:
			l.Failed++
		default:
			l.Stuck++
		}
	}
	return l, nil
}
