package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/spf13/cobra"
)

// The methods and Job Types that the own worker has handlers for.
const (
	echoMethod = "bridge_acceptance.echo" // returns what it was called with
	taskMethod = "bridge_acceptance.task" // does what a task says
	taskType   = "bridge_acceptance_task" // the same as a Job Type
	shortType  = "bridge_acceptance_short"
	// shortTimeout is the time limit of the Job Type shortType, in seconds.
	shortTimeout = 2
	// lease keeps the wait for the rescue of a killed worker's jobs short.
	lease = 3 * time.Second
)

// echoed is what the echo returns.
type echoed struct {
	Params  json.RawMessage `json:"params"`
	User    string          `json:"user"`
	Method  string          `json:"method"`
	Timeout float64         `json:"timeout"` // seconds
}

// task says what a job does.
type task struct {
	Seconds      float64 `json:"seconds"`       // how long it takes, with a report of progress each half second
	FailAttempts int     `json:"fail_attempts"` // so many attempts fail, to be tried again
	Permanent    bool    `json:"permanent"`     // it fails, not to be tried again
}

// workerCommand is how this program starts itself as a worker, so that one can be killed.
func workerCommand() *cobra.Command {
	var bench, level string
	c := &cobra.Command{
		Use:    "worker",
		Hidden: true,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return work(ctx, bench, level)
		},
	}
	c.Flags().StringVar(&bench, "bench", "", "bench directory")
	c.Flags().StringVar(&level, "log-level", "error", "least level that is logged")
	return c
}

// work runs an engine with the cases' handlers until ctx ends.
func work(ctx context.Context, dir, level string) error {
	log, err := output.NewLog(os.Stderr, level, "text")
	if err != nil {
		return err
	}
	b, err := benchconfig.Open(dir, log)
	if err != nil {
		return err
	}
	cfg, err := benchconfig.Load(b)
	if err != nil {
		return err
	}
	cfg.Log, cfg.Lease, cfg.StopTimeout, cfg.CancelGrace = log, lease, 2*time.Second, 2*time.Second
	cfg.Breaker.Off = true // half of the cases' jobs are to fail
	e, err := bridge.New(cfg)
	if err != nil {
		return err
	}
	soon := bridge.WithRetry(bridge.RetryPolicy{Base: time.Second, Jitter: -1})
	bridge.Register(e, echoMethod, echo)
	for _, name := range []bridge.JobType[task]{taskMethod, taskType, shortType} {
		bridge.Register(e, name, perform, soon)
	}
	return e.Run(ctx)
}

func echo(_ context.Context, job *bridge.RawJob) (any, error) {
	return echoed{Params: job.Params, User: job.User, Method: job.Method, Timeout: job.Timeout.Seconds()}, nil
}

func perform(ctx context.Context, job *bridge.Job[task]) (any, error) {
	began := time.Now()
	job.Log().Info("begins", "attempt", job.Attempt)
	defer job.Log().Info("ends")
	for total := time.Duration(job.Params.Seconds * float64(time.Second)); ; {
		spent := time.Since(began)
		if spent >= total {
			break
		}
		job.Progress(100*spent.Seconds()/total.Seconds(), fmt.Sprintf("second %d", int(spent.Seconds())))
		if err := pause(ctx, min(total-spent, 500*time.Millisecond)); err != nil {
			return nil, err
		}
	}
	switch {
	case job.Params.Permanent:
		return nil, bridge.Permanent(errors.New("bridge_acceptance fails for good"))
	case job.Attempt <= job.Params.FailAttempts:
		return nil, errors.New("bridge_acceptance fails this time")
	}
	return values{"attempt": job.Attempt}, nil
}

// startWorker starts the own worker and waits until its records are there.
func (b *bed) startWorker(ctx context.Context) error {
	if b.running {
		b.missing[ownWorker] = "--running: the bridge that works the bench has no handlers of this program"
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	b.worker, err = servers.StartChild("own worker", b.frappe.Dir, nil, nil, self, "worker", "--bench", b.frappe.Dir, "--log-level", b.logLevel)
	if err != nil {
		return err
	}
	started := b.worker
	b.undo = append(b.undo, func() error { return started.Stop(10 * time.Second) })
	return b.until(ctx, 30*time.Second, "the own worker has its records in RQ", func() (bool, error) {
		workers, err := b.rq().Workers(ctx)
		for _, w := range workers {
			if strings.HasPrefix(w.Name, bridge.WorkerPrefix) && w.PID == started.PID() {
				return true, nil
			}
		}
		if ended := started.Ended(); ended != nil {
			return false, ended
		}
		return false, err
	})
}

// killWorker ends the own worker as a crash would.
func (b *bed) killWorker() {
	_ = syscall.Kill(-b.worker.PID(), syscall.SIGKILL)
	<-b.worker.Done()
}

// ownGroup keeps Ctrl-C from a child, which is stopped in order instead.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
