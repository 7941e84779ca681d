package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker (-X main.version=1.2.3); else it is what the
// build knows.
var version string

func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// supportedRQ are the versions whose wire format is spoken.
const supportedRQ = "1.15, 1.16, 2.0 to 2.10"

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of the program and of what it speaks",
		Example: "  bridge version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.printJSON(map[string]string{
					"version": programVersion(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "rq": supportedRQ,
				})
			}
			fmt.Fprintf(a.out, "bridge %s (%s, %s/%s), speaks RQ %s\n", programVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH, supportedRQ)
			return nil
		},
	}
}
