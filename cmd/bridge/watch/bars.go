package watch

import (
	"fmt"
	"io"
	"sync"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bars is a display of live progress bars, one per job. The bar of a job that has ended moves up out of the way and
// stays.
type bars struct {
	mu       sync.Mutex
	progress *mpb.Progress
	open     map[string]*jobBar
}

// jobBar is one job's bar; its state is read by the renderer.
type jobBar struct {
	bar *mpb.Bar

	mu    sync.Mutex
	state State
}

// barWidth leaves room for name and message on a line of 120 characters.
const barWidth = 24

func newBars(out io.Writer, options ...mpb.ContainerOption) *bars {
	return &bars{
		progress: mpb.New(append(options, mpb.WithOutput(out), mpb.PopCompletedMode())...),
		open:     map[string]*jobBar{},
	}
}

// Show implements [Display].
func (b *bars) Show(s State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := b.open[s.ID]
	if j == nil {
		j = &jobBar{state: s}
		j.bar = b.progress.New(0, mpb.BarStyle().Lbound("[").Rbound("]"), mpb.BarWidth(barWidth),
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return j.label() })),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return j.tail() })))
		// A total given here doesn't complete the bar by itself: 100 % is not yet the end of a job.
		j.bar.SetTotal(100, false)
		b.open[s.ID] = j
	}
	j.mu.Lock()
	j.state = s
	j.mu.Unlock()
	j.bar.SetCurrent(int64(s.Progress))
	if s.over() {
		j.end()
		delete(b.open, s.ID)
	}
}

// end completes the bar, or leaves it where the job ended.
func (j *jobBar) end() {
	if j.state.Progress >= 100 {
		j.bar.SetTotal(100, true)
		return
	}
	j.bar.Abort(false)
}

func (j *jobBar) label() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return fmt.Sprintf("%-15s %-18s %-11s ", output.Clip(output.ShortID(j.state.ID), 15), output.Clip(output.OneLine(j.state.Title), 18), j.state.Status)
}

func (j *jobBar) tail() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return fmt.Sprintf(" %3.0f%% %s", j.state.Progress, output.Clip(output.Squeezed(j.state.Message), 44))
}

// Close implements [Display].
func (b *bars) Close() {
	b.mu.Lock()
	for _, j := range b.open {
		j.bar.Abort(false)
	}
	b.open = map[string]*jobBar{}
	b.mu.Unlock()
	b.progress.Wait()
}
