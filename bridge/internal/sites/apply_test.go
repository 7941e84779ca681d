package sites

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// story observes moves and tells them with what else happens, in order.
type story struct {
	lines []string
	moved []Moved
}

func (s *story) tell(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *story) Moved(m Moved) {
	s.tell("observer %s > %s", m.From, m.To)
	s.moved = append(s.moved, m)
}
func (s *story) Progressed(Progressed) {}

// withoutDatabase makes sites whose one site's rows answer with result.
func withoutDatabase(s *story, result rows.TransitionResult, err error) *Sites {
	sites := New(Params{})
	sites.Observe(s)
	lane := func(name string) *batch.Batcher[rows.Transition, rows.TransitionResult] {
		return &batch.Batcher[rows.Transition, rows.TransitionResult]{Limit: 10, Shared: rows.OfServer, Call: func(_ context.Context, ts []rows.Transition) ([]rows.TransitionResult, error) {
			s.tell("row by the lane of %s", name)
			return slices.Repeat([]rows.TransitionResult{result}, len(ts)), err
		}}
	}
	sites.known[site] = lookedUp{site: &frappe.Site{Name: site}, at: time.Now()}
	sites.writers[site] = &writer{checked: time.Now(), starts: lane("starts"), ends: lane("ends")}
	return sites
}

func runningRow() *rows.BackgroundJob {
	return &rows.BackgroundJob{Name: "JOB-1", JobType: "export", Organization: "ORG-A", OwnerUser: "jane@example.com", Status: rows.StatusRunning, StartedAt: time.Now()}
}

// TestApply does row, then what RQ has to know, then the observers.
func TestApply(t *testing.T) {
	boom := errors.New("boom")
	now := time.Now()
	complete := func() moves.Move { return moves.Complete(site, runningRow(), moves.Said{Output: "/files/x"}, now) }
	start := func() moves.Move {
		row := runningRow()
		row.Status = rows.StatusQueued
		return moves.Start(site, row, now, "")
	}
	applied := rows.TransitionResult{Applied: true, Current: rows.StatusCompleted, Modified: "later"}
	for name, tc := range map[string]struct {
		move    func() moves.Move
		result  rows.TransitionResult
		err     error // of the batch
		thenErr error
		story   []string
		wantErr error
	}{
		"applied":         {move: complete, result: applied, story: []string{"row by the lane of ends", "then", "observer Running > Completed"}},
		"a start":         {move: start, result: applied, story: []string{"row by the lane of starts", "then", "observer Queued > Running"}},
		"then fails":      {move: complete, result: applied, thenErr: boom, story: []string{"row by the lane of ends", "then", "observer Running > Completed"}, wantErr: boom},
		"lost":            {move: complete, result: rows.TransitionResult{Current: rows.StatusCanceled}, story: []string{"row by the lane of ends"}},
		"missing":         {move: complete, result: rows.TransitionResult{Missing: true}, story: []string{"row by the lane of ends"}},
		"not tried":       {move: complete, result: rows.TransitionResult{Err: boom}, story: []string{"row by the lane of ends"}, wantErr: boom},
		"the batch fails": {move: complete, err: rows.ErrUnavailable, story: []string{"row by the lane of ends"}, wantErr: rows.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{}
			sites := withoutDatabase(s, tc.result, tc.err)
			m := tc.move()
			from := m.Row.Status
			result, err := sites.Apply(t.Context(), m, func(context.Context) error {
				s.tell("then")
				if m.Row.Status != m.To || m.Row.ModifiedRaw != "later" {
					t.Errorf("when RQ is told the row at hand is %s, modified %q, want up to date", m.Row.Status, m.Row.ModifiedRaw)
				}
				return tc.thenErr
			})
			if !errors.Is(err, tc.wantErr) || tc.wantErr == nil && err != nil {
				t.Errorf("error %v, want %v", err, tc.wantErr)
			}
			if diff := cmp.Diff(tc.story, s.lines); diff != "" {
				t.Errorf("story (-want +got):\n%s", diff)
			}
			if tc.err == nil && (result.Applied != tc.result.Applied || result.Current != tc.result.Current || result.Missing != tc.result.Missing) {
				t.Errorf("result %+v, want %+v", result, tc.result)
			}
			if !tc.result.Applied && m.Row.Status != from {
				t.Errorf("the row at hand is %s although it wasn't moved", m.Row.Status)
			}
		})
	}
}

func TestWhatObserversAreTold(t *testing.T) {
	s := &story{}
	sites := withoutDatabase(s, rows.TransitionResult{Applied: true, Modified: "later"}, nil)
	now := time.Now()
	if _, err := sites.Apply(t.Context(), moves.Complete(site, runningRow(), moves.Said{Output: "/files/x", Message: "done"}, now), nil); err != nil {
		t.Fatal(err)
	}
	want := []Moved{{
		Subject: Subject{Site: site, Name: "JOB-1", JobType: "export", Organization: "ORG-A", Owner: "jane@example.com"},
		From:    rows.StatusRunning, To: rows.StatusCompleted, Modified: "later",
		Written: rows.BackgroundJob{CompletedAt: now, OutputReference: "/files/x", Progress: 100, ProgressMessage: "done"},
	}}
	if diff := cmp.Diff(want, s.moved); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	row := runningRow()
	row.Status, row.ModifiedRaw = rows.StatusQueued, "at once"
	sites.Tell(site, row, rows.StatusPending)
	want = append(want, Moved{Subject: want[0].Subject, From: rows.StatusPending, To: rows.StatusQueued, Modified: "at once"})
	if diff := cmp.Diff(want, s.moved); diff != "" {
		t.Errorf("told of a row that was created (-want +got):\n%s", diff)
	}
}

// TestAnIllegalMoveIsNotWritten.
func TestAnIllegalMoveIsNotWritten(t *testing.T) {
	s := &story{}
	sites := withoutDatabase(s, rows.TransitionResult{Applied: true}, nil)
	row := runningRow()
	row.Status = rows.StatusCompleted
	_, err := sites.Apply(t.Context(), moves.Complete(site, row, moves.Said{}, time.Now()), func(context.Context) error {
		s.tell("then")
		return nil
	})
	var illegal *moves.TransitionError
	if !errors.As(err, &illegal) || len(s.lines) > 0 {
		t.Errorf("error %v, story %v, want a TransitionError and nothing", err, s.lines)
	}
	m := moves.Complete("b.example.com", runningRow(), moves.Said{}, time.Now())
	sites.known["b.example.com"] = lookedUp{err: errAway, at: time.Now()}
	if _, err := sites.Apply(t.Context(), m, nil); !errors.Is(err, errAway) || len(s.lines) > 0 {
		t.Errorf("a site that can't be opened: %v, story %v, want its error and nothing", err, s.lines)
	}
}
