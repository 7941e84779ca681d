package attempt

import (
	"context"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
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

// writeProgress writes what the runs of one site report.
func (x *Runner) writeProgress(ctx context.Context, site string, reporting []*run) {
	now := time.Now()
	var reports []sites.Report
	for _, r := range reporting {
		percent, message, ok := r.progress.take(now)
		switch name := r.rowName(); {
		case !ok:
		case name == "":
			x.PlainProgress(site, r.info.User, r.info.ID, percent, message)
		default:
			reports = append(reports, sites.Report{
				Subject:  sites.Subject{Site: site, Name: name, JobType: r.info.JobType, Organization: r.info.Organization, Owner: r.info.User},
				Progress: rows.Progress{Name: name, StartedAt: r.lease.StartedAt, Percent: percent, Message: message},
			})
		}
	}
	if len(reports) == 0 {
		return
	}
	if err := x.Rows.WriteProgress(ctx, site, reports); err != nil {
		// The next report writes again; the job itself isn't disturbed.
		x.Logger.Warn("progress not written", "error", err, "site", site, "jobs", len(reports))
	}
}
