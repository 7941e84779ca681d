package bridgetest_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/bridgetest"
)

type Greeting struct {
	Name string `json:"name"`
}

func greet(ctx context.Context, job *bridge.Job[Greeting]) (any, error) {
	if job.Params.Name == "" {
		return nil, bridge.Permanent(errors.New("whom?"))
	}
	job.Progress(50, "greeting")
	job.Log().Info("greets", "name", job.Params.Name)
	_, err := job.Submit(ctx, bridge.SubmitRequest{JobType: "send_mail", Key: job.Name + "/mail"})
	return map[string]any{"said": "Hello " + job.Params.Name}, err
}

func ExampleRun() {
	r := bridgetest.Run(context.Background(), greet, Greeting{"Jane"})
	fmt.Println(r.Value, r.Err, r.Status)
	fmt.Println(r.Progress, r.Log)
	for _, child := range r.Submitted {
		fmt.Println(child.JobType, child.Key, child.Site)
	}
	// Output:
	// map[said:Hello Jane] <nil> Completed
	// [{50 greeting}] [level=INFO msg=greets name=Jane]
	// send_mail JOB-TEST/mail site1.localhost
}

// Parameters as Python's keyword arguments arrive.
func ExampleRunJSON() {
	fmt.Println(bridgetest.RunJSON(context.Background(), greet, `{"name": "Jane"}`).Status)
	fmt.Println(bridgetest.RunJSON(context.Background(), greet, `{}`).Status)
	fmt.Println(bridgetest.RunJSON(context.Background(), greet, `{"name": ["Jane"]}`).Err)
	// Output:
	// Completed
	// Dead Letter
	// parameters of "the handler under test" don't fit its handler: "name" is a JSON array, which a string can't hold
}

// A handler that is canceled while it works.
func ExampleRun_canceled() {
	ctx, cancel := context.WithCancelCause(context.Background())
	r := bridgetest.Run(ctx, func(ctx context.Context, _ *bridge.Job[Greeting]) (any, error) {
		cancel(bridge.ErrCanceled)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}, Greeting{})
	fmt.Println(r.Err, r.Status)
	// Output: the job was canceled Canceled
}

// What a retry would be like: the sixth attempt of a job with five retries is its last.
func ExampleInfo() {
	away := func(context.Context, *bridge.Job[Greeting]) (any, error) {
		return nil, errors.New("mail server is away")
	}
	for _, attempt := range []int{1, 3, 6} {
		r := bridgetest.Run(context.Background(), away, Greeting{}, bridgetest.Info(bridge.JobInfo{Attempt: attempt}))
		fmt.Println(attempt, r.Status, r.RetryIn)
	}
	// Output:
	// 1 Failed 1m0s
	// 3 Failed 4m0s
	// 6 Dead Letter 0s
}

func ExampleFailSubmit() {
	r := bridgetest.Run(context.Background(), greet, Greeting{"Jane"}, bridgetest.FailSubmit(bridge.ErrJobTypeDisabled))
	if !errors.Is(r.Err, bridge.ErrJobTypeDisabled) {
		log.Fatal(r.Err)
	}
	fmt.Println(r.Status, len(r.Submitted))
	// Output: Failed 0
}
