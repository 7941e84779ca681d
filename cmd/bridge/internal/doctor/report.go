package doctor

import (
	"fmt"
	"time"
)

// checkTimeout bounds each conversation with a server, so that one that hangs doesn't keep the report.
const checkTimeout = 5 * time.Second

// Level says how bad a finding is.
type Level string

// The levels, from good to bad.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Error   Level = "error"
)

// Finding is one line of the report.
type Finding struct {
	Level Level  `json:"level"`
	Check string `json:"check"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // what to do
}

// report collects findings.
type report struct{ findings []Finding }

func (r *report) ok(check, format string, args ...any) {
	r.findings = append(r.findings, Finding{OK, check, fmt.Sprintf(format, args...), ""})
}

func (r *report) warn(check, fix, format string, args ...any) {
	r.findings = append(r.findings, Finding{Warning, check, fmt.Sprintf(format, args...), fix})
}

func (r *report) bad(check, fix, format string, args ...any) {
	r.findings = append(r.findings, Finding{Error, check, fmt.Sprintf(format, args...), fix})
}

func (r *report) fail(check string, err error, fix string) { r.bad(check, fix, "%v", err) }
