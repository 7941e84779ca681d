package attempt

import (
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// The newest report of a job reaches its row and the desk at once if the last one was a second ago, else when the
// second is over; what is in between is never written. What the handler logs goes with it. Handlers don't wait for any of
// it.

const (
	// progressInterval is the least time between two reports of one job.
	progressInterval = time.Second
	// logInterval is the least time between two writes of its last log lines; a job that is over before has them written
	// once, as it ends.
	logInterval = 3 * time.Second
)

// progress holds what a handler last reported.
type progress struct {
	// hand gives the run to whoever writes reports; it must not block.
	hand func()

	mu sync.Mutex
	said
	dirty    bool // not sent yet
	armed    bool // a timer or the writer will send it
	sent     time.Time
	log      logTail
	logDirty bool // lines came since the last write, and a timer will send them
	logSent  time.Time
	logTimer *time.Timer
	closed   bool // the attempt is being settled
}

// said is what goes into a row, and to the desk.
type said struct {
	percent          float64
	message, logTail string
}

func (p *progress) report(percent float64, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.percent, p.message = job.Percent(percent), message
	p.dirty = true
	p.arm()
}

// arm has what is new sent as soon as it may be. mu is held.
func (p *progress) arm() {
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

// logged takes a line of the handler's log.
func (p *progress) logged(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.log.add(line)
	if !p.logDirty {
		p.logDirty = true
		now := time.Now()
		if p.logSent.IsZero() {
			p.logSent = now
		}
		p.logTimer = time.AfterFunc(p.logSent.Add(logInterval).Sub(now), func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.arm()
		})
	}
}

// take returns the newest report if something of it is still to be sent; its logTail is empty unless
// lines are.
func (p *progress) take(now time.Time) (newest said, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	logDue := p.logDirty && now.Sub(p.logSent) >= logInterval
	if !p.dirty && !logDue || p.closed {
		return said{}, false
	}
	newest = p.said
	if logDue {
		newest.logTail, p.logDirty, p.logSent = p.log.String(), false, now
	}
	p.dirty, p.sent = false, now
	return newest, true
}

// again has a report that couldn't be written sent once more in a while, or the newer one that came meanwhile.
func (p *progress) again() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.armed {
		return
	}
	p.dirty, p.armed = true, true
	if len(p.log.lines) > 0 {
		p.logDirty, p.logSent = true, time.Time{}
	}
	time.AfterFunc(progressInterval, p.hand)
}

// close ends reporting and returns the last report, for the settling write.
func (p *progress) close() said {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.logTimer != nil {
		p.logTimer.Stop() // it would hold the attempt
	}
	p.logTail = p.log.String()
	return p.said
}
