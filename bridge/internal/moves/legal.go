// Package moves is the catalogue of the moves of a Background Job: for each, what it may start from, the columns it
// writes, the message of its log row and its fence. Nothing else in the engine changes a row's status, and nothing here
// touches a server: package sites applies a Move. What a person does to a row is made such a move (ByHand), or undone (Undo).
//
//	Create        ┌──────────────────── Cancel ───────────────────┐
//	    ▼  Submit │
//	Pending ──► Queued ──► Running ──► Completed                  ▼
//	    │         │ ▲         ├──► Canceled ◄──── (Pending, Queued, Running)
//	    └─Cancel  │ │         ├──► Failed ────┐
//	              │ │         ├──► Timed Out ─┤ RetryDue, Requeue
//	              │ └─────────┼───────────────┘
//	              ▼           ▼
//	           Dead Letter ◄──┴── DeadLetter, Exhausted, GiveUp, Poison, Refuse
//	              └──► Queued  (Requeue)
package moves

import (
	"fmt"
	"slices"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// next is the only list of legal moves. The diagram above shows the same.
var next = map[rows.Status][]rows.Status{
	"":                    {rows.StatusPending}, // a row that isn't there yet
	rows.StatusPending:    {rows.StatusQueued, rows.StatusCanceled},
	rows.StatusQueued:     {rows.StatusRunning, rows.StatusCanceled, rows.StatusDeadLetter},
	rows.StatusRunning:    {rows.StatusCompleted, rows.StatusFailed, rows.StatusDeadLetter, rows.StatusTimedOut, rows.StatusCanceled},
	rows.StatusFailed:     {rows.StatusQueued, rows.StatusDeadLetter},
	rows.StatusTimedOut:   {rows.StatusQueued, rows.StatusDeadLetter},
	rows.StatusDeadLetter: {rows.StatusQueued},
}

// TransitionError says that a move is not in the state machine.
type TransitionError struct {
	Job      string
	From, To rows.Status
}

func (e *TransitionError) Error() string {
	return fmt.Sprintf("job %s is %s and can't become %s", e.Job, e.From, e.To)
}

// Check returns a *TransitionError unless every step of the move is legal.
func (m Move) Check() error {
	from := m.From
	if m.ByHand {
		from = m.Was
		if from == m.To && m.Via == "" {
			return nil // nothing has moved
		}
	}
	steps := []rows.Status{m.Via, m.To}
	if m.Via == "" {
		steps = steps[1:]
	}
	for _, to := range steps {
		if !slices.Contains(next[from], to) {
			return &TransitionError{Job: m.Name, From: from, To: to}
		}
		from = to
	}
	return nil
}
