// Package view shows jobs, to people and to programs: its JSON has the field names of the DocTypes and of RQ's hash.
package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// RowOf is the view of a row; nil for nil. With params it says what the job was called with.
func RowOf(r *rows.BackgroundJob, params bool) *rows.BackgroundJob {
	if r == nil || params && json.Valid(r.InputParameters) {
		return r
	}
	shown := *r
	shown.InputParameters = nil
	return &shown
}

// RQ is RQ's view of a job. Arguments are not in it.
type RQ struct {
	ID         string          `json:"id"`
	Status     rqcompat.Status `json:"status"`
	Queue      string          `json:"queue"`
	Worker     string          `json:"worker_name,omitempty"`
	CreatedAt  time.Time       `json:"created_at,omitzero"`
	EnqueuedAt time.Time       `json:"enqueued_at,omitzero"`
	StartedAt  time.Time       `json:"started_at,omitzero"`
	EndedAt    time.Time       `json:"ended_at,omitzero"`
	Timeout    *int64          `json:"timeout,omitempty"`
	Results    []Result        `json:"results,omitempty"`
	// Arguments is what --params adds.
	Arguments any `json:"arguments,omitempty"`
}

// Result is one of its results, the newest first.
type Result struct {
	Outcome   string    `json:"outcome"`
	At        time.Time `json:"at"`
	Worker    string    `json:"worker_name,omitempty"`
	Value     any       `json:"value,omitempty"`
	Traceback string    `json:"traceback,omitempty"`
	Error     string    `json:"error,omitempty"`
}

// RQOf is the view of an RQ job and its results; nil for nil.
func RQOf(j *rqcompat.Job, results []rqcompat.Result) *RQ {
	if j == nil {
		return nil
	}
	v := &RQ{
		ID: j.ID, Status: j.Status, Queue: j.Origin, Worker: j.WorkerName,
		CreatedAt: j.CreatedAt, EnqueuedAt: j.EnqueuedAt, StartedAt: j.StartedAt, EndedAt: j.EndedAt, Timeout: j.Timeout,
	}
	for _, r := range results {
		v.Results = append(v.Results, resultOf(r))
	}
	return v
}

var outcomes = map[rqcompat.ResultType]string{
	rqcompat.ResultSuccessful: "successful", rqcompat.ResultFailed: "failed", rqcompat.ResultStopped: "stopped",
	rqcompat.ResultRetried: "retried", rqcompat.ResultMaxRetries: "retries exhausted",
}

func resultOf(r rqcompat.Result) Result {
	v := Result{Outcome: outcomes[r.Type], At: r.CreatedAt, Worker: r.WorkerName, Traceback: r.ExcString}
	value, err := r.Value()
	if err = cmp.Or(r.Err, err); err != nil {
		v.Error = err.Error()
		return v
	}
	v.Value, _ = pickle.Plain(value)
	return v
}

// InspectionOf is all that is known of a job, as an object.
func InspectionOf(in bridge.Inspection, s bridge.Standing, params bool) map[string]any {
	rq := RQOf(in.Job, in.Results)
	if rq != nil && params {
		rq.Arguments, _ = calledWith(in.Job)
	}
	view := map[string]any{"row": RowOf(in.Row, params), "rq": rq}
	if in.Row != nil {
		view["history"] = in.History
	}
	if in.Withheld {
		view["withheld"] = true
	}
	if len(s.Waits) > 0 {
		view["waits"] = s.Waits
	}
	if s.Share != nil {
		view["share"] = s.Share
	}
	if s.Abandoned != nil {
		view["abandoned"] = map[string]any{"since": s.Abandoned.Since, "hostname": s.AbandonedBy.Hostname, "pid": s.AbandonedBy.PID}
	}
	if r := runOf(in, s, time.Now()); r != nil {
		view["run"] = r
	}
	if in.Zone != nil {
		view["time_zone"] = in.Zone.String()
	}
	return view
}

// calledWith is what a job's payload says, as plain values.
func calledWith(job *rqcompat.Job) (any, error) {
	call, err := job.Call()
	if err != nil {
		return nil, err
	}
	args, _ := pickle.Plain(&pickle.List{Items: call.Args})
	kwargs, _ := pickle.Plain(call.Kwargs)
	return map[string]any{"function": call.Func, "args": args, "kwargs": kwargs}, nil
}

