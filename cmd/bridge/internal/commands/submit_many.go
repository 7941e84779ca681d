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
)

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
