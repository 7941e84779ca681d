package view

import (
	"fmt"
	"io"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Run is an attempt under way.
type Run struct {
	Worker   string    `json:"worker_name"`
	Hostname string    `json:"hostname,omitempty"`
	PID      int       `json:"pid,omitempty"`
	Elapsed  float64   `json:"elapsed"` // seconds
	Deadline time.Time `json:"deadline,omitzero"`
	Reported time.Time `json:"reported_at,omitzero"` // when the row last heard of it
}

// runOf is the attempt under way at an inspected job; nil if there is none.
func runOf(in bridge.Inspection, s bridge.Standing, now time.Time) *Run {
	var started time.Time
	var timeout int64
	switch {
	case in.Row != nil && in.Row.Status == rows.StatusRunning:
		started, timeout = in.Row.StartedAt, int64(in.Row.TimeoutSeconds)
	case in.Row == nil && in.Job != nil && in.Job.Status == rqcompat.StatusStarted:
		started = in.Job.StartedAt
		if in.Job.Timeout != nil {
			timeout = *in.Job.Timeout
		}
	default:
		return nil
	}
	r := &Run{Elapsed: now.Sub(started).Seconds()}
	if timeout > 0 {
		r.Deadline = started.Add(time.Duration(timeout) * time.Second)
	}
	if in.Job != nil {
		r.Worker = in.Job.WorkerName
	}
	if s.Worker != nil {
		r.Hostname, r.PID = s.Worker.Hostname, s.Worker.PID
	}
	if in.Row != nil {
		r.Reported = in.Row.Modified
	}
	return r
}

// printStanding says who runs the job, or why nobody does.
func printStanding(w io.Writer, in bridge.Inspection, s bridge.Standing, now time.Time) error {
	for i, reason := range s.Waits {
		if i == 0 {
			fmt.Fprintln(w, "\nIt waits")
		}
		printReason(w, reason.Rule, reason.Why)
	}
	if s.Share != nil && len(s.Waits) > 0 {
		printReason(w, "share", shareText(s.Share))
	}
	if s.Abandoned != nil {
		fmt.Fprintf(w, "\nIts handler is still running since %s, in process %d on %s: it ignores its context and keeps its slot\n",
			output.Clock(s.Abandoned.Since), s.AbandonedBy.PID, output.OneLine(s.AbandonedBy.Hostname))
	}
	r := runOf(in, s, now)
	if r == nil {
		return nil
	}
	by := "worker " + r.Worker
	if s.Worker != nil {
		by = fmt.Sprintf("process %d on %s, worker %s", r.PID, r.Hostname, r.Worker)
	}
	fmt.Fprintln(w, "\nIt runs")
	elapsed := time.Duration(r.Elapsed * float64(time.Second)).Round(time.Second)
	pairs := []string{"in", by, "for", elapsed.String()}
	if !r.Deadline.IsZero() {
		pairs = append(pairs, "until", fmt.Sprintf("%s at most, %s from now", output.Clock(r.Deadline), r.Deadline.Sub(now).Round(time.Second)))
	}
	if !r.Reported.IsZero() {
		pairs = append(pairs, "reported", fmt.Sprintf("%s ago", now.Sub(r.Reported).Round(time.Second)))
	}
	return output.Fields(w, pairs...)
}

func printReason(w io.Writer, rule, why string) {
	fmt.Fprintf(w, "  %-13s %s\n", rule, output.OneLine(why))
}

// shareText says what an organization has beside others.
func shareText(s *bridge.Share) string {
	text := fmt.Sprintf("of the site's jobs %s of %s that wait and %s of %s that run are of %s, whose weight is %d",
		counted(s.Waiting), counted(s.AllWaiting), counted(s.Running), counted(s.AllRunning), s.Organization, s.Weight)
	if s.Slots > 0 {
		text += fmt.Sprintf("; %d of %d slots are free", s.Free, s.Slots)
	}
	return text
}

// counted is a number of a share.
func counted(n int) string {
	if n >= bridge.ShareMost {
		return fmt.Sprintf("%d or more", n)
	}
	return fmt.Sprint(n)
}
