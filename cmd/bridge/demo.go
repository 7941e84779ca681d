package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/spf13/cobra"
)

// demoLimit is how long the jobs of the demo may take together.
const demoLimit = 50 * time.Second

func (a *app) demoCommand() *cobra.Command {
	var stay bool
	var rq string
	c := &cobra.Command{
		Use:   "demo",
		Short: "A dozen jobs on private servers, with live progress",
		Long: `Start private servers (Redis, MariaDB, the realtime server), a bench with one site
and two organizations, a bridge worker, a Python worker and a Python producer
with real RQ; run a dozen jobs and show their progress as the organizations'
members would see it.

It ends by itself with a table, and exit code 0 only if every job ended as it
should, by its row and by RQ. Nothing is left behind.`,
		Example: `  bridge demo
  bridge demo --rq 1.15.1
  bridge demo --stay`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !slices.Contains(demoVersions(), rq) {
				return usage("--rq is %q, want one of %s: versions that a Frappe release pins", rq, strings.Join(demoVersions(), ", "))
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return a.demo(ctx, rq, stay)
		},
	}
	c.Flags().BoolVar(&stay, "stay", false, "keep everything running afterwards and print how to look around")
	c.Flags().StringVar(&rq, "rq", "2.6.1", "RQ version of the Python processes")
	return c
}

// demoVersions leaves out RQ 2.8 and later, which refuse the job ids that
// Frappe's releases so far write (frappe/frappe issue 42351).
func demoVersions() []string {
	return slices.DeleteFunc(servers.RQVersions(), func(v string) bool { return strings.HasPrefix(v, "2.10") })
}

func (a *app) demo(ctx context.Context, rq string, stay bool) (err error) {
	// The demo's bench must not be bent by the settings of a real one.
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if isBenchVariable(name) {
			os.Unsetenv(name)
		}
	}
	began := time.Now()
	a.say("Starting Redis, MariaDB, the realtime server, a bridge worker and a Python worker (RQ %s) ...", rq)
	s, err := a.buildStage(ctx, rq)
	if err != nil {
		return fmt.Errorf("set the stage: %w", err)
	}
	defer func() {
		if stopErr := s.stop(); stopErr != nil && err == nil {
			err = stopErr
		}
	}()
	a.say("Ready after %s. %s belongs to %s, %s to %s.\n", time.Since(began).Round(100*time.Millisecond),
		demoPeople[0].User, demoPeople[0].Organization, demoPeople[1].User, demoPeople[1].Organization)
	show, err := a.perform(ctx, s)
	if err != nil {
		return err
	}
	if err := a.printShow(show, time.Since(began)); err != nil {
		return err
	}
	if show.failed() {
		fmt.Fprintf(a.err, "\nThe end of the bridge worker's log:\n%s\n", s.worker.output)
	}
	if stay {
		a.lookAround(s)
		<-ctx.Done()
	}
	if show.failed() {
		return &exitError{code: exitFailure}
	}
	return nil
}

// isBenchVariable tells the variables that change what a bench is.
func isBenchVariable(name string) bool {
	switch name {
	case "BRIDGE_CACHE", bridgeProgramVariable:
		return false
	case "RQ_ADMIN_PASWORD":
		return true
	}
	return strings.HasPrefix(name, "FRAPPE_") || strings.HasPrefix(name, "BRIDGE_")
}

// lookAround says how to use what keeps running.
func (a *app) lookAround(s *stage) {
	program, err := os.Executable()
	if err != nil {
		program = "bridge"
	}
	python := fmt.Sprintf("PYTHONPATH=%s DEMO_BENCH_ID=%s DEMO_SITE=%s DEMO_SEPARATOR='%s' DEMO_REDIS=%s", s.scripts, s.bench.ID, demoSite, s.separator, s.redis.URL())
	out := a.out
	if a.json {
		out = a.err
	}
	fmt.Fprintf(out, `
Everything keeps running until Ctrl-C. To look around, in another shell:

  export BRIDGE_BENCH=%s BRIDGE_API_KEY=admin BRIDGE_API_SECRET=secret
  alias bridge=%s

  bridge jobs
  bridge doctor
  bridge submit sample_job --organization %s duration=20 --watch
  bridge watch all
  bridge enqueue demo_tasks.word_count text="to be or not to be" --wait

  redis-cli -p %s
  mariadb -h %s -P %d -u root %s
  %s \
    %s -m rq.cli info -u %s
`, s.dir, program, demoPeople[0].Organization, s.redis.Addr[strings.LastIndexByte(s.redis.Addr, ':')+1:],
		s.mariadb.Host, s.mariadb.Port, demoDatabase, python, s.python, s.redis.URL())
}
