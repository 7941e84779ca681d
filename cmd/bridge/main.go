// Command bridge works the background jobs of a Frappe bench in Go, and looks after them: see `bridge help`.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/commands"
)

// version is set by the linker (-X main.version=1.2.3); else it is what the build knows.
var version string

func main() {
	if info, ok := debug.ReadBuildInfo(); ok && version == "" {
		version = info.Main.Version
	}
	os.Exit(commands.Run(context.Background(), version, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
