package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// streams are what a command reads from and writes to.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// app is one run of the program: its global flags and what commands share.
type app struct {
	streams
	bench string
	site  string
	json  bool
	quiet bool

	logLevel, logFormat string
	log                 zerolog.Logger
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	muteRedis()
	a := &app{streams: s}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	ran, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	var done *exitError
	if errors.As(err, &done) && done.err == nil {
		return code // the command has said everything already
	}
	if code == exitUsage {
		fmt.Fprintf(s.err, "bridge: %v\nrun %q for the flags and examples\n", err, ran.CommandPath()+" --help")
		return code
	}
	if code == exitInterrupted {
		err = errors.New("interrupted")
	}
	fmt.Fprintf(s.err, "bridge: %v\n", err)
	return code
}

// muteRedis keeps the client library from writing to stderr by itself: what goes
// wrong comes back as an error.
var muteRedis = sync.OnceFunc(func() { redis.SetLogger(nothing{}) })

type nothing struct{}

// Printf drops what the Redis library would print.
func (nothing) Printf(context.Context, string, ...any) {}

func (a *app) rootCommand() *cobra.Command {
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
  bridge install --all-sites --samples  create missing tables and sample Job Types
  bridge worker --queue go              work jobs
  bridge submit sample_job --organization ORG-2026-00001 duration=10 --watch`,
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return a.openLog()
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.bench, "bench", "", "bench directory, or its sites directory")
	flags.StringVar(&a.site, "site", "", "site")
	flags.BoolVar(&a.json, "json", false, "print JSON on stdout")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "log errors only, print no more than asked for")
	flags.StringVar(&a.logLevel, "log-level", "", "debug, info, warn or error (default: info for worker, else warn)")
	flags.StringVar(&a.logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(
		a.workerCommand(), a.enqueueCommand(), a.submitCommand(), a.jobsCommand(), a.jobCommand(), a.cancelCommand(), a.retryCommand(),
		a.installCommand(), a.watchCommand(), a.doctorCommand(), a.pickleCommand(), a.demoCommand(), a.versionCommand(), exitCodesTopic(),
	)
	usageArguments(root)
	return root
}

// usageArguments makes a wrong number of arguments and an unknown subcommand
// usage errors, whichever command finds them.
func usageArguments(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &usageError{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		usageArguments(sub)
	}
}

// openLog sets up the log on stderr.
func (a *app) openLog() error {
	level := zerolog.WarnLevel
	if a.quiet {
		level = zerolog.ErrorLevel
	}
	if a.logLevel != "" {
		var err error
		if level, err = zerolog.ParseLevel(a.logLevel); err != nil || level == zerolog.NoLevel {
			return usage("--log-level is %q, want debug, info, warn or error", a.logLevel)
		}
	}
	switch a.logFormat {
	case "", "text", "json":
	default:
		return usage("--log-format is %q, want text or json", a.logFormat)
	}
	var w io.Writer = a.err
	if a.logFormat == "text" || a.logFormat == "" && isTerminal(a.err) {
		w = zerolog.ConsoleWriter{Out: a.err, NoColor: !isTerminal(a.err), TimeFormat: "15:04:05.000"}
	}
	a.log = zerolog.New(w).Level(level).With().Timestamp().Logger()
	return nil
}

// openBench opens the bench that flags, environment or working directory name.
func (a *app) openBench() (*frappe.Bench, error) {
	dir, err := a.benchDir()
	if err != nil {
		return nil, err
	}
	b, err := frappe.OpenBench(dir)
	if err != nil {
		return nil, &configError{err}
	}
	b.SetLogger(a.log)
	return b, nil
}

func (a *app) benchDir() (string, error) {
	if a.bench != "" {
		return a.bench, nil
	}
	for _, variable := range []string{"BRIDGE_BENCH", "FRAPPE_BENCH_ROOT"} {
		if dir := os.Getenv(variable); dir != "" {
			return dir, nil
		}
	}
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the bench: %w", err)
	}
	if dir := benchAbove(start); dir != "" {
		return dir, nil
	}
	return "", fmt.Errorf("%w: there is no sites/common_site_config.json in %s or above it; name the bench with --bench DIR or $BRIDGE_BENCH", frappe.ErrNotABench, start)
}

// siteName chooses the site a command is about.
func (a *app) siteName(b *frappe.Bench) (string, error) {
	for _, name := range []string{a.site, os.Getenv("FRAPPE_SITE"), b.Config().String("default_site", "")} {
		if name != "" {
			_, err := b.Site(name)
			return name, withSites(b, err)
		}
	}
	all, err := b.Sites()
	switch {
	case err != nil:
		return "", err
	case len(all) == 1:
		return all[0], nil
	case len(all) == 0:
		return "", fmt.Errorf("%w: %s has none; run: bench new-site", frappe.ErrNoSuchSite, b.SitesDir)
	}
	return "", usage("which site? Name one with --site: %s", strings.Join(all, ", "))
}

// withSites adds the names that would have been right to an unknown one.
func withSites(b *frappe.Bench, err error) error {
	if !errors.Is(err, frappe.ErrNoSuchSite) {
		return err
	}
	if all, listErr := b.Sites(); listErr == nil && len(all) > 0 {
		return fmt.Errorf("%w (sites of this bench: %s)", err, strings.Join(all, ", "))
	}
	return err
}

// onBench runs do with the opened bench and its configuration.
func (a *app) onBench(do func(b *frappe.Bench, cfg bridge.Config) error) error {
	b, err := a.openBench()
	if err != nil {
		return err
	}
	defer b.Close()
	cfg, err := bridge.LoadConfig(b)
	if err != nil {
		return &configError{err}
	}
	cfg.Log = a.log
	return do(b, cfg)
}

// session is what most commands need: a client and the site they are about.
type session struct {
	bench  *frappe.Bench
	cfg    bridge.Config
	client *bridge.Client
	site   string
}

// withClient runs do with a connected client.
func (a *app) withClient(ctx context.Context, do func(s session) error) error {
	return a.onBench(func(b *frappe.Bench, cfg bridge.Config) error {
		site, err := a.siteName(b)
		if err != nil {
			return err
		}
		client, err := bridge.NewClient(ctx, cfg)
		if err != nil {
			return err
		}
		return errors.Join(do(session{bench: b, cfg: cfg, client: client, site: site}), client.Close())
	})
}
