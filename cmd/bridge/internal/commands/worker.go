package commands

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/reaper"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// workerFlags overlay the configuration.
type workerFlags struct {
	bridge.Config
	noShared bool
}

func workerCommand(a *cli.App) *cobra.Command {
	var w workerFlags
	c := &cobra.Command{
		Use:   "worker",
		Short: "Work the bench's jobs until a signal comes",
		Long: `Work the bench's jobs. Flags overlay the key "bridge" of common_site_config.json.

On an own queue everything belongs to the bridge; of a shared queue only jobs
that have a handler here are taken, all others are left to Python.

SIGINT and SIGTERM stop in order: nothing new is taken, running jobs get the stop
timeout to end, then they are canceled and given back to their queues. A second
signal ends the program at once; its jobs are rescued by others within 20 s.`,
		Example: `  bridge worker
  bridge worker --queue go --no-shared --concurrency 500
  bridge worker --bench /home/frappe/frappe-bench --stop-timeout 2m --log-format json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := w.check(c.Flags()); err != nil {
				return err
			}
			if code, first, err := reaper.Run(); first && err == nil {
				os.Exit(code) // what there is to say the program has said
			} else if err != nil {
				return err
			}
			if err := a.OpenLog("info"); err != nil {
				return err
			}
			return a.OnBench(func(_ *frappe.Bench, cfg bridge.Config) error {
				w.overlay(&cfg, c.Flags())
				return work(c.Context(), a, cfg)
			})
		},
	}
	w.add(c.Flags())
	return c
}

func (w *workerFlags) add(f *pflag.FlagSet) {
	f.StringSliceVar(&w.Queues, "queue", nil, "queue type that is the bridge's alone; may be repeated")
	f.StringSliceVar(&w.SharedQueues, "shared-queue", nil, "queue type worked together with Python; may be repeated")
	f.StringSliceVar(&w.First, "first", nil, "shared queue type on which to wait before idle Python workers; may be repeated")
	f.BoolVar(&w.noShared, "no-shared", false, "work no shared queues")
	f.IntVar(&w.Concurrency, "concurrency", 0, "how many jobs run at once")
	f.DurationVar(&w.StopTimeout, "stop-timeout", 0, "how long a stop waits for running jobs")
	f.DurationVar(&w.CancelGrace, "cancel-grace", 0, "how long a canceled handler may take to return")
	f.DurationVar(&w.Lease, "lease", 0, "how long a claim holds without renewal, at most 15s")
	f.StringVar(&w.RQVersion, "rq-version", "", "RQ version to speak, instead of the one found out")
	f.StringVar(&w.DefaultOrganization, "default-organization", "", "organization of jobs that name none")
	f.BoolVar(&w.NoSamples, "no-builtins", false, "without echo_job, sample_job and long_running_job")
}

func (w *workerFlags) check(set *pflag.FlagSet) error {
	switch {
	// Zero would silently mean the default.
	case set.Changed("concurrency") && w.Concurrency < 1:
		return exitcode.Usagef("--concurrency is %d, want at least 1", w.Concurrency)
	case w.noShared && len(w.SharedQueues) > 0:
		return exitcode.Usagef("--no-shared and --shared-queue exclude each other")
	case w.StopTimeout < 0 || w.CancelGrace < 0 || w.Lease < 0:
		return exitcode.Usagef("durations can't be negative")
	}
	return nil
}

func (w *workerFlags) overlay(cfg *bridge.Config, set *pflag.FlagSet) {
	for flag, apply := range map[string]func(){
		"queue":                func() { cfg.Queues = w.Queues },
		"shared-queue":         func() { cfg.SharedQueues = w.SharedQueues },
		"first":                func() { cfg.First = w.First },
		"no-shared":            func() { cfg.SharedQueues = []string{} },
		"concurrency":          func() { cfg.Concurrency = w.Concurrency },
		"stop-timeout":         func() { cfg.StopTimeout = w.StopTimeout },
		"cancel-grace":         func() { cfg.CancelGrace = w.CancelGrace },
		"lease":                func() { cfg.Lease = w.Lease },
		"rq-version":           func() { cfg.RQVersion = w.RQVersion },
		"default-organization": func() { cfg.DefaultOrganization = w.DefaultOrganization },
		"no-builtins":          func() { cfg.NoSamples = w.NoSamples },
	} {
		if set.Changed(flag) {
			apply()
		}
	}
}

// work runs an engine until it has stopped in order, as the first signal makes it; the second ends the process.
func work(ctx context.Context, a *cli.App, cfg bridge.Config) error {
	e, err := bridge.New(cfg)
	if err != nil {
		return exitcode.With(exitcode.Config, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	var watching sync.WaitGroup
	watching.Go(func() {
		if s, ok := <-signals; ok {
			a.Log.Info("stopping; a second signal stops at once", "signal", s.String())
			cancel()
		}
		if s, ok := <-signals; ok {
			a.Log.Error("stopped hard: running jobs are rescued when their leases lapse", "signal", s.String())
			os.Exit(exitcode.Interrupted)
		}
	})
	running, stopped := context.WithCancel(context.WithoutCancel(ctx))
	watching.Go(func() { tellSystemd(running, ctx, e, a.Log) })
	err = e.Run(ctx)
	stopped()
	signal.Stop(signals)
	close(signals)
	watching.Wait()
	return err
}
