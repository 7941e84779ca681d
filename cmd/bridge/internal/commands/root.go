// Package commands has the commands of the program: those about the same in one file.
package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"
)

// Run executes one command line and returns the exit code. What went wrong stands on the error stream by then.
func Run(ctx context.Context, version string, args []string, s cli.Streams) int {
	logging.Disable() // of the Redis library: what goes wrong comes back as an error
	root := rootCommand(&cli.App{Streams: s, Version: version})
	root.SetArgs(args)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	ran, err := root.ExecuteContextC(ctx)
	code := exitcode.Of(err)
	switch {
	case err == nil || exitcode.IsSilent(err):
		return code
	case code == exitcode.Interrupted:
		err = errors.New("interrupted")
	case errors.Is(err, rows.ErrTableMissing) && !strings.Contains(err.Error(), "bridge install"):
		err = fmt.Errorf("%w; run: bridge install", err)
	case code == exitcode.Usage:
		err = fmt.Errorf("%w\nrun %q for the flags and examples", err, ran.CommandPath()+" --help")
	}
	fmt.Fprintf(s.Err, "bridge: %v\n", err)
	return code
}

func rootCommand(a *cli.App) *cobra.Command {
	root := &cobra.Command{
		Use:   "bridge",
		Short: "Work the background jobs of a Frappe bench in Go",
		Long: `bridge is a sidecar beside a Frappe bench. It works jobs that Python enqueued
with frappe.enqueue, emits jobs that Python workers run, keeps a row per job in
the site's database and tells the desk through Socket.IO.

The bench is the one of --bench, $BRIDGE_BENCH or $FRAPPE_BENCH_ROOT, else the one
around the working directory. The site is that of --site or $FRAPPE_SITE, else
the bench's default_site, else its only one.`,
		Example: `  bridge doctor                         is everything in place?
  bridge install --all-sites --samples  bring the desk what it needs
  bridge worker --queue go              work jobs
  bridge submit sample_job --organization ORG-2026-00001 duration=10 --watch`,
		SilenceErrors:     true, // Run prints them
		SilenceUsage:      true,
		Args:              cobra.NoArgs,
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.OpenLog("warn") },
	}
	a.AddFlags(root.PersistentFlags())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exitcode.With(exitcode.Usage, err) })
	root.AddCommand(
		workerCommand(a), enqueueCommand(a), submitCommand(a), jobsCommand(a), jobCommand(a), explainCommand(a), cancelCommand(a), retryCommand(a),
		deleteCommand(a), cleanupCommand(a), failedCommand(a), batchCommand(a), batchesCommand(a), queuesCommand(a), schedulesCommand(a),
		workersCommand(a), pauseCommand(a), resumeCommand(a),
		pausesCommand(a), breakersCommand(a),
		installCommand(a), uninstallCommand(a), setupCommand(a), watchCommand(a), doctorCommand(a), guardCommand(a), pickleCommand(a), versionCommand(a),
		&cobra.Command{
			Use: "exit-codes", Short: "What the exit codes mean", Long: exitcode.Explanation,
			Example: `  bridge cancel JOB-2026-00007; case $? in 3|4) echo "nothing to cancel";; esac`,
		},
	)
	usageArguments(root)
	return root
}

// usageArguments makes a wrong number of arguments and an unknown subcommand mistakes of usage.
func usageArguments(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return exitcode.With(exitcode.Usage, err)
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		usageArguments(sub)
	}
}

// supportedRQ are the versions whose wire format is spoken.
const supportedRQ = "1.15, 1.16, 2.0 to 2.10"

func versionCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of the program and of what it speaks",
		Example: "  bridge version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			version := cmp.Or(a.Version, "(devel)")
			if a.JSON {
				return a.PrintJSON(map[string]string{
					"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "rq": supportedRQ,
				})
			}
			fmt.Fprintf(a.Out, "bridge %s (%s, %s/%s), speaks RQ %s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, supportedRQ)
			return nil
		},
	}
}
