package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// ranBy tells from RQ's records who ran a job.
func (p *part) ranBy() string {
	worker := ""
	if p.job != nil {
		worker = p.job.WorkerName
	}
	if worker == "" && len(p.results) > 0 {
		worker = p.results[0].WorkerName
	}
	switch {
	case worker == "":
		return "nobody"
	case strings.HasPrefix(worker, bridge.WorkerPrefix):
		return inGo
	}
	return inPython
}

// attempted is how often the job was run.
func (p *part) attempted() int {
	if p.row != nil {
		return p.row.RetryCount + 1
	}
	return len(p.results)
}

// took is how long it was from enqueuing to the end.
func (p *part) took() time.Duration {
	if p.row != nil {
		end := p.row.CompletedAt
		if p.row.Status == rows.StatusCanceled {
			end = p.row.CanceledAt
		}
		if end.IsZero() || p.row.CreatedAt.IsZero() {
			return 0
		}
		return end.Sub(p.row.CreatedAt)
	}
	if p.job == nil || p.job.EndedAt.IsZero() {
		return 0
	}
	return p.job.EndedAt.Sub(p.job.EnqueuedAt)
}

// ending is what the job came to.
func (p *part) ending() string {
	switch {
	case p.row != nil:
		return string(p.row.Status)
	case p.job != nil:
		return string(p.job.Status)
	}
	return "missing"
}

// judge compares how a part went with how it was to go. s.mu is held.
func (s *show) judge(p *part) {
	problem := func(format string, args ...any) { p.problems = append(p.problems, fmt.Sprintf(format, args...)) }
	id := p.id
	switch {
	case p.id == "":
		problem("it was never enqueued")
		return
	case p.status != "" && p.row == nil:
		problem("it has no row")
		return
	case p.job == nil:
		problem("RQ has no job for it")
		return
	}
	if p.row != nil {
		id = p.row.Name
		if p.row.Status != p.status {
			problem("the row is %s, want %s (%s)", p.row.Status, p.status, p.row.ErrorMessage)
		}
		if p.row.Organization != people[p.person].Organization {
			problem("the row belongs to %s", p.row.Organization)
		}
	}
	if p.job.Status != p.rq {
		problem("RQ says %s, want %s", p.job.Status, p.rq)
	}
	if by := p.ranBy(); by != p.by {
		problem("%s ran it, want %s", by, p.by)
	}
	if n := p.attempted(); n != p.attempts {
		problem("%s, want %d", output.Plural(n, "attempt"), p.attempts)
	}
	if p.value != nil {
		if got, want := asJSON(p.returned()), asJSON(p.value); !reflect.DeepEqual(got, want) {
			problem("it returned %v, want %v", got, want)
		}
	}
	if p.by == inGo && !s.heard[p.person][id] {
		problem("%s was told nothing of it", people[p.person].User)
	}
	if other := 1 - p.person; s.heard[other][id] {
		problem("%s was told of it, who is a stranger to %s", people[other].User, people[p.person].Organization)
	}
}

// returned is the job's result as RQ has it.
func (p *part) returned() any {
	if len(p.results) == 0 {
		return nil
	}
	v, err := p.results[0].Value()
	if err != nil {
		return err.Error()
	}
	plain, _ := pickle.Plain(v)
	return plain
}

// asJSON brings values to the types that JSON has, to be compared.
func asJSON(v any) (out any) {
	b, err := json.Marshal(v)
	if err != nil || json.Unmarshal(b, &out) != nil {
		return fmt.Sprint(v)
	}
	return out
}

// checksum is what demo_tasks.checksum computes.
func checksum(text string, rounds int) string {
	for range rounds {
		sum := sha256.Sum256([]byte(text))
		text = hex.EncodeToString(sum[:])
	}
	return text
}
