package bridge_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
)

// timed logs how long each job took.
func timed(next bridge.Handler) bridge.Handler {
	return func(ctx context.Context, job *bridge.RawJob) (any, error) {
		start := time.Now()
		result, err := next(ctx, job)
		job.Log().Info("timed", "took", time.Since(start), "failed", err != nil)
		return result, err
	}
}

// Middleware wraps every handler of an engine: engine.Use(timed). It is an ordinary function, so that it can be tried
// without an engine.
func ExampleMiddleware() {
	handler := timed(func(_ context.Context, job *bridge.RawJob) (any, error) {
		return job.Method + " ran", nil
	})
	fmt.Println(handler(context.Background(), &bridge.RawJob{JobInfo: bridge.JobInfo{Method: "sum_up"}}))
	// Output: sum_up ran <nil>
}

// OnEnd also sees what never reached a handler: a job of a method that nobody registered, for instance.
func ExampleEngine_OnEnd() {
	var engine *bridge.Engine // made by bridge.New
	engine.OnEnd(func(end bridge.End) {
		log.Printf("%s on %s: %s after %s (%v)", end.Method, end.Queue, end.Outcome, end.Took, end.Err)
	})
}
