// Package cli is what the commands share: the global flags, the log, and the ways to a bench, a site and a client.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
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
	if a.Quiet {
		level = "error"
	}
	if a.Log, err = output.NewLog(a.Err, cmp.Or(a.logLevel, level), a.logFormat); err != nil {
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

// OpenBench opens the bench that flags, environment or working directory name.
func (a *App) OpenBench() (*frappe.Bench, error) {
	dir := cmp.Or(a.bench, os.Getenv("BRIDGE_BENCH"), os.Getenv("FRAPPE_BENCH_ROOT"))
	if dir == "" {
		var err error
		if dir, err = benchAround(); err != nil {
			return nil, err
		}
	}
	b, err := benchconfig.Open(dir, a.Log)
	if err != nil {
		return nil, exitcode.With(exitcode.Config, err)
	}
	return b, nil
}

// benchAround finds the nearest directory at or above the working directory that is a bench.
func benchAround() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the bench: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(filepath.Join(dir, "sites", "common_site_config.json")); err == nil && info.Mode().IsRegular() {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%w: there is no sites/common_site_config.json in %s or above it; name the bench with --bench DIR or $BRIDGE_BENCH", frappe.ErrNotABench, start)
		}
	}
}

// SiteName chooses the site that a command is about.
func (a *App) SiteName(b *frappe.Bench) (string, error) {
	name := cmp.Or(a.Site, os.Getenv("FRAPPE_SITE"), b.Config().String("default_site", ""))
	var unknown error
	if name != "" {
		if _, unknown = b.Site(name); !errors.Is(unknown, frappe.ErrNoSuchSite) {
			return name, unknown
		}
	}
	all, err := b.Sites()
	switch {
	case unknown != nil && len(all) > 0:
		return "", fmt.Errorf("%w (sites of this bench: %s)", unknown, strings.Join(all, ", "))
	case unknown != nil:
		return "", unknown
	case err != nil:
		return "", err
	case len(all) == 1:
		return all[0], nil
	case len(all) == 0:
		return "", fmt.Errorf("%w: %s has none; run: bench new-site", frappe.ErrNoSuchSite, b.SitesDir)
	}
	return "", exitcode.Usagef("which site? Name one with --site: %s", strings.Join(all, ", "))
}

// OnBench runs do with the opened bench and its configuration.
func (a *App) OnBench(do func(b *frappe.Bench, cfg bridge.Config) error) error {
	b, err := a.OpenBench()
	if err != nil {
		return err
	}
	cfg, err := benchconfig.Load(b)
	if err != nil {
		return exitcode.With(exitcode.Config, err)
	}
	cfg.Log = a.Log
	return do(b, cfg)
}

// OnSite is [App.OnBench] for what is about one site.
func (a *App) OnSite(do func(b *frappe.Bench, cfg bridge.Config, site string) error) error {
	return a.OnBench(func(b *frappe.Bench, cfg bridge.Config) error {
		site, err := a.SiteName(b)
		if err != nil {
			return err
		}
		return do(b, cfg, site)
	})
}

// Session is what most commands need: a client and the site they are about.
type Session struct {
	Bench  *frappe.Bench
	Client *bridge.Client
	Site   string
}

// WithClient runs do with a connected client.
func (a *App) WithClient(ctx context.Context, do func(s Session) error) error {
	return a.OnSite(func(b *frappe.Bench, cfg bridge.Config, site string) error {
		client, err := bridge.NewClient(ctx, cfg)
		if err != nil {
			return err
		}
		return errors.Join(do(Session{Bench: b, Client: client, Site: site}), client.Close())
	})
}

// WithRQ runs do with a client for what is about the bench's Redis, and no site.
func (a *App) WithRQ(ctx context.Context, do func(b *frappe.Bench, cfg bridge.Config, rq *rqcompat.Client) error) error {
	return a.OnBench(func(b *frappe.Bench, cfg bridge.Config) error {
		client, err := bridge.NewClient(ctx, cfg)
		if err != nil {
			return err
		}
		return errors.Join(do(b, cfg.WithDefaults(), client.RQ()), client.Close())
	})
}
