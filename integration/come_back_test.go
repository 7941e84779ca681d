package integration

import (
	"fmt"
	"testing"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// TestJobsThatComeBackAtOnce retries jobs without a pause: each is on its list again, under the same id, within
// moments of its claim.
func TestJobsThatComeBackAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "1.15.1", nil)
	runs := &attempts{}
	f.start(registerTasks(runs))
	const retries = 3
	var requests []rqcompat.Request
	for i := range 200 {
		requests = append(requests, rqcompat.Request{Queue: f.own(), ID: fmt.Sprintf("job-%d", i), Call: call("tasks.fail"), RetryMax: retries})
	}
	if _, err := f.rq.EnqueueMany(t.Context(), requests); err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		f.waitStatus(r.ID, rqcompat.StatusFailed)
		want(t, "runs of "+r.ID, runs.of(r.ID), 1+retries)
	}
}
