package commands

import (
	"cmp"
	"fmt"
	"runtime"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/spf13/cobra"
)

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
