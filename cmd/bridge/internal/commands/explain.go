package commands

import (
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/view"
	"github.com/spf13/cobra"
)

func explainCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "explain NAME",
		Short: "Say why a job doesn't run, and whether it will by itself",
		Long: `Say why a job doesn't run: every reason, the decisive one first, in the words of
the rules that the engine itself asks. NAME is a Background Job's name or an RQ job
id.

Beside the reasons it says how many jobs stand before it on its queue, how many of
its site's jobs that wait and run are its organization's, what weight that has, and
how many slots are free. The numbers of jobs end at 10,000.

Exit codes, beside those of all commands:

    0  it runs, or will by itself: when its turn comes, its retry is due, …
    4  it has ended
    5  it waits until somebody does something`,
		Example: `  bridge explain JOB-2026-00042
  bridge explain JOB-2026-00042 --json | jq -r '.reasons[] | select(.stuck) | .why'
  bridge explain JOB-2026-00042 >/dev/null; test $? = 5 && echo "look at it"`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.WithClient(c.Context(), func(s cli.Session) error {
				in, err := inspect(c.Context(), s, args[0])
				if err != nil {
					return err
				}
				standing, err := s.Client.Standing(c.Context(), s.Site, in)
				if err != nil {
					return err
				}
				e := view.Explain(in, standing)
				if a.JSON {
					err = a.PrintJSON(e)
				} else {
					err = e.Print(a.Out)
				}
				switch {
				case err != nil:
					return err
				case e.Verdict == view.Ended:
					return exitcode.Silent(exitcode.Refused)
				case e.Verdict == view.Stuck:
					return exitcode.Silent(exitcode.Warnings)
				}
				return nil
			})
		},
	}
}
