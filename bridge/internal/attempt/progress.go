package attempt

import (
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// The newest report of a job reaches its row and the desk at once if the last one was a second ago, else when the
// second is over; what is in between is never written. Handlers don't wait for any of it.

// progressInterval is the least time between two reports of one job.
const progressInterval = time.Second

// progress holds what a handler last reported.
type progress struct {
	// hand gives the run to whoever writes reports; it must not block.
	hand func()

	mu      sync.Mutex
	percent float64
	message string
	dirty   bool // not sent yet
	armed   bool // a timer or the writer will send it
	sent    time.Time
	closed  bool // the attempt is being settled
}

func (p *progress) report(percent float64, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.percent, p.message = job.Percent(percent), message
	p.dirty = true
	if p.armed || p.closed {
		return
	}
	p.armed = true
	if wait := time.Until(p.sent.Add(progressInterval)); wait > 0 {
		time.AfterFunc(wait, p.hand)
		return
	}
	p.hand()
}

// take returns the newest report if it is still to be sent.
func (p *progress) take(now time.Time) (percent float64, message string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	if !p.dirty || p.closed {
		return 0, "", false
	}
	p.dirty, p.sent = false, now
	return p.percent, p.message, true
}

// close ends reporting and returns the last report, for the settling write.
func (p *progress) close() (percent float64, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.percent, p.message
}
