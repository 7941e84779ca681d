package rqcompat_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// Enqueue a call that a Python worker will run.
func ExampleClient_Enqueue() {
	ctx := context.Background()
	// A command whose reply got lost must not be sent again by itself.
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:11000", MaxRetries: -1})
	defer rdb.Close()

	found, err := rqcompat.Detect(ctx, rdb, "", "2.6.1")
	if err != nil {
		fmt.Println(err)
		return
	}
	c := rqcompat.NewClient(rdb, found.Dialect)
	kwargs := &pickle.Dict{}
	kwargs.Set("to", "a@b.c")
	job, err := c.Enqueue(ctx, rqcompat.Request{
		Queue:       "default",
		ID:          "mail-42",
		Call:        rqcompat.Call{Func: "myapp.tasks.send_mail", Args: []any{42}, Kwargs: kwargs},
		Deduplicate: true,
	})
	switch {
	case errors.Is(err, rqcompat.ErrDuplicateJob):
		fmt.Println("on its way already")
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println(job.ID, job.Status)
	}
}

func ExampleCall_Description() {
	kwargs := &pickle.Dict{}
	kwargs.Set("urgent", true)
	kwargs.Set("to", "a@b.c")
	fmt.Println(rqcompat.Call{Func: "myapp.tasks.send_mail", Args: []any{42}, Kwargs: kwargs}.Description())
	// Output: myapp.tasks.send_mail(42, to='a@b.c', urgent=True)
}
