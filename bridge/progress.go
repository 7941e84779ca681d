package bridge

import (
	"context"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
)

// Step 5: progress. The newest report of a job reaches its row and the desk at
// once if the last one was a second ago, else when the second is over; what is
// in between is never written. Handlers don't wait for any of it.

// progressInterval is the least time between two reports of one job.
const progressInterval = time.Second

// progress holds what a handler last reported.
type progress struct {
	run *run

	mu      sync.Mutex
	percent float64
	message string
	dirty   bool // not sent yet
	armed   bool // a timer or the reporter will send it
	sent    time.Time
	closed  bool // the attempt is being settled
}

func (p *progress) report(percent float64, message string) {
	if percent != percent { // NaN
		percent = 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.percent, p.message = min(max(percent, 0), 100), message
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

// hand gives the run to the reporter.
func (p *progress) hand() { p.run.e.reports.add(p.run) }

// take returns the newest report if it is still to be sent.
func (p *progress) take(now time.Time) (frappe.Progress, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	if !p.dirty || p.closed {
		return frappe.Progress{}, false
	}
	p.dirty, p.sent = false, now
	return frappe.Progress{Name: p.run.rowOf(), StartedAt: p.run.lease.StartedAt, Percent: p.percent, Message: p.message}, true
}

// close ends reporting and returns the last report, for the settling write.
func (p *progress) close() (percent float64, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.percent, p.message
}

// reports collects the runs that have something to report.
type reports struct {
	mu      sync.Mutex
	waiting []*run
	filled  chan struct{}
}

func (q *reports) add(r *run) {
	q.mu.Lock()
	q.waiting = append(q.waiting, r)
	q.mu.Unlock()
	signal(q.filled)
}

func (q *reports) take() []*run {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := q.waiting
	q.waiting = nil
	return out
}

// report runs until ctx ends. Each site has a writer of its own, so that a slow
// database delays its own progress only.
func (e *Engine) report(ctx context.Context) {
	var writers sync.WaitGroup
	defer writers.Wait()
	bySite := map[string]*reports{}
	for await(ctx, e.reports.filled) {
		for _, r := range e.reports.take() {
			q := bySite[r.site]
			if q == nil {
				q = &reports{filled: make(chan struct{}, 1)}
				bySite[r.site] = q
				writers.Go(func() { e.reportSite(ctx, r.site, q) })
			}
			q.add(r)
		}
	}
}

// reportSite writes and publishes the reports of one site until ctx ends.
func (e *Engine) reportSite(ctx context.Context, site string, q *reports) {
	for await(ctx, q.filled) {
		now := time.Now()
		var rows []*run
		var writes []frappe.Progress
		for _, r := range q.take() {
			switch p, ok := r.progress.take(now); {
			case !ok:
			case p.Name == "":
				e.publishPlainProgress(r, p)
			default:
				rows = append(rows, r)
				writes = append(writes, p)
			}
		}
		if len(rows) > 0 {
			e.writeProgress(ctx, site, rows, writes)
		}
	}
}

func (e *Engine) writeProgress(ctx context.Context, site string, rows []*run, writes []frappe.Progress) {
	w, err := e.sites.of(ctx, site)
	var running []bool
	if err == nil {
		running, err = w.db.SetProgress(ctx, writes)
	}
	if err != nil {
		// The next report writes again; the job itself isn't disturbed.
		e.log.Warn().Err(err).Str("site", site).Int("jobs", len(rows)).Msg("progress not written")
		return
	}
	for i, r := range rows {
		if running[i] {
			e.publishProgress(r, writes[i])
		}
	}
}
