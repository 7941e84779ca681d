package commands

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/view"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/watch"
	"github.com/spf13/cobra"
)

func submitCommand(a *cli.App) *cobra.Command {
	var (
		r      bridge.SubmitRequest
		params string
		after  string
		from   string
		live   bool
		to     watch.Connection
	)
	c := &cobra.Command{
		Use:   "submit [JOB_TYPE [key=value ...]]",
		Short: "Submit a Background Job of a Job Type, or many from a file",
		Long: `Submit a Background Job: a row in the site's database, with progress, retries,
a history and dead letters, and its delivery through RQ.

A value that is JSON is taken as JSON (count=3, on=true, ids=[1,2]), anything
else as text. With --watch the exit code tells how the job ended.

With --from each line of a file is a job: a JSON object with job_type, parameters,
organization, user, priority, key, depends_on (a list of names), run_after, batch;
what it leaves out is as the command line says. A line that can't be read ends the
command before anything is submitted; a job that is refused is told with its line,
and the others are submitted. With a key for each, the same file may be submitted
again: only what isn't there yet is made.`,
		Example: `  bridge submit sample_job --organization ORG-2026-00001 duration=10
  bridge submit echo_job --user jane@example.com --priority High --params '{"text": "hello"}'
  bridge submit sample_job --run-after "2026-12-01 08:00" duration=10
  bridge submit sample_job --depends-on JOB-2026-00041,JOB-2026-00042 --key nightly-2026-12-01
  bridge submit sample_job --from jobs.jsonl --organization ORG-2026-00001
  bridge submit sample_job --watch --api-key K --api-secret S duration=20`,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && from == "":
				return exitcode.Usagef("name a Job Type, or a file of jobs with --from")
			case from != "" && (len(args) > 1 || params != "" || live):
				return exitcode.Usagef("--from takes the parameters from its file, and --watch follows one job only")
			}
			if len(args) > 0 {
				arguments, err := jobArguments(params, args[1:])
				if err != nil {
					return err
				}
				r.JobType, r.Parameters = args[0], arguments
			}
			return a.WithClient(c.Context(), func(s cli.Session) error {
				now := time.Now()
				if r.Site = s.Site; after != "" || from != "" {
					zone, err := s.Client.Zone(c.Context(), s.Site)
					if err != nil {
						return err
					}
					now = now.In(zone)
				}
				var err error
				if r.RunAfter, err = moment(after, now); err != nil {
					return err
				}
				if from != "" {
					rs, lines, err := jobsOf(a, from, r, now)
					if err != nil {
						return err
					}
					return submitMany(c.Context(), a, s, from, rs, lines)
				}
				return submit(c.Context(), a, s, r, live, to)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.Organization, "organization", "", "organization (default: bridge.default_organization)")
	f.StringVar(&r.Priority, "priority", "", "Low, Normal, High or Critical (default: the Job Type's)")
	f.StringVar(&r.User, "user", "Administrator", "user who submits and owns the job")
	f.StringVar(&params, "params", "", "parameters as one JSON object")
	f.StringVar(&after, "run-after", "", "when it may start at the earliest: \"2026-12-01 08:00\" in the site's time zone, RFC 3339, or a duration from now such as 2h")
	f.StringSliceVar(&r.DependsOn, "depends-on", nil, "jobs of the organization that have to complete first")
	f.StringVar(&r.Key, "key", "", "of submissions with the same key, Job Type and organization only the first makes a job")
	f.StringVar(&r.Batch, "batch", "", "the Background Job Batch it belongs to")
	f.StringVar(&from, "from", "", "file with a job in each line, - for the standard input")
	f.BoolVar(&live, "watch", false, "show its progress until it has ended")
	to.AddFlags(f)
	return c
}

func submit(ctx context.Context, a *cli.App, s cli.Session, r bridge.SubmitRequest, live bool, to watch.Connection) error {
	if live {
		// Who can't watch finds out before anything is submitted.
		if _, err := to.Config(s.Bench, s.Site); err != nil {
			return err
		}
	}
	row, err := s.Client.Submit(ctx, r)
	switch {
	case err != nil:
		return err
	case live:
		return follow(ctx, a, s.Bench, s.Site, to, watch.Subject{Job: row.Name})
	case a.JSON:
		return a.PrintJSON(view.RowOf(row, true))
	}
	fmt.Fprintln(a.Out, row.Name)
	return nil
}

// longestLine bounds a line of jobs, in bytes: more parameters than that no bridge reads.
const longestLine = 32 << 20

// jobLine is a job as a line of a file says it.
type jobLine struct {
	JobType      string          `json:"job_type"`
	Organization string          `json:"organization"`
	User         string          `json:"user"`
	Priority     string          `json:"priority"`
	Parameters   json.RawMessage `json:"parameters"`
	Key          string          `json:"key"`
	DependsOn    []string        `json:"depends_on"`
	RunAfter     string          `json:"run_after"`
	Batch        string          `json:"batch"`
}

// request is the line's job; what it leaves out is as in usual.
func (l jobLine) request(usual bridge.SubmitRequest, now time.Time) (r bridge.SubmitRequest, err error) {
	r = usual
	r.JobType, r.Organization, r.User = cmp.Or(l.JobType, r.JobType), cmp.Or(l.Organization, r.Organization), cmp.Or(l.User, r.User)
	r.Priority, r.Key, r.Batch = cmp.Or(l.Priority, r.Priority), cmp.Or(l.Key, r.Key), cmp.Or(l.Batch, r.Batch)
	if len(l.DependsOn) > 0 {
		r.DependsOn = l.DependsOn
	}
	if len(l.Parameters) > 0 {
		r.Parameters = l.Parameters
	}
	if l.RunAfter != "" {
		r.RunAfter, err = moment(l.RunAfter, now)
	}
	if r.JobType == "" {
		err = errors.New("no job_type, and none on the command line")
	}
	return r, err
}

// jobsOf reads the jobs of a file, "-" for the standard input: all of them, or an error for the first line that can't be read.
func jobsOf(a *cli.App, file string, usual bridge.SubmitRequest, now time.Time) (rs []bridge.SubmitRequest, lines []int, err error) {
	in := io.Reader(a.In)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, nil, exitcode.With(exitcode.Data, err)
		}
		defer f.Close()
		in = f
	}
	all := bufio.NewScanner(in)
	all.Buffer(nil, longestLine)
	for n := 1; all.Scan(); n++ {
		if len(bytes.TrimSpace(all.Bytes())) == 0 {
			continue
		}
		var line jobLine
		d := json.NewDecoder(bytes.NewReader(all.Bytes()))
		d.DisallowUnknownFields()
		err := d.Decode(&line)
		var r bridge.SubmitRequest
		if err == nil {
			r, err = line.request(usual, now)
		}
		if err != nil {
			return nil, nil, exitcode.With(exitcode.Data, fmt.Errorf("%s, line %d: %w; nothing was submitted", file, n, err))
		}
		rs, lines = append(rs, r), append(lines, n)
	}
	if err := all.Err(); err != nil {
		return nil, nil, exitcode.With(exitcode.Data, fmt.Errorf("%s: %w; nothing was submitted", file, err))
	}
	return rs, lines, nil
}

// submitMany submits the jobs of a file. Each that is refused is told with its line; the first such error decides the exit code.
func submitMany(ctx context.Context, a *cli.App, s cli.Session, file string, rs []bridge.SubmitRequest, lines []int) error {
	said := newProgress(a, len(rs))
	results, err := s.Client.SubmitMany(ctx, rs, bridge.OnSubmitted(said.step))
	type outcome struct {
		Line    int    `json:"line"`
		Name    string `json:"name,omitempty"`
		Created bool   `json:"created"`
		Error   string `json:"error,omitempty"`
	}
	outcomes := make([]outcome, len(results))
	for i, r := range results {
		outcomes[i] = outcome{Line: lines[i], Created: r.Created}
		if r.Err != nil {
			err = cmp.Or(err, r.Err)
			outcomes[i].Error = r.Err.Error()
			fmt.Fprintf(a.Err, "bridge: %s, line %d: %v\n", file, lines[i], r.Err)
			continue
		}
		outcomes[i].Name = r.Row.Name
		a.Say("%s", r.Row.Name)
	}
	if a.JSON {
		if err := a.PrintJSON(outcomes); err != nil {
			return err
		}
	}
	if err != nil {
		return exitcode.Silent(exitcode.Of(err))
	}
	return nil
}
