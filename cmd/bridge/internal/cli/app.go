// Package cli is what the commands share: the global flags, the log, and the ways to a bench, a site and a client.
package cli

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/spf13/pflag"
)

// Streams are what a command reads from and writes to.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// App is one run of the program.
type App struct {
	Streams
	Version string // of the program
	JSON    bool   // print JSON on Out
	Quiet   bool   // print no more than asked for
	Log     *slog.Logger
	// Site is that of --site, "" without one; [App.SiteName] chooses.
	Site string

	bench               string
	logLevel, logFormat string
}

// AddFlags adds the global flags.
func (a *App) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&a.bench, "bench", "", "bench directory, or its sites directory")
	f.StringVar(&a.Site, "site", "", "site")
	f.BoolVar(&a.JSON, "json", false, "print JSON on stdout")
	f.BoolVarP(&a.Quiet, "quiet", "q", false, "log errors only, print no more than asked for")
	f.StringVar(&a.logLevel, "log-level", "", "debug, info, warn or error (default: info for worker, else warn)")
	f.StringVar(&a.logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
}

// OpenLog opens the log on Err, with that level unless a flag says another.
func (a *App) OpenLog(level string) (err error) {
	switch {
	case a.logLevel != "":
		level = a.logLevel
	case a.Quiet:
		level = "error"
	}
	if a.Log, err = output.NewLog(a.Err, level, a.logFormat); err != nil {
		return exitcode.With(exitcode.Usage, err)
	}
	return nil
}

// Say prints a line for people: not with --json, nor with -q.
func (a *App) Say(format string, args ...any) {
	if !a.JSON && !a.Quiet {
		fmt.Fprintf(a.Out, format+"\n", args...)
	}
}

// PrintJSON prints v as one indented JSON document.
func (a *App) PrintJSON(v any) error { return output.JSON(a.Out, v) }
