// Package foreign has handlers that aren't written in Go, a program or a URL per job, and the JSON with which they report.
package foreign

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
)

func orEmpty(params json.RawMessage) json.RawMessage {
	if len(params) == 0 {
		return json.RawMessage("{}")
	}
	return params
}

func permanent(err error) error { return job.Mark(err, job.Permanent, 0) }
func transient(err error) error { return job.Mark(err, job.Transient, 0) }

// upTo is the start of a text in which something may follow that isn't to be shown.
func upTo(text, first string) string {
	if i := strings.IndexAny(text, first); i >= 0 {
		return text[:i]
	}
	return text
}

const (
	// maxReport bounds one line of a handler's reports, results included.
	maxReport = 1 << 20
	// maxLogLine and maxLogLines bound what a talkative handler adds to the log.
	maxLogLine  = 1 << 10
	maxLogLines = 1000
	// stderrTail is how much of stderr becomes part of an error.
	stderrTail = 8 << 10
)

// report is one line of JSON from a handler. A message alone is none: log lines in JSON have messages too.
type report struct {
	Progress  *float64        `json:"progress"`
	Message   string          `json:"message"`
	Output    *string         `json:"output"`
	Result    json.RawMessage `json:"result"`
	Snooze    *float64        `json:"snooze"` // seconds
	Submit    json.RawMessage `json:"submit"` // a Child
	Error     *string         `json:"error"`
	Permanent bool            `json:"permanent"`
}

// reportReader cuts a handler's output into lines as it comes and passes them on. It isn't safe for concurrent use.
type reportReader struct {
	r         Reporter
	ctx       context.Context // of the attempt, in which jobs are submitted
	line      []byte
	skipping  bool // inside a line that was too long
	since     time.Time
	lately    int // bytes that came since then, for a second
	logged    int
	result    any
	hasResult bool
	snooze    *float64
	// children are the jobs asked for by what was read since the last were submitted, at most as many as lines are in one read.
	children  []Child
	submitted time.Time // when the last were
	// away is why jobs could not be submitted.
	away error

	// takesErrors is set where a line is the only way to tell of a failure.
	takesErrors bool
	failure     *report
	// lost is why a report that may have told of the end could not be taken; the job isn't known to have succeeded then.
	lost error
}

// Write never fails, so that a handler is never stopped by what it says. One that says very much is slowed down.
func (rr *reportReader) Write(b []byte) (int, error) {
	if now := time.Now(); now.Sub(rr.since) > time.Second {
		rr.since, rr.lately = now, 0
	}
	rr.lately += len(b)
	wait.Large(rr.lately, func() { rr.read(b) })
	rr.submitAll()
	return len(b), nil
}

func (rr *reportReader) read(b []byte) {
	for len(b) > 0 {
		part, rest, ended := bytes.Cut(b, []byte("\n"))
		b = rest
		rr.append(part)
		if ended {
			rr.finish()
		}
	}
}

// end takes the last line, which may have no end.
func (rr *reportReader) end() {
	rr.finish()
	rr.submitAll()
}

func (rr *reportReader) append(part []byte) {
	if rr.skipping {
		return
	}
	if len(rr.line)+len(part) > maxReport {
		rr.skipping = true
		start := bytes.TrimSpace(append(rr.line, part[:min(len(part), maxLogLine)]...))
		if len(start) > 0 && start[0] == '{' {
			rr.lost = fmt.Errorf("a line of its reports is longer than %d bytes", maxReport)
		} else {
			rr.r.Log().Warn("a line of the handler's output is too long and was ignored", "limit", maxReport, "start", clip(start))
		}
		rr.line = nil
		return
	}
	rr.line = append(rr.line, part...)
}

// finish handles the line that was collected.
func (rr *reportReader) finish() {
	line := bytes.TrimSpace(rr.line)
	rr.line, rr.skipping = rr.line[:0], false
	if len(line) > 0 && !rr.take(line) {
		rr.log(line)
	}
}

// ending starts a line that tells how the job ended, whatever follows.
var ending = regexp.MustCompile(`^\{\s*"(result|error)"\s*:`)

