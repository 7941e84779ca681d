package commands

import (
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
)

// progress says now and then how far a command is that takes longer than two seconds.
type progress struct {
	a          *cli.App
	of         int
	start, due time.Time
}

// progressEvery is how often.
const progressEvery = 2 * time.Second

// newProgress is for so many things, 0 if nobody knows how many.
func newProgress(a *cli.App, of int) *progress {
	now := time.Now()
	return &progress{a, of, now, now.Add(progressEvery)}
}

func (p *progress) step(done int) {
	if now := time.Now(); !p.a.Quiet && now.After(p.due) {
		p.due = now.Add(progressEvery)
		of := ""
		if p.of > 0 {
			of = fmt.Sprintf(" of %d", p.of)
		}
		fmt.Fprintf(p.a.Err, "%d%s after %s\n", done, of, now.Sub(p.start).Round(time.Second))
	}
}
