// Command demo shows the bridge at work: a dozen jobs on private servers, with live progress. `make demo` runs it.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"
)

// demo is one run.
type demo struct {
	out, err            io.Writer
	json, quiet, stay   bool
	rq, program         string
	logLevel, logFormat string
	log                 *slog.Logger
}

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// run executes one command line and returns the exit code; the codes are those of the bridge.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	logging.Disable() // of the Redis library: what goes wrong comes back as an error
	c := command(&demo{out: stdout, err: stderr})
	c.SetArgs(args)
	c.SetOut(stdout)
	c.SetErr(stderr)
	err := coded(c.ExecuteContext(ctx))
	code := exitcode.Of(err)
	switch {
	case err == nil || exitcode.IsSilent(err):
		return code
	case code == exitcode.Interrupted:
		err = errors.New("interrupted")
	}
	fmt.Fprintf(stderr, "demo: %v\n", err)
	return code
}

// coded gives an error that only the demo knows its code.
func coded(err error) error {
	if errors.Is(err, servers.ErrNotInstalled) {
		return exitcode.With(exitcode.Config, err)
	}
	return err
}

func command(d *demo) *cobra.Command {
	c := &cobra.Command{
		Use:   "demo",
		Short: "A dozen jobs on private servers, with live progress",
		Long: `Start private servers (Redis, MariaDB, the realtime server), a bench with one site
and two organizations, a bridge worker, a Python worker and a Python producer
with real RQ; run a dozen jobs and show their progress as the organizations'
members would see it.

It ends by itself with a table, and exit code 0 only if every job ended as it
should, by its row and by RQ. Nothing is left behind.`,
		Example: `  make demo
  make demo DEMO_FLAGS="--rq 1.15.1"
  make demo DEMO_FLAGS=--stay`,
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
		Args: func(c *cobra.Command, args []string) error {
			if err := cobra.NoArgs(c, args); err != nil {
				return exitcode.With(exitcode.Usage, err)
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if err := d.check(); err != nil {
				return exitcode.With(exitcode.Usage, err)
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return d.run(ctx)
		},
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exitcode.With(exitcode.Usage, err) })
	f := c.Flags()
	f.BoolVar(&d.stay, "stay", false, "keep everything running afterwards and print how to look around")
	f.StringVar(&d.rq, "rq", "2.6.1", "RQ version of the Python processes")
	f.StringVar(&d.program, "bridge", "bridge", "the program to show")
	f.BoolVar(&d.json, "json", false, "print JSON on stdout")
	f.BoolVarP(&d.quiet, "quiet", "q", false, "log errors only, print no more than asked for")
	f.StringVar(&d.logLevel, "log-level", "", "debug, info, warn or error (default: warn)")
	f.StringVar(&d.logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
	return c
}

// check looks at the flags, finds the program that is shown and opens the log.
func (d *demo) check() (err error) {
	if !slices.Contains(rqVersions(), d.rq) {
		return fmt.Errorf("--rq is %q, want one of %s: versions that a Frappe release pins", d.rq, strings.Join(rqVersions(), ", "))
	}
	if d.program, err = exec.LookPath(d.program); err == nil {
		d.program, err = filepath.Abs(d.program)
	}
	if err != nil {
		return fmt.Errorf("find the program to show: %w", err)
	}
	level := "warn"
	if d.quiet {
		level = "error"
	}
	d.log, err = output.NewLog(d.err, cmp.Or(d.logLevel, level), d.logFormat)
	return err
}

// rqVersions leaves out RQ 2.10, which refuses the job ids that Frappe's releases so far write (frappe/frappe issue
// 42351).
func rqVersions() []string {
	return slices.DeleteFunc(servers.RQVersions(), func(v string) bool { return strings.HasPrefix(v, "2.10") })
}

// say prints a line for people: not with --json, nor with -q.
func (d *demo) say(format string, args ...any) {
	if !d.json && !d.quiet {
		fmt.Fprintf(d.out, format+"\n", args...)
	}
}

func (d *demo) run(ctx context.Context) (err error) {
	servers.UnsetBenchVariables()
	began := time.Now()
	d.say("Starting Redis, MariaDB, the realtime server, a bridge worker and a Python worker (RQ %s) ...", d.rq)
	s, err := buildStage(ctx, d)
	if err != nil {
		return fmt.Errorf("set the stage: %w", err)
	}
	defer func() {
		if stopErr := s.stop(); stopErr != nil && err == nil {
			err = stopErr
		}
	}()
	d.say("Ready after %s. %s belongs to %s, %s to %s.\n", time.Since(began).Round(100*time.Millisecond),
		people[0].User, people[0].Organization, people[1].User, people[1].Organization)
	show, err := d.perform(ctx, s)
	if err != nil {
		return err
	}
	if err := d.printShow(show, time.Since(began)); err != nil {
		return err
	}
	if show.failed() {
		fmt.Fprintf(d.err, "\nThe end of the bridge worker's log:\n%s\n", s.worker.Output())
	}
	if d.stay {
		d.lookAround(s)
		<-ctx.Done()
	}
	if show.failed() {
		return exitcode.Silent(exitcode.Failure)
	}
	return nil
}
