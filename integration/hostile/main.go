// Command hostile attacks a bridge on purpose, on private servers and with the real program, and says what its
// neighbours notice. `make hostile` runs it.
package main

import (
	"context"
	"encoding/json"
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
	"text/tabwriter"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/redis/go-redis/v9/logging"
)

// options are what a run is asked for.
type options struct {
	bridge   string        // the program
	testdata string        // this repository's folder of that name
	versions []string      // of RQ; the first one for what doesn't depend on it
	kinds    []string      // of the queues on which healthy jobs stand beside bad ones
	means    []string      // of the attacks on a neighbour; nil is all
	each     time.Duration // how long each attack lasts
	all      time.Duration // how long they last all together; 0 leaves that out
	every    int           // of how many hostile payloads one is sent
	waiting  int           // jobs with large parameters that wait
	slack    float64       // the limits of times are so many times as long, for a machine that has other things to do
	out      io.Writer     // what is under way
}

// figure is one measured value with the limit that it has to keep.
type figure struct {
	Show  string  `json:"show"`
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit"` // the largest value that is fine
	Unit  string  `json:"unit"`
	OK    bool    `json:"ok"`
	Note  string  `json:"note,omitempty"`
}

// atMost is a figure that may not be larger than limit.
func atMost(show, what string, value, limit float64, unit, note string) figure {
	return figure{Show: show, What: what, Value: value, Limit: limit, Unit: unit, OK: value <= limit, Note: note}
}

// inTime is a figure of time that may not be longer than limit.
func (o *options) inTime(show, what string, took, limit time.Duration, note string) figure {
	return atMost(show, what, took.Seconds(), limit.Seconds()*o.slack, "s", note)
}

// unless is not fine if the bridge ended meanwhile, of itself or since it was killed.
func (f figure) unless(ended string) figure {
	if ended != "" {
		f.OK, f.Note = false, strings.TrimPrefix(f.Note+"; "+ended, "; ")
	}
	return f
}

// show is one thing that is tried. It may return what it has together with an error.
type show struct {
	name, what string
	run        func(context.Context, *options) ([]figure, error)
}

var shows = []show{
	{"beside", "200 healthy jobs beside bad rows, bad hashes and hostile payloads", besideBadJobs},
	{"waiting", "memory with jobs of large parameters that wait", withWaitingJobs},
	{"together", "a hundred hostile jobs at once, and healthy ones behind them", hostileTogether},
	{"neighbour", "how long a tenant's jobs wait while another attacks", besideAnAttacker},
}

func main() {
	o := &options{out: os.Stderr, slack: 1, every: 1, kinds: []string{ownKind, shared}}
	only := flag.String("only", "", "comma separated shows; default: all")
	asJSON := flag.Bool("json", false, "print JSON on stdout")
	flag.StringVar(&o.bridge, "bridge", "bin/bridge", "the program to attack")
	flag.StringVar(&o.testdata, "testdata", "testdata", "the repository's test data")
	versions := flag.String("rq", "1.15.1,2.6.1", "RQ versions of the producers, comma separated")
	means := flag.String("means", "", "comma separated attacks on a neighbour; default: all")
	flag.DurationVar(&o.each, "each", 15*time.Second, "how long each attack on a neighbour lasts")
	flag.DurationVar(&o.all, "all", time.Minute, "how long all of them together last; 0 leaves that out")
	flag.IntVar(&o.waiting, "waiting", 100_000, "how many jobs with large parameters wait")
	flag.Usage = usage
	flag.Parse()
	o.versions = strings.Split(*versions, ",")
	o.means = listed(*means)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	figures, err := run(ctx, o, listed(*only))
	print(figures, *asJSON)
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
	}
	if err != nil || slices.ContainsFunc(figures, func(f figure) bool { return !f.OK }) {
		os.Exit(1)
	}
}

func usage() {
	w := flag.CommandLine.Output()
	fmt.Fprintf(w, "usage: hostile [flags]\n\nShows:\n")
	for _, s := range shows {
		fmt.Fprintf(w, "  %-10s %s\n", s.name, s.what)
	}
	fmt.Fprintf(w, "\nAttacks on a neighbour:\n")
	for _, m := range attacks {
		fmt.Fprintf(w, "  %-14s %s\n", m.name, m.what)
	}
	fmt.Fprintln(w)
	flag.PrintDefaults()
}

func listed(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// run shows what is asked for, nil for all.
func run(ctx context.Context, o *options, only []string) (all []figure, err error) {
	logging.Disable() // of the Redis library: what goes wrong comes back as an error
	servers.UnsetBenchVariables()
	if o.bridge, err = exec.LookPath(o.bridge); err == nil {
		o.bridge, err = filepath.Abs(o.bridge)
	}
	if err != nil {
		return nil, fmt.Errorf("find the program to attack: %w", err)
	}
	known := map[string]bool{}
	var errs []error
	for _, s := range shows {
		known[s.name] = true
		if only != nil && !slices.Contains(only, s.name) {
			continue
		}
		began := time.Now()
		fmt.Fprintf(o.out, "%s: %s ...\n", s.name, s.what)
		figures, err := s.run(ctx, o)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
		fmt.Fprintf(o.out, "%s: %s\n", s.name, time.Since(began).Round(100*time.Millisecond))
		all = append(all, figures...)
	}
	for _, name := range only {
		if !known[name] {
			errs = append(errs, fmt.Errorf("there is no show %q", name))
		}
	}
	return all, errors.Join(errs...)
}

func print(figures []figure, asJSON bool) {
	if asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		_ = e.Encode(figures) // of texts and numbers
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHOW\tWHAT\tMEASURED\tLIMIT\t\t")
	for _, f := range figures {
		verdict := "ok"
		if !f.OK {
			verdict = "NOT OK"
		}
		fmt.Fprintf(w, "%s\t%s\t%.4g %s\t%.4g\t%s\t%s\n", f.Show, f.What, f.Value, f.Unit, f.Limit, verdict, f.Note)
	}
	_ = w.Flush()
}
