package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// report is what a scenario found.
type report struct {
	Scenario string   `json:"scenario"`
	What     string   `json:"what"`
	Took     float64  `json:"took"` // seconds
	Lines    []line   `json:"lines,omitempty"`
	Figures  []figure `json:"figures,omitempty"`
}

// line is what became of the jobs of one run, in one row of the table.
type line struct {
	Who     string `json:"who"`     // worked: the bridge, RQ, asynq; and in which circumstances
	Version string `json:"version"` // of RQ, or of the peer
	Kills   int    `json:"kills"`   // or what else happened to them
	Jobs    int    `json:"jobs"`    // accepted
	Lost    int    `json:"lost"`    // in no list, and never to end
	Stuck   int    `json:"stuck"`   // not ended, though somewhere
	Failed  int    `json:"failed"`  // ended otherwise than they should have
	Twice   int    `json:"twice"`   // begun more than once
	// Rescues are the times from the death of a worker to the next start of each job that it ran.
	Rescues durations `json:"rescues"`
	// Peer says that it is not the bridge that is judged here.
	Peer bool `json:"peer,omitempty"`
}

// figure is one measured value with the limit that it has to keep.
type figure struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit"` // the largest value that is fine, or the least one if AtLeast
	Unit  string  `json:"unit"`
	OK    bool    `json:"ok"`
	Note  string  `json:"note,omitempty"`
	// AtLeast turns the limit around.
	AtLeast bool `json:"at_least,omitempty"`
}

// atMost is a figure that may not be larger than limit.
func atMost(what string, value, limit float64, unit, note string) figure {
	return figure{What: what, Value: value, Limit: limit, Unit: unit, OK: value <= limit, Note: note}
}

// atLeast is a figure that may not be less than limit.
func atLeast(what string, value, limit float64, unit, note string) figure {
	return figure{What: what, Value: value, Limit: limit, Unit: unit, OK: value >= limit, Note: note, AtLeast: true}
}

// inTime is a figure of time that may not be longer than limit.
func (o *options) inTime(what string, took, limit time.Duration, note string) figure {
	return atMost(what, took.Seconds(), limit.Seconds()*o.slack, "s", note)
}

// durations are measured times, in seconds where they are JSON.
type durations []time.Duration

// at is the percentile p, by the nearest rank; 0 of none.
func (d durations) at(p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	return sorted[min(max(int(float64(len(d))*p/100+0.5)-1, 0), len(d)-1)]
}

// MarshalJSON writes how many there are, and the percentiles of the table.
func (d durations) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"number": len(d), "p50": d.at(50).Seconds(), "p99": d.at(99).Seconds(), "slowest": d.at(100).Seconds()})
}

// sum adds up the lines that judge the bridge.
func sum(lines []line) (all line) {
	for _, l := range lines {
		if !l.Peer {
			all.Kills, all.Jobs, all.Lost, all.Stuck, all.Failed, all.Twice = all.Kills+l.Kills, all.Jobs+l.Jobs, all.Lost+l.Lost, all.Stuck+l.Stuck, all.Failed+l.Failed, all.Twice+l.Twice
			all.Rescues = append(all.Rescues, l.Rescues...)
		}
	}
	return all
}

// kept says whether every promise was.
func kept(reports []report) bool {
	return !slices.ContainsFunc(reports, func(r report) bool {
		return slices.ContainsFunc(r.Figures, func(f figure) bool { return !f.OK })
	})
}

// columns are those of the table of lines.
var columns = []string{"who", "version", "kills", "jobs", "lost", "stuck", "failed", "run twice", "rescued", "p50", "p99", "slowest"}

func (l line) cells() []string {
	seconds := func(p float64) string {
		if len(l.Rescues) == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f s", l.Rescues.at(p).Seconds())
	}
	return []string{l.Who, l.Version, fmt.Sprint(l.Kills), fmt.Sprint(l.Jobs), fmt.Sprint(l.Lost), fmt.Sprint(l.Stuck), fmt.Sprint(l.Failed), fmt.Sprint(l.Twice),
		fmt.Sprint(len(l.Rescues)), seconds(50), seconds(99), seconds(100)}
}

var figureColumns = []string{"what", "measured", "promised", "", "note"}

func (f figure) cells() []string {
	verdict, than := "ok", "at most"
	if !f.OK {
		verdict = "NOT OK"
	}
	if f.AtLeast {
		than = "at least"
	}
	return []string{f.What, fmt.Sprintf("%.4g %s", f.Value, f.Unit), fmt.Sprintf("%s %.4g %s", than, f.Limit, f.Unit), verdict, f.Note}
}

// tables are those of a report: headings and rows.
func (r report) tables() (tables [][][]string) {
	if len(r.Lines) > 0 {
		rows := [][]string{columns}
		for _, l := range r.Lines {
			rows = append(rows, l.cells())
		}
		tables = append(tables, rows)
	}
	if len(r.Figures) > 0 {
		rows := [][]string{figureColumns}
		for _, f := range r.Figures {
			rows = append(rows, f.cells())
		}
		tables = append(tables, rows)
	}
	return tables
}

func printReports(w io.Writer, reports []report, asJSON bool) {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		_ = e.Encode(reports) // of texts and numbers
		return
	}
	for _, r := range reports {
		fmt.Fprintf(w, "%s: %s (%.0f s)\n\n", r.Scenario, r.What, r.Took)
		for _, rows := range r.tables() {
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			for _, cells := range rows {
				for _, cell := range cells {
					fmt.Fprintf(t, "%s\t", cell)
				}
				fmt.Fprintln(t)
			}
			_ = t.Flush()
			fmt.Fprintln(w)
		}
	}
}
