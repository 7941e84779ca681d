package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/opensoft/dartwing-bridge/bridge/internal/foreign"
)

// registerForeign sets up the handlers that the configuration declares.
func (e *Engine) registerForeign() error {
	var errs []error
	for name, cfg := range e.cfg.Foreign {
		run, err := cfg.handler()
		if err != nil {
			errs = append(errs, fmt.Errorf("bridge.handlers[%q]: %w", name, err))
			continue
		}
		e.register(name, &registration{source: "bridge.handlers", intervals: cfg.RetryIntervals, handle: func(ctx context.Context, j *RawJob) (any, error) {
			return run(ctx, j.JobInfo, j.Params, foreignReporter{j})
		}})
	}
	return errors.Join(errs...)
}

func (h ForeignHandler) handler() (foreign.Call, error) {
	if h.Exec != nil {
		return foreign.NewExec(*h.Exec)
	}
	return foreign.NewHTTP(*h.HTTP)
}

// foreignReporter is the Job of a running attempt as a foreign handler reports to it.
type foreignReporter struct{ *RawJob }

var errNoSite = errors.New("a job that no site has can't submit others")

// Submit implements foreign.Reporter: the jobs are children of this one, in every respect that the handler can't name.
func (r foreignReporter) Submit(ctx context.Context, children []foreign.Child) ([]foreign.Submitted, error) {
	out := make([]foreign.Submitted, len(children))
	if r.Site == "" {
		for i := range out {
			out[i].Err = errNoSite
		}
		return out, nil
	}
	requests := make([]SubmitRequest, len(children))
	for i, c := range children {
		requests[i] = SubmitRequest{JobType: c.JobType, Priority: c.Priority, Key: c.Key, RunAfter: c.RunAfter.Time, DependsOn: c.DependsOn}
		if len(c.Parameters) > 0 {
			requests[i].Parameters = c.Parameters
		}
	}
	results, err := r.SubmitMany(ctx, requests)
	for i, result := range results {
		if out[i].Created, out[i].Err = result.Created, result.Err; result.Row != nil {
			out[i].Name = result.Row.Name
		}
	}
	return out, err
}
