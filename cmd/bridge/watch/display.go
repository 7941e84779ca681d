package watch

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
)

// Display shows jobs as they change. It may be used by several goroutines.
type Display interface {
	Show(State)
	// Close leaves what was shown in place.
	Close()
}

// NewDisplay shows bars on a terminal, lines elsewhere, with asJSON an object a line.
func NewDisplay(w io.Writer, asJSON bool) Display {
	switch {
	case asJSON:
		to := json.NewEncoder(w)
		return &lines{print: func(s State) { _ = to.Encode(s) }}
	case output.IsTerminal(w):
		return newBars(w)
	}
	return NewLines(w)
}

// NewLines shows a line per change.
func NewLines(w io.Writer) Display {
	return &lines{print: func(s State) { fmt.Fprintln(w, time.Now().Format("15:04:05.0")+"  "+stateLine(s)) }}
}

type lines struct {
	mu    sync.Mutex
	print func(State)
}

// Show implements [Display].
func (l *lines) Show(s State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.print(s)
}

// Close implements [Display].
func (l *lines) Close() {}

// stateLine is a job's state in one line.
func stateLine(s State) string {
	return fmt.Sprintf("%-16s %-18s %-11s %3.0f%%  %s", output.ShortID(s.ID), output.Clip(output.OneLine(s.Title), 18), s.Status,
		s.Progress, output.Clip(output.Squeezed(s.Message), 70))
}
