package rqcompat_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
	"github.com/redis/go-redis/v9"
)

// exampleRedis is a client of a server of its own. Real ones need MaxRetries -1, too: a command whose reply got lost
// must not be sent again by itself.
func exampleRedis() (rdb *redis.Client, stop func()) {
	server, err := servers.StartRedis(context.Background())
	if err != nil {
		panic(err)
	}
	rdb = redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1})
	return rdb, func() { _, _ = rdb.Close(), server.Stop() }
}

// exampleClient writes the format of RQ 2.6.
func exampleClient() (c *rqcompat.Client, stop func()) {
	rdb, stop := exampleRedis()
	d, err := rqcompat.ParseDialect("2.6.1")
	if err != nil {
		panic(err)
	}
	return rqcompat.NewClient(rdb, d), stop
}

// Enqueue a call that a Python worker will run, once, however often it is asked for.
func ExampleClient_Enqueue() {
	c, stop := exampleClient()
	defer stop()
	kwargs := &pickle.Dict{}
	kwargs.Set("to", "a@b.c")
	for range 2 {
		job, err := c.Enqueue(context.Background(), rqcompat.Request{
			Queue:       "default",
			ID:          "mail-42",
			Call:        rqcompat.Call{Func: "myapp.tasks.send_mail", Args: []any{42}, Kwargs: kwargs},
			Deduplicate: true,
		})
		if errors.Is(err, rqcompat.ErrDuplicateJob) {
			fmt.Println(err)
		} else {
			fmt.Println(job.ID, job.Status, err)
		}
	}
	// Output:
	// mail-42 queued <nil>
	// job exists already: "mail-42" is queued
}

// The life of a job in a worker: claim it, keep its lease alive while it runs, settle it.
func ExampleClient_Claim() {
	c, stop := exampleClient()
	defer stop()
	ctx := context.Background()
	job, err := c.Enqueue(ctx, rqcompat.Request{Queue: "default", Call: rqcompat.Call{Func: "myapp.tasks.add", Args: []any{1, 2}}})
	if err != nil {
		fmt.Println(err)
		return
	}

	worker := rqcompat.NewWorker("my-worker-1", "default")
	claim := rqcompat.Claim{Queue: "default", ID: job.ID, Worker: worker, Register: true, ExecutionID: rqcompat.NewExecutionID()}
	started := time.Now()
	got, err := c.Claim(ctx, []rqcompat.Claim{claim}, started, time.Minute)
	if err != nil || got[0].Result != rqcompat.Claimed {
		fmt.Println("somebody else was faster:", got, err)
		return
	}
	lease := rqcompat.Lease{Queue: "default", ID: job.ID, Worker: worker.Name, ExecutionID: claim.ExecutionID, StartedAt: started}
	states, err := c.Renew(ctx, []rqcompat.Lease{lease}, time.Minute, true)
	fmt.Println("held:", states[0].Result == rqcompat.LeaseHeld, err)

	value, err := rqcompat.EncodeResult(1+2, rqcompat.PickleSerializer)
	if err != nil {
		fmt.Println(err)
		return
	}
	settled, err := c.Settle(ctx, []rqcompat.Outcome{{Lease: lease, Kind: rqcompat.OutcomeFinished, ReturnValue: value, EndedAt: time.Now()}})
	fmt.Println("settled:", settled[0].Result == rqcompat.Settled, err)

	results, err := c.Results(ctx, job.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	returned, err := results[0].Value()
	fmt.Println("returned:", returned, err)
	// Output:
	// held: true <nil>
	// settled: true <nil>
	// returned: 3 <nil>
}

// The configured version comes first; without one, the workers that live in Redis tell.
func ExampleDetect() {
	rdb, stop := exampleRedis()
	defer stop()
	ctx := context.Background()
	rdb.SAdd(ctx, "rq:workers", "rq:worker:w1")
	rdb.HSet(ctx, "rq:worker:w1", "version", "1.16.2", "python_version", "3.11.2")
	for _, configured := range []string{"2.6", "", "3.0"} {
		found, err := rqcompat.Detect(ctx, rdb, configured, "")
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(found.Dialect.Version, "from", found.Source)
	}
	// Output:
	// 2.6 from configuration
	// 1.16.2 from live worker w1
	// rq version "3.0" (from configuration) is not supported: supported are 1.15.x, 1.16.x and 2.0 to 2.10; set the rq version in the configuration if one of these describes your workers
}

// A job is read as far as it can be; what a Python worker would die of is named.
func ExampleParseJob() {
	job, err := rqcompat.ParseJob("mail-42", map[string]string{
		"data": "x\x9c…", "origin": "default", "status": "queued", "timeout": "3m", "seen_by": "me",
	})
	var field *rqcompat.FieldError
	fmt.Println(errors.As(err, &field), field)
	fmt.Println(job.Origin, job.Status, job.Timeout == nil, job.Extra["seen_by"], job.Extra["timeout"])
	// Output:
	// true job field timeout is "3m", want a whole number
	// default queued true me 3m
}

// The data field is a pickled call in zlib. Reading it runs nothing.
func ExampleJob_Call() {
	data, err := rqcompat.EncodeCall(rqcompat.Call{Func: "os.remove", Args: []any{"/etc/passwd"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	call, err := (&rqcompat.Job{Data: data}).Call()
	fmt.Println(call.Func, call.Args, err)
	// Output: os.remove [/etc/passwd] <nil>
}

func ExampleCall_Description() {
	kwargs := &pickle.Dict{}
	kwargs.Set("urgent", true)
	kwargs.Set("to", "a@b.c")
	fmt.Println(rqcompat.Call{Func: "myapp.tasks.send_mail", Args: []any{42}, Kwargs: kwargs}.Description())
	// Output: myapp.tasks.send_mail(42, to='a@b.c', urgent=True)
}

// What a function returned, as RQ stores it.
func ExampleEncodeResult() {
	s, err := rqcompat.EncodeResult([]any{1, "größe", nil}, rqcompat.PickleSerializer)
	fmt.Println(s, err)
	v, err := rqcompat.DecodeResult(s)
	fmt.Println(v.(*pickle.List).Items, err)
	// Output:
	// gARdKEsBjAdncsO2w59llE5lLg== <nil>
	// [1 größe <nil>] <nil>
}

func ExampleJudge() {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer rdb.Close()
	d, err := rqcompat.ParseDialect("1.15.1")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = rqcompat.NewClient(rdb, d).Queues(context.Background())
	fmt.Println(rqcompat.Judge(err) == rqcompat.Away, rqcompat.Judge(rqcompat.ErrNoSuchJob) == rqcompat.Final)
	// Output: true true
}
