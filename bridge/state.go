package bridge

import (
	"fmt"

	"github.com/opensoft/dartwing-bridge/frappe"
)

// moves is the only list of legal moves of a Background Job. The diagram in
// doc.go shows the same.
var moves = map[frappe.Status][]frappe.Status{
	"":                      {frappe.StatusPending},
	frappe.StatusPending:    {frappe.StatusQueued, frappe.StatusCanceled},
	frappe.StatusQueued:     {frappe.StatusRunning, frappe.StatusCanceled, frappe.StatusDeadLetter},
	frappe.StatusRunning:    {frappe.StatusCompleted, frappe.StatusFailed, frappe.StatusDeadLetter, frappe.StatusTimedOut, frappe.StatusCanceled},
	frappe.StatusFailed:     {frappe.StatusQueued, frappe.StatusDeadLetter},
	frappe.StatusTimedOut:   {frappe.StatusQueued, frappe.StatusDeadLetter},
	frappe.StatusDeadLetter: {frappe.StatusQueued},
}

// TransitionError says that a move is not in the state machine.
type TransitionError struct {
	// Job is the row's name.
	Job string
	// From and To are the refused move.
	From, To frappe.Status
}

func (e *TransitionError) Error() string {
	return fmt.Sprintf("job %s is %s and can't become %s", e.Job, e.From, e.To)
}

func legal(from, to frappe.Status) bool {
	for _, s := range moves[from] {
		if s == to {
			return true
		}
	}
	return false
}

// checkMove returns a *TransitionError unless every step of t is legal.
func checkMove(t frappe.Transition) error {
	from := t.From
	if t.Via != "" {
		if !legal(from, t.Via) {
			return &TransitionError{Job: t.Name, From: from, To: t.Via}
		}
		from = t.Via
	}
	if !legal(from, t.To) {
		return &TransitionError{Job: t.Name, From: from, To: t.To}
	}
	return nil
}
