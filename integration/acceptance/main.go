// Command acceptance tries a bridge on a bench: everything that a site's users, desk and Python processes would do with
// it, by the bench's own Python and web server. `make acceptance BENCH=… SITE=…` runs it.
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

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"
)

// options is what the command line says.
type options struct {
	bench, site, url, program string
	owner, other              user
	running                   bool
	maintenance, migrate      bool
	desk                      bool
	only                      string
	json, quiet               bool
	logLevel                  string

	out, err io.Writer
	log      *slog.Logger
}

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// run executes one command line and returns the exit code; the codes are those of the bridge.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	logging.Disable() // of the Redis library: what goes wrong comes back as an error
	c := command(&options{out: stdout, err: stderr})
	c.SetArgs(args)
	c.SetOut(stdout)
	c.SetErr(stderr)
	err := c.ExecuteContext(ctx)
	code := exitcode.Of(err)
	switch {
	case err == nil || exitcode.IsSilent(err):
		return code
	case code == exitcode.Interrupted:
		err = errors.New("interrupted")
	}
	fmt.Fprintf(stderr, "acceptance: %v\n", err)
	return code
}

func command(o *options) *cobra.Command {
	c := &cobra.Command{
		Use:   "acceptance --bench DIRECTORY --site SITE",
		Short: "Try the bridge on a bench",
		Long: `Try the bridge on a bench that it was installed beside: enqueue in every way that
Frappe knows, through the bench's own Python and web server; run jobs from Go in
Python; watch as two users; read the desk's pages; retry, cancel, kill and rescue.

Run it as the bench's user after "bridge install", while the bench's web server,
realtime server and Python workers are up. It starts a worker of its own, with
handlers of its own (bridge_acceptance.*), so no other bridge may work the bench
for that while; with --running one does, and what needs own handlers is left out.

What it makes it removes, also after a failure, Ctrl-C or, at the next start, a
crash: three users, an organization, two Job Types and their jobs, two Server
Scripts. All are called bridge-acceptance. Frappe keeps its usual traces, such as
Deleted Documents and gaps in naming series.

Each case comes out as ok, not ok, or not there: something that it needs is
missing here. Exit code 0 if nothing is not ok.`,
		Example: `  acceptance --bench /home/frappe/frappe-bench --site site1.localhost
  acceptance --site site1.localhost --only enqueue --json | jq '.cases[] | select(.result != "ok")'
  acceptance --site site1.localhost --maintenance --migrate --desk
  make acceptance BENCH=/home/frappe/frappe-bench SITE=site1.localhost ACCEPTANCE_FLAGS=--running`,
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
		Args:          usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return exitcode.With(exitcode.Usage, err)
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return accept(ctx, o)
		},
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exitcode.With(exitcode.Usage, err) })
	c.AddCommand(workerCommand())
	f := c.Flags()
	f.StringVar(&o.bench, "bench", ".", "bench directory")
	f.StringVar(&o.site, "site", "", "site (required)")
	f.StringVar(&o.url, "url", "", "the site's URL (default: host_name, else the site's name and webserver_port)")
	f.StringVar(&o.program, "bridge", "bridge", "the bridge program to try")
	f.BoolVar(&o.running, "running", false, "a bridge works this bench; start none")
	f.BoolVar(&o.maintenance, "maintenance", false, "also switch maintenance mode on and off, which shuts the site for seconds")
	f.BoolVar(&o.migrate, "migrate", false, "also migrate the site while a job runs")
	f.BoolVar(&o.desk, "desk", false, "also open the desk's pages in a headless Chromium, which has to be installed")
	f.StringVar(&o.only, "only", "", "only cases whose name contains this text")
	f.Var(&o.owner, "owner", "USER,KEY,SECRET of the user who submits, instead of one made for it")
	f.Var(&o.other, "other", "USER,KEY,SECRET of another user, instead of one made for it")
	f.BoolVar(&o.json, "json", false, "print JSON on stdout")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress on stderr")
	f.StringVar(&o.logLevel, "log-level", "error", "debug, info, warn or error, of the own worker too")
	return c
}

// usage makes a mistake in the arguments one of usage.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return exitcode.With(exitcode.Usage, err)
		}
		return nil
	}
}

// check looks at the flags, finds the program that is tried and opens the log.
func (o *options) check() (err error) {
	if o.site == "" {
		return errors.New("which site? Pass --site")
	}
	if o.program, err = exec.LookPath(o.program); err == nil {
		o.program, err = filepath.Abs(o.program)
	}
	if err != nil {
		return fmt.Errorf("find the bridge program: %w", err)
	}
	o.log, err = output.NewLog(o.err, o.logLevel, "text")
	return err
}

// accept runs the cases on the bench, removes what they made and prints how they went.
func accept(ctx context.Context, o *options) (err error) {
	b, err := openBed(ctx, o)
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			err = errors.Join(err, b.close())
		}
	}()
	if err := b.prepare(ctx); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	reports := b.runAll(ctx, chosen(allCases(b), o.only))
	interrupted := ctx.Err()
	closed = true
	if err := b.close(); err != nil {
		reports = append(reports, report{Case: Case{Name: "clean up", Means: "everything that was made is removed",
			Fix: "start it again: it begins by removing what is left"}, result: notOK, seen: err.Error()})
	}
	if interrupted != nil {
		return cmp.Or(context.Cause(ctx), interrupted)
	}
	if err := printReports(o, reports); err != nil {
		return err
	}
	if slices.ContainsFunc(reports, func(r report) bool { return r.result == notOK }) {
		return exitcode.Silent(exitcode.Failure)
	}
	return nil
}

func chosen(all []Case, only string) []Case {
	return slices.DeleteFunc(all, func(c Case) bool { return !strings.Contains(c.Name, only) })
}

// user is somebody at the site, with an API key.
type user struct{ name, key, secret string }

// Set reads "USER,KEY,SECRET".
func (u *user) Set(text string) error {
	parts := strings.Split(text, ",")
	if len(parts) != 3 || slices.Contains(parts, "") {
		return errors.New("want USER,KEY,SECRET")
	}
	u.name, u.key, u.secret = parts[0], parts[1], parts[2]
	return nil
}

// String hides the secret.
func (u *user) String() string { return u.name }

// Type names the flag's kind in the help.
func (u *user) Type() string { return "user" }

func (u *user) token() string { return "token " + u.key + ":" + u.secret }
