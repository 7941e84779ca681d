package view

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Explanation is why a job doesn't run, or that it does.
type Explanation struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	// Verdict is runs, waits (and will go on by itself), stuck (until somebody does something) or ended.
	Verdict string          `json:"verdict"`
	Reasons []bridge.Reason `json:"reasons"`
	Share   *bridge.Share   `json:"share,omitempty"`
	Run     *Run            `json:"run,omitempty"`
}

// The verdicts of an Explanation.
const (
	Runs  = "runs"
	Waits = "waits"
	Stuck = "stuck"
	Ended = "ended"
)

// Explain tells why a job doesn't run.
func Explain(in bridge.Inspection, s bridge.Standing) Explanation {
	e := Explanation{Reasons: append([]bridge.Reason{}, s.Waits...), Share: s.Share, Run: runOf(in, s, time.Now()), Verdict: Waits}
	var over bool
	if in.Row != nil {
		e.Name, e.Status, over = in.Row.Name, string(in.Row.Status), in.Row.Status.Terminal()
	} else {
		e.Name, e.Status, over = in.Job.ID, string(in.Job.Status), in.Job.Status.Ended()
	}
	switch {
	case over:
		e.Verdict, e.Reasons = Ended, append(e.Reasons, ending(in))
	case s.Stuck():
		e.Verdict = Stuck
	case e.Run != nil && len(s.Waits) == 0:
		e.Verdict = Runs
	}
	return e
}

// ending says how a job ended, and what starts it again.
func ending(in bridge.Inspection) bridge.Reason {
	switch {
	case in.Row == nil && in.Job.Status == rqcompat.StatusFailed:
		return bridge.Reason{Rule: "failed", Why: "it failed: bridge job shows the traceback, bridge retry queues it again"}
	case in.Row != nil && in.Row.Status == rows.StatusDeadLetter:
		why, _, _ := strings.Cut(strings.TrimSpace(in.Row.ErrorMessage), "\n")
		return bridge.Reason{Rule: "dead letter", Why: cmp.Or(why, "no error is noted") + " (bridge retry " + in.Row.Name + " queues it again)"}
	}
	return bridge.Reason{Rule: "end", Why: "it has ended, and nothing queues it again"}
}

// Print writes the explanation for a person.
func (e Explanation) Print(w io.Writer) error {
	says := map[string]string{
		Runs: "and runs", Waits: "and goes on by itself", Stuck: "and waits for somebody to do something", Ended: "and has ended",
	}
	fmt.Fprintf(w, "%s is %s %s\n", output.OneLine(e.Name), e.Status, says[e.Verdict])
	for _, r := range e.Reasons {
		why := r.Why
		if r.Stuck {
			why += " [somebody has to do something]"
		}
		printReason(w, r.Rule, why)
	}
	if e.Share != nil {
		printReason(w, "share", shareText(e.Share))
	}
	if e.Run != nil {
		printReason(w, "worker", fmt.Sprintf("%s, for %s", cmp.Or(e.Run.Worker, "not known"), time.Duration(e.Run.Elapsed*float64(time.Second)).Round(time.Second)))
	}
	return nil
}
