package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe"
)

// Job types to try an installation with. They take the parameters of the Dartwing app's samples and say the same.

// sampleParams describe a job of ten steps.
type sampleParams struct {
	// Duration is how long the job takes, in seconds. Default: 5.
	Duration *float64 `json:"duration"`
	// FailType is "transient" or "permanent"; empty never fails.
	FailType string `json:"fail_type"`
	// FailAtProgress is the percentage at which it fails. Default: at the end.
	FailAtProgress float64 `json:"fail_at_progress"`
	// FailAttempts lets only the first attempts fail, so that a retry recovers; not in the app's sample. Default: all.
	FailAttempts int `json:"fail_attempts"`
}

// longRunningParams describe a job that takes its time.
type longRunningParams struct {
	// Duration is in seconds. Default: 600.
	Duration *float64 `json:"duration"`
}

// seconds turns an optional number of seconds into a duration.
func seconds(n *float64, otherwise time.Duration) (time.Duration, error) {
	switch {
	case n == nil:
		return otherwise, nil
	case !(*n >= 0 && *n <= 1e6):
		return 0, Permanent(fmt.Errorf("ValidationError: duration is %g, want 0 to 1000000 seconds", *n))
	}
	return time.Duration(*n * float64(time.Second)), nil
}

func registerSamples(e *Engine) {
	e.register("echo_job", &registration{source: "the samples", handle: echoJob})
	e.register("sample_job", &registration{source: "the samples", handle: typed("sample_job", false, sampleJob)})
	e.register("long_running_job", &registration{source: "the samples", handle: typed("long_running_job", false, longRunningJob)})
}

// echoedMost is up to how many bytes of parameters become the output, of which a row has the first 140 characters.
const echoedMost = 64 << 10

// echoJob returns its parameters. It takes them unread, since a large int would become a float any other way.
func echoJob(_ context.Context, job *Job[json.RawMessage]) (any, error) {
	job.Progress(50, "Processing...")
	job.Progress(100, "Done!")
	if len(job.Params) <= echoedMost {
		if text, err := frappe.AsJSON(job.Params); err == nil {
			job.SetOutput(string(text))
		}
	}
	return job.Params, nil
}

const sampleSteps = 10

func sampleJob(ctx context.Context, job *Job[sampleParams]) (any, error) {
	p := job.Params
	duration, err := seconds(p.Duration, 5*time.Second)
	if err != nil {
		return nil, err
	}
	fails := p.FailType != "" && (p.FailAttempts == 0 || job.Attempt <= p.FailAttempts)
	for step := 1; step <= sampleSteps; step++ {
		percent := 100 * float64(step) / sampleSteps
		job.Progress(percent, fmt.Sprintf("Processing step %d of %d...", step, sampleSteps))
		if fails && p.FailAtProgress > 0 && percent >= p.FailAtProgress {
			return nil, simulated(p.FailType, fmt.Sprintf("at %g%%", percent))
		}
		if wait.Sleep(ctx, duration/sampleSteps); ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	if fails {
		return nil, simulated(p.FailType, "at completion")
	}
	return done(job, fmt.Sprintf("/files/sample-output-%s.txt", cmp.Or(job.Name, job.ID)))
}

// done ends a sample with its output.
func done[P any](job *Job[P], output string) (any, error) {
	job.SetOutput(output)
	return map[string]any{"output_reference": output}, nil
}

func simulated(kind, where string) error {
	if kind == "permanent" {
		return Permanent(errors.New("Simulated permanent failure " + where))
	}
	return Transient(errors.New("Simulated transient failure " + where))
}

func longRunningJob(ctx context.Context, job *Job[longRunningParams]) (any, error) {
	duration, err := seconds(job.Params.Duration, 10*time.Minute)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	for {
		elapsed := time.Since(start)
		if elapsed >= duration {
			return done(job, fmt.Sprintf("Completed after %g seconds", duration.Seconds()))
		}
		job.Progress(100*elapsed.Seconds()/duration.Seconds(), fmt.Sprintf("Running for %ds...", int(elapsed.Seconds())))
		if wait.Sleep(ctx, min(duration-elapsed, time.Second)); ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}
