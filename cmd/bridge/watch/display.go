package watch

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
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

func (l *lines) Show(s State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.print(s)
}

func (l *lines) Close() {}

func stateLine(s State) string {
	return fmt.Sprintf("%-16s %-18s %-11s %3.0f%%  %s", output.ShortID(s.ID), output.Clip(output.OneLine(s.Title), 18), s.Status,
		s.Progress, output.Clip(output.Squeezed(s.Message), 70))
}

// bars shows a live progress bar per job. That of a job that has ended moves up out of the way and stays.
type bars struct {
	mu       sync.Mutex
	progress *mpb.Progress
	open     map[string]*jobBar
}

// jobBar is one job's bar; its state is read by the renderer.
type jobBar struct {
	bar   *mpb.Bar
	state atomic.Pointer[State]
}

// barWidth leaves room for name and message on a line of 120 characters.
const barWidth = 24

func newBars(out io.Writer, options ...mpb.ContainerOption) *bars {
	return &bars{
		progress: mpb.New(append(options, mpb.WithOutput(out), mpb.PopCompletedMode())...),
		open:     map[string]*jobBar{},
	}
}

func (b *bars) Show(s State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := b.open[s.ID]
	if j == nil {
		j = &jobBar{}
		j.state.Store(&s)
		j.bar = b.progress.New(0, mpb.BarStyle().Lbound("[").Rbound("]"), mpb.BarWidth(barWidth),
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return j.label() })),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return j.tail() })))
		// A total given here doesn't complete the bar by itself: 100 % is not yet the end of a job.
		j.bar.SetTotal(100, false)
		b.open[s.ID] = j
	}
	j.state.Store(&s)
	j.bar.SetCurrent(int64(s.Progress))
	if !s.over() {
		return
	}
	delete(b.open, s.ID)
	if s.Progress >= 100 {
		j.bar.SetTotal(100, true)
	} else {
		j.bar.Abort(false) // it stays where the job ended
	}
}

func (j *jobBar) label() string {
	s := j.state.Load()
	return fmt.Sprintf("%-15s %-18s %-11s ", output.Clip(output.ShortID(s.ID), 15), output.Clip(output.OneLine(s.Title), 18), s.Status)
}

func (j *jobBar) tail() string {
	s := j.state.Load()
	return fmt.Sprintf(" %3.0f%% %s", s.Progress, output.Clip(output.Squeezed(s.Message), 44))
}

func (b *bars) Close() {
	b.mu.Lock()
	for _, j := range b.open {
		j.bar.Abort(false)
	}
	b.open = map[string]*jobBar{}
	b.mu.Unlock()
	b.progress.Wait()
}
