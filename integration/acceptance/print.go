package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
)

// reportJSON is a case for programs.
type reportJSON struct {
	Case    string  `json:"case"`
	Result  result  `json:"result"`
	Means   string  `json:"means"`
	Seen    string  `json:"seen,omitempty"`
	Fix     string  `json:"fix,omitempty"`
	Seconds float64 `json:"seconds"`
}

// printReports prints the table, or JSON, with what to do where something is not ok.
func printReports(o *options, reports []report) error {
	count := map[result]int{}
	var views []reportJSON
	for _, r := range reports {
		count[r.result]++
		v := reportJSON{Case: r.Name, Result: r.result, Means: r.Means, Seen: r.seen, Seconds: r.took.Round(10 * time.Millisecond).Seconds()}
		if r.result == notOK {
			v.Fix = strings.ReplaceAll(r.Fix, "SITE", o.site)
		}
		views = append(views, v)
	}
	if o.json {
		return output.JSON(o.out, map[string]any{"cases": views, "ok": count[notOK] == 0})
	}
	var rows [][]string
	for _, v := range views {
		rows = append(rows, []string{string(v.Result), v.Case, v.Means})
	}
	if err := output.Table(o.out, []string{"RESULT", "CASE", "MEANS"}, rows); err != nil {
		return err
	}
	for _, v := range views {
		if v.Result == notOK {
			fmt.Fprintf(o.out, "\n%s: %s\n    seen: %s\n    do:   %s\n", v.Result, v.Case, indent(v.Seen), v.Fix)
		}
	}
	fmt.Fprintln(o.out)
	for _, v := range views {
		if v.Result == notThere {
			fmt.Fprintf(o.out, "%s: %s: %s\n", v.Result, v.Case, output.Squeezed(v.Seen))
		}
	}
	fmt.Fprintf(o.out, "%d ok, %d not ok, %d not there\n", count[ok], count[notOK], count[notThere])
	return nil
}

// indent keeps a text of several lines under its heading, and short.
func indent(text string) string {
	return strings.ReplaceAll(output.Lines(output.Clip(text, 1500)), "\n", "\n          ")
}
