// Command bench measures the bridge against its peers in one run on the same
// private servers: RQ's workers for what Python does today, asynq for what Go
// does best, a SimpleWorker with PyMySQL for jobs with rows, CPython's pickle.
// It prints a table with ratios, and JSON with --json.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is one measured value. Peer names what ratio compares it with; a ratio
// above one is in favour of the bridge.
type figure struct {
	Scenario string  `json:"scenario"`
	Who      string  `json:"who"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`
	Ratio    float64 `json:"ratio,omitempty"`
	Peer     string  `json:"peer,omitempty"`
	Goal     string  `json:"goal,omitempty"`
}

// scenario measures one thing; it may return what it has together with an error.
type scenario struct {
	name string
	what string
	run  func(context.Context, *bed) ([]figure, error)
}

var scenarios = []scenario{
	{"noop", "jobs without a row that do nothing", measureNoop},
	{"rows", "jobs with row, log and events", measureRows},
	{"start", "time from enqueue to the handler's first line, idle", measureStart},
	{"progress", "time from Progress to a Socket.IO client", measureProgress},
	{"memory", "resident memory with sleeping jobs", measureMemory},
	{"pickle", "the job tuple, against CPython's C pickle", measurePickle},
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == childArgument {
		child(os.Args[2:])
		return
	}
	only := flag.String("only", "", "comma separated scenarios; default: all")
	out := flag.String("json", "", "write the figures to this file as JSON; - for standard output")
	rq := flag.String("rq", "2.6.1", "RQ version to measure against and to speak")
	profile := flag.String("cpuprofile", "", "write a CPU profile of this process to this file")
	flag.Usage = usage
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, strings.Split(*only, ","), *out, *rq, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintf(flag.CommandLine.Output(), "usage: bench [flags]\n\nScenarios:\n")
	for _, s := range scenarios {
		fmt.Fprintf(flag.CommandLine.Output(), "  %-10s %s\n", s.name, s.what)
	}
	flag.PrintDefaults()
}

func run(ctx context.Context, only []string, out, rq, profile string) error {
	stopProfile, err := startProfile(profile)
	if err != nil {
		return err
	}
	defer stopProfile()
	var all []figure
	var errs []error
	for _, s := range scenarios {
		if only[0] != "" && !slices.Contains(only, s.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s: %s …\n", s.name, s.what)
		start := time.Now()
		figures, err := measure(ctx, s, rq)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
		fmt.Fprintf(os.Stderr, "measured %s in %s\n", s.name, time.Since(start).Round(time.Second/10))
		all = append(all, figures...)
	}
	if len(all) == 0 && len(errs) == 0 {
		return fmt.Errorf("no scenario is named %s", strings.Join(only, ", "))
	}
	printTable(all)
	if out != "" {
		errs = append(errs, writeJSON(out, all))
	}
	return errors.Join(errs...)
}

func measure(ctx context.Context, s scenario, rq string) ([]figure, error) {
	b, err := newBed(ctx, rq)
	if err != nil {
		return nil, err
	}
	defer b.close()
	return s.run(ctx, b)
}

func printTable(all []figure) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "scenario\twho\tvalue\tunit\tratio\tagainst\tgoal")
	for _, f := range all {
		ratio := ""
		if f.Ratio != 0 {
			ratio = fmt.Sprintf("%.2fx", f.Ratio)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Scenario, f.Who, number(f.Value), f.Unit, ratio, f.Peer, f.Goal)
	}
	_ = w.Flush()
}

func number(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func writeJSON(path string, all []figure) error {
	b, err := json.MarshalIndent(map[string]any{
		"go": runtime.Version(), "cpus": runtime.NumCPU(), "time": time.Now().UTC().Format(time.RFC3339), "figures": all,
	}, "", "  ")
	if err != nil {
		return err
	}
	if path == "-" {
		fmt.Println(string(b))
		return nil
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
