// Command chaos kills, cuts and freezes bridges and their servers while they work, on private servers, and counts what becomes of
// the jobs: from outside, by what handlers wrote down, never by the bridge's own word. `make chaos` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/redis/go-redis/v9/logging"
)

// options are what a run is asked for.
type options struct {
	bridge   string    // the program, absolute
	testdata string    // this repository's folder of that name
	versions []string  // of RQ, for scenarios that run on each; the first one for what doesn't depend on it
	short    bool      // each scenario in the small: some seconds, a few kills
	slack    float64   // the limits of times are so many times as long, for a machine that has other things to do
	seed     uint64    // of what is random
	out      io.Writer // what is under way
}

// say writes a line of progress.
func (o *options) say(format string, args ...any) {
	fmt.Fprintf(o.out, "  "+time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// many is n, or few in a short run.
func (o *options) many(n, few int) int {
	if o.short {
		return few
	}
	return n
}

// lasting is d, or short in a short run.
func (o *options) lasting(d, short time.Duration) time.Duration {
	if o.short {
		return short
	}
	return d
}

// scenario is one kind of misfortune. run may return what it has together with an error.
type scenario struct {
	name, what string
	run        func(context.Context, *options) (report, error)
}

func main() {
	childMain()
	o := &options{out: os.Stderr}
	only := flag.String("only", "", "comma separated scenarios; default: all")
	asJSON := flag.Bool("json", false, "print JSON on stdout")
	certificate := flag.String("certificate", "", "write the tables into this file as well, dated, in place of those of the same scenarios")
	flag.StringVar(&o.bridge, "bridge", "bin/bridge", "the program")
	flag.StringVar(&o.testdata, "testdata", "testdata", "the repository's test data")
	versions := flag.String("rq", strings.Join(servers.RQVersions(), ","), "RQ versions, comma separated")
	flag.BoolVar(&o.short, "short", false, "each scenario in the small")
	flag.Float64Var(&o.slack, "slack", 1, "take limits of times so many times as long, on a busy machine")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of what is random")
	logs := flag.String("logs", "", "have each bridge write its log into this directory")
	flag.Usage = usage
	flag.Parse()
	o.versions = strings.Split(*versions, ",")
	if *logs != "" {
		os.Setenv(logsVariable, *logs) // for the processes that are started
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var names []string
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	reports, err := run(ctx, o, names)
	printReports(os.Stdout, reports, *asJSON)
	if err == nil && *certificate != "" {
		err = certify(*certificate, o, reports)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if err != nil || !kept(reports) {
		os.Exit(1)
	}
}

func usage() {
	w := flag.CommandLine.Output()
	fmt.Fprint(w, "usage: chaos [flags]\n\nScenarios:\n")
	for _, s := range scenarios {
		fmt.Fprintf(w, "  %-10s %s\n", s.name, s.what)
	}
	fmt.Fprint(w, "\nExit code 1 says that a promise was not kept, or that something else went wrong.\n\n"+
		"  chaos --only kills --rq 2.6.1     the kills alone, beside one version of RQ\n"+
		"  chaos --short --seed 42           everything in the small, again as it was with that seed\n\n")
	flag.PrintDefaults()
}

// run runs the scenarios of those names, nil for all.
func run(ctx context.Context, o *options, only []string) (all []report, err error) {
	logging.Disable() // of the Redis library: what goes wrong comes back as an error
	servers.UnsetBenchVariables()
	if o.bridge, err = exec.LookPath(o.bridge); err == nil {
		o.bridge, err = filepath.Abs(o.bridge)
	}
	if err != nil {
		return nil, fmt.Errorf("find the bridge; make build makes it: %w", err)
	}
	for _, name := range only {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			return nil, fmt.Errorf("there is no scenario %q; chaos --help lists them", name)
		}
	}
	var errs []error
	for _, s := range scenarios {
		if only != nil && !slices.Contains(only, s.name) || ctx.Err() != nil {
			continue
		}
		began := time.Now()
		fmt.Fprintf(o.out, "%s: %s ...\n", s.name, s.what)
		r, err := s.run(ctx, o)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
		r.Scenario, r.What, r.Took = s.name, s.what, time.Since(began).Round(time.Second/10).Seconds()
		fmt.Fprintf(o.out, "%s: %.1f s\n", s.name, r.Took)
		all = append(all, r)
	}
	return all, errors.Join(append(errs, ctx.Err())...)
}
