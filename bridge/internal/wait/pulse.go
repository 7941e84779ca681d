package wait

import (
	"sync/atomic"
	"time"
)

// Pulse tells whether a loop still goes round. The zero value is that of one that doesn't; nil may be used, and tells nothing. It
// is safe for concurrent use.
type Pulse struct{ began atomic.Int64 }

// start is what rounds are counted from, by a clock that nobody sets.
var start = time.Now()

// Beat begins a round.
func (p *Pulse) Beat() {
	if p != nil {
		p.began.Store(int64(time.Since(start)) + 1)
	}
}

// Rest says that the loop waits for what may never come, or that it has ended.
func (p *Pulse) Rest() {
	if p != nil {
		p.began.Store(0)
	}
}

// Round is how long the present round has taken; 0 at rest.
func (p *Pulse) Round() time.Duration {
	if p == nil {
		return 0
	}
	began := p.began.Load()
	if began == 0 {
		return 0
	}
	return time.Since(start) - time.Duration(began-1)
}
