package commands

import (
	"fmt"
	"slices"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/doctor"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/spf13/cobra"
)

func doctorCommand(a *cli.App) *cobra.Command {
	var fix bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check configuration, servers, tables and who works what",
		Long: `Check everything that the bridge needs: configuration, Redis and what its user
may do there, the RQ version spoken, who works which queue, jobs that wait where
nobody works, handlers that hold their slots, failed jobs, clocks, each site's
database and tables, dead letters, rows that nothing will move, and the realtime
server. Nothing is changed but by --fix, which says what it did: it puts back what
a bridge that died had popped from a queue.

Each line is ok, warning or error, with what to do about it. The exit code is 0 if
all is ok, 1 if there is an error, and 5 if there are warnings only. --site checks
that site only.`,
		Example: `  bridge doctor
  bridge doctor -q || mail -s "bridge" ops@example.com
  bridge doctor --fix
  bridge doctor --site site1.localhost --json | jq '.[] | select(.level != "ok")'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := a.OpenBench()
			if err != nil {
				return printFindings(a, []doctor.Finding{{Level: doctor.Error, Check: "bench", Text: err.Error()}})
			}
			return printFindings(a, doctor.Examine(c.Context(), b, doctor.Options{Site: a.Site, Fix: fix}))
		},
	}
	c.Flags().BoolVar(&fix, "fix", false, "put back what a bridge that died had popped from a queue")
	return c
}

func printFindings(a *cli.App, findings []doctor.Finding) error {
	for _, f := range findings {
		if a.JSON || a.Quiet && f.Level == doctor.OK {
			continue
		}
		fmt.Fprintf(a.Out, "%-8s %-22s %s\n", f.Level, output.OneLine(f.Check), output.OneLine(f.Text))
		if f.Fix != "" {
			fmt.Fprintf(a.Out, "%31s → %s\n", "", output.OneLine(f.Fix))
		}
	}
	if a.JSON {
		if err := a.PrintJSON(findings); err != nil {
			return err
		}
	}
	has := func(level doctor.Level) bool {
		return slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.Level == level })
	}
	switch {
	case has(doctor.Error):
		return exitcode.Silent(exitcode.Failure)
	case has(doctor.Warning):
		return exitcode.Silent(exitcode.Warnings)
	}
	return nil
}