// PrintInspection prints all that is known of a job.
func PrintInspection(w io.Writer, in bridge.Inspection, s bridge.Standing, params bool) error {
	if in.Zone != nil {
		fmt.Fprintf(w, "Times are those of %s.\n", in.Zone)
	}
	if in.Row == nil {
		fmt.Fprintln(w, "No Background Job: all that is known of this job is in RQ.")
	} else if err := printRow(w, in, params); err != nil {
		return err
	}
	if in.Withheld {
		fmt.Fprintf(w, "\nIts result is withheld until organization %s is active again.\n", output.OneLine(in.Row.Organization))
	}
	if err := printStanding(w, in, s, time.Now()); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if in.Job == nil {
		fmt.Fprintln(w, "RQ has no job for it (any more).")
		return nil
	}
	return printRQ(w, in, params)
}

func printRow(w io.Writer, in bridge.Inspection, params bool) error {
	r := in.Row
	fmt.Fprintf(w, "%s  %s\n", r.Name, r.Status)
	pairs := []string{
		"type", r.JobType, "organization", r.Organization, "submitted by", r.OwnerUser, "priority", r.Priority,
		"progress", strings.TrimSpace(fmt.Sprintf("%.0f%% %s", r.Progress, r.ProgressMessage)), "output", r.OutputReference,
		"retries", fmt.Sprintf("%d of %d", r.RetryCount, r.MaxRetries), "next retry", output.Clock(r.NextRetryAt), "timeout", fmt.Sprintf("%d s", r.TimeoutSeconds),
		"created", output.Clock(r.CreatedAt), "started", output.Clock(r.StartedAt), "completed", output.Clock(r.CompletedAt),
		"canceled", strings.TrimSpace(output.Clock(r.CanceledAt) + " " + r.CanceledBy), "depends on", r.DependsOn, "error type", r.ErrorType,
	}
	if params {
		pairs = append(pairs, "parameters", string(r.InputParameters))
	}
	if err := output.Fields(w, pairs...); err != nil {
		return err
	}
	if r.ErrorMessage != "" {
		fmt.Fprintf(w, "  error\n%s\n", indent(output.Lines(r.ErrorMessage)))
	}
	fmt.Fprintln(w, "\nHistory")
	var cells [][]string
	for _, h := range in.History {
		cells = append(cells, []string{"  " + h.Timestamp.Format("15:04:05.000"), cmp.Or(string(h.FromStatus), "-"), string(h.ToStatus), cmp.Or(h.Actor, "system"), h.Message})
	}
	return output.Table(w, []string{"  TIME", "FROM", "TO", "ACTOR", "MESSAGE"}, cells)
}

func printRQ(w io.Writer, in bridge.Inspection, params bool) error {
	j := in.Job
	fmt.Fprintf(w, "RQ  %s  %s\n", output.OneLine(j.ID), j.Status)
	took := ""
	if !j.StartedAt.IsZero() && !j.EndedAt.IsZero() {
		took = j.EndedAt.Sub(j.StartedAt).Round(time.Millisecond).String()
	}
	if err := output.Fields(w, "queue", j.Origin, "worker", j.WorkerName, "enqueued", output.Clock(j.EnqueuedAt), "started", output.Clock(j.StartedAt),
		"ended", output.Clock(j.EndedAt), "took", took); err != nil {
		return err
	}
	if params {
		arguments, err := calledWith(j)
		if err != nil {
			return err
		}
		fmt.Fprintln(w, "  called with")
		if err := output.JSON(w, arguments); err != nil {
			return err
		}
	}
	for _, r := range in.Results {
		v := resultOf(r)
		fmt.Fprintf(w, "  result %s %s\n", v.At.Format("15:04:05.000"), v.Outcome)
		if text := cmp.Or(v.Error, v.Traceback); text != "" {
			fmt.Fprintln(w, indent(output.Lines(text)))
		} else if v.Value != nil {
			if err := output.JSON(w, v.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

func indent(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }
