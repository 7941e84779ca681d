package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

const (
	demoPoll = 150 * time.Millisecond
	// cancelAfter is how long the job that is to be canceled runs.
	cancelAfter = 3 * time.Second
)

// follow looks at rows and at RQ until every part has ended.
func (s *show) follow(ctx context.Context, producer *child) error {
	tick := time.NewTicker(demoPoll)
	defer tick.Stop()
	limit := time.Now().Add(demoLimit)
	for {
		over := true
		for _, p := range s.parts {
			done, err := s.look(ctx, p)
			if err != nil {
				return err
			}
			over = over && done
		}
		if over {
			return producer.wait()
		}
		if time.Now().After(limit) {
			return nil // judge says what is missing
		}
		for _, c := range []*child{s.stage.worker, s.stage.pythonWorker} {
			if err := c.ended(); err != nil {
				return err
			}
		}
		if err := producer.ended(); err != nil && producer.err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// look reads what the row and RQ say of a part, and whether it has ended.
func (s *show) look(ctx context.Context, p *part) (over bool, err error) {
	s.mu.Lock()
	name := orElse(p.name, p.id)
	s.mu.Unlock()
	if name == "" {
		return false, nil
	}
	in, err := s.stage.client.Inspect(ctx, demoSite, name)
	if errors.Is(err, frappe.ErrNoSuchJob) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p.row, p.job, p.results = in.Row, in.Job, in.Results
	if p.row != nil && p.name == "" {
		// By its row's name the newest delivery is found, which of a retried job
		// isn't the one that was enqueued.
		s.name(p.key, p.id, p.row.Name)
		return false, nil
	}
	switch {
	case p.job == nil:
		return false, nil
	case p.status == "":
		s.showPlain(p)
		return ended(p.job.Status), nil
	case p.row == nil:
		return false, nil
	}
	return p.row.Status.Terminal() && ended(p.job.Status), s.cancel(ctx, p)
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// cancel cancels the job that is there for it, once it has run for a while.
func (s *show) cancel(ctx context.Context, p *part) error {
	if p.key != "cancel" || p.canceled || p.row.Status != frappe.StatusRunning || time.Since(p.row.StartedAt) < cancelAfter {
		return nil
	}
	p.canceled = true
	_, err := s.stage.client.Cancel(ctx, demoSite, p.row.Name, p.row.OwnerUser)
	return err
}

// showPlain shows a job of which only RQ knows.
func (s *show) showPlain(p *part) {
	if p.job.Status == p.shown {
		return
	}
	p.shown = p.job.Status
	state := jobState{ID: p.job.ID, Title: p.key, Organization: "", Message: "run by " + p.ranBy()}
	switch p.job.Status {
	case rqcompat.StatusFinished:
		state.Status, state.Progress = string(frappe.StatusCompleted), 100
	case rqcompat.StatusStarted:
		state.Status = string(frappe.StatusRunning)
	case rqcompat.StatusQueued:
		state.Status, state.Message = string(frappe.StatusQueued), ""
	default:
		state.Status = string(frappe.StatusDeadLetter)
	}
	s.view.show(state)
}

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
		if p.row.Status == frappe.StatusCanceled {
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
		if p.row.Organization != demoPeople[p.person].Organization {
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
		problem("%s, want %d", plural(n, "attempt"), p.attempts)
	}
	if p.value != nil {
		if got, want := asJSON(p.returned()), asJSON(p.value); !reflect.DeepEqual(got, want) {
			problem("it returned %v, want %v", got, want)
		}
	}
	if p.by == inGo && !s.heard[p.person][id] {
		problem("%s was told nothing of it", demoPeople[p.person].User)
	}
	if other := 1 - p.person; s.heard[other][id] {
		problem("%s was told of it, who is a stranger to %s", demoPeople[other].User, demoPeople[p.person].Organization)
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

// partJSON is a part in the summary for programs.
type partJSON struct {
	Job      string   `json:"job"`
	What     string   `json:"what"`
	From     string   `json:"enqueued_by"`
	By       string   `json:"run_by"`
	Status   string   `json:"status"`
	Attempts int      `json:"attempts"`
	Seconds  float64  `json:"seconds"`
	Problems []string `json:"problems,omitempty"`
}

func (a *app) printShow(s *show, took time.Duration) error {
	var views []partJSON
	var cells [][]string
	bad := 0
	for _, p := range s.parts {
		v := partJSON{
			Job: p.id, What: p.what, From: p.from, By: p.ranBy(), Status: p.ending(), Attempts: p.attempted(),
			Seconds: p.took().Round(10 * time.Millisecond).Seconds(), Problems: p.problems,
		}
		if p.row != nil {
			v.Job = p.row.Name
		}
		check := "ok"
		if len(p.problems) > 0 {
			bad++
			check = "NOT as expected"
		}
		views = append(views, v)
		cells = append(cells, []string{shortID(v.Job), v.What, v.From, v.By, v.Status, fmt.Sprint(v.Attempts), fmt.Sprintf("%.1f s", v.Seconds), check})
	}
	if a.json {
		return a.printJSON(map[string]any{"jobs": views, "ok": bad == 0, "seconds": took.Round(10 * time.Millisecond).Seconds()})
	}
	fmt.Fprintln(a.out)
	if err := table(a.out, []string{"JOB", "WHAT", "ENQUEUED BY", "RUN BY", "STATUS", "ATTEMPTS", "TOOK", "CHECK"}, cells); err != nil {
		return err
	}
	for i, p := range s.parts {
		for _, problem := range p.problems {
			fmt.Fprintf(a.out, "%s: %s\n", cells[i][0], oneLine(problem))
		}
	}
	fmt.Fprintf(a.out, "\n%d of %d jobs ended as they should, in %s.\n", len(s.parts)-bad, len(s.parts), took.Round(100*time.Millisecond))
	return nil
}
