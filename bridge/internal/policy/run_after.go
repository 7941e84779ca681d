package policy

import (
	"context"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// RunAfter names the rule that holds a job until the time that its row names.
const RunAfter = "run after"

var runAfter = Rule{Name: RunAfter, Ask: func(ctx context.Context, f Facts, q Question) Answer {
	if q.Moment != AtDelivery || q.Row == nil || q.Row.RunAfter.IsZero() {
		return Answer{}
	}
	if in := q.Row.RunAfter.Sub(f.Clock(ctx)); in > 0 {
		return waitFor(in, "it is to run "+job.At(q.Row.RunAfter))
	}
	return Answer{}
}}