// take passes a report on. It is false for a line that isn't one.
func (rr *reportReader) take(line []byte) bool {
	var rep report
	if line[0] != '{' {
		return false
	}
	if json.Unmarshal(line, &rep) != nil {
		told := ending.FindSubmatch(line)
		if told == nil || string(told[1]) == "error" && !rr.takesErrors {
			return false
		}
		rr.lost = fmt.Errorf(`a line that starts with {%q: can't be read: it is not JSON, or a field has another type`, told[1])
		return true
	}
	if rep.Progress != nil {
		rr.r.Progress(*rep.Progress, rep.Message)
	}
	if rep.Output != nil {
		rr.r.SetOutput(*rep.Output)
	}
	if rep.Result != nil {
		rr.result, rr.hasResult = decodeResult(rep.Result), true
	}
	if rep.Snooze != nil {
		rr.snooze = rep.Snooze
	}
	if rep.Submit != nil {
		rr.submit(rep.Submit)
	}
	failed := rep.Error != nil && rr.takesErrors
	if failed {
		rr.failure = &rep
	}
	return rep.Progress != nil || rep.Output != nil || rep.Result != nil || rep.Snooze != nil || rep.Submit != nil || failed
}

// ended is what a handler that has ended well came to.
func ended(result any, snooze *float64) (any, error) {
	if snooze == nil {
		return result, nil
	}
	return nil, job.Snooze(time.Duration(*snooze * float64(time.Second)))
}

func (rr *reportReader) log(line []byte) {
	rr.tell(slog.LevelInfo, job.OutputLine, "line", clip(line))
}

// tell logs a line about what the handler said.
func (rr *reportReader) tell(level slog.Level, message string, attrs ...any) {
	rr.logged++
	if rr.logged > maxLogLines {
		level = job.LevelOutput
	}
	if rr.logged == maxLogLines+1 {
		rr.r.Log().Warn("further output of this handler is not logged", "limit", maxLogLines)
	}
	rr.r.Log().Log(context.Background(), level, message, attrs...)
}

// decodeResult keeps whole numbers exact. raw is valid JSON, or empty for no result.
func decodeResult(raw json.RawMessage) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	_ = d.Decode(&v)
	return v
}

// clip returns the start of some text for a log line.
func clip(b []byte) string {
	if len(b) <= maxLogLine {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return strings.ToValidUTF8(string(b[:maxLogLine]), "") + "…"
}

// complaints logs what a program writes to stderr, line by line, for its row. It isn't safe for concurrent use.
type complaints struct {
	log  *slog.Logger
	line []byte // its start
}

// Write never fails.
func (c *complaints) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		part, more, ended := bytes.Cut(rest, []byte("\n"))
		c.line = append(c.line, part[:min(len(part), max(maxLogLine+1-len(c.line), 0))]...)
		if rest = more; ended {
			c.finish()
		}
	}
	return len(b), nil
}

// finish takes the line that was collected; the last one may have no end.
func (c *complaints) finish() {
	if line := bytes.TrimSpace(c.line); len(line) > 0 {
		c.log.Log(context.Background(), job.LevelOutput, job.OutputLine, "line", clip(line))
	}
	c.line = c.line[:0]
}

// tail keeps the last max bytes written to it.
type tail struct {
	max     int
	b       []byte
	written int
}

func (t *tail) Write(b []byte) (int, error) {
	t.written += len(b)
	t.b = append(t.b, b...)
	if len(t.b) > 2*t.max {
		t.b = append(t.b[:0], t.b[len(t.b)-t.max:]...)
	}
	return len(b), nil
}

// String returns valid text, and says how much is missing before it.
func (t *tail) String() string {
	b := t.b[max(len(t.b)-t.max, 0):]
	for t.written > len(b) && len(b) > 0 && !utf8.RuneStart(b[0]) {
		b = b[1:]
	}
	text := strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(string(b), "\uFFFD"), "\x00", ""))
	if skipped := t.written - len(b); skipped > 0 {
		return fmt.Sprintf("[%d bytes left out] %s", skipped, text)
	}
	return text
}
