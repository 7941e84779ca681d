package maintenance

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	// handledEvery is how often it is looked whether other processes handle a site's Job Types by now, of many sites less often.
	handledEvery = 10 * time.Second
	// handledAgain is how often it is written that they still do.
	handledAgain = time.Minute
	// handlersNamed is how many processes a Job Type names.
	handlersNamed = 20
)

// Handled tells the Job Types of all sites which processes handle them. Of several processes the oldest tells, for all of them.
type Handled struct {
	RQ interface {
		Processes(ctx context.Context) ([]rqcompat.Process, error)
	}
	Rows interface {
		Names() ([]string, error)
		IsNoted(site string, err error) bool
		SetHandledBy(ctx context.Context, site string, by func(types map[string]*rows.JobType, zone *time.Location) map[string]string) error
	}
	// Process is this process's name.
	Process string

	rota sites.Rota
	mu   sync.Mutex
	told map[string]handledBy // by site
}

// handledBy is what a site was told, and when.
type handledBy struct {
	by map[string]string
	at time.Time
}

// Do tells the sites whose time has come, if something has changed there, or a minute is over.
func (h *Handled) Do(ctx context.Context) error {
	names, err := h.Rows.Names()
	if err != nil {
		return err
	}
	due := h.rota.Due(time.Now(), names, func(string) time.Duration {
		return min(sites.OfMany(len(names), handledEvery), handledAgain)
	})
	if len(due) == 0 {
		return nil
	}
	processes, err := h.RQ.Processes(ctx)
	if !rqcompat.IsOldest(processes, h.Process) {
		return err // one that can't be read is left out
	}
	return sites.Visit(due, h.Rows.IsNoted, func(site string) error {
		err := h.Rows.SetHandledBy(ctx, site, func(types map[string]*rows.JobType, zone *time.Location) map[string]string {
			return h.news(site, handlers(types, processes, zone))
		})
		if err != nil {
			h.mu.Lock()
			defer h.mu.Unlock()
			delete(h.told, site)
		}
		return err
	})
}

// news is what a site is to be told: nothing if it was told the same within the minute.
func (h *Handled) news(site string, by map[string]string) map[string]string {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if last := h.told[site]; now.Sub(last.at) < handledAgain && reflect.DeepEqual(last.by, by) {
		return nil
	}
	if h.told == nil {
		h.told = map[string]handledBy{}
	}
	h.told[site] = handledBy{by, now}
	return by
}

// handlers says of each Job Type that somebody handles who that is.
func handlers(types map[string]*rows.JobType, processes []rqcompat.Process, zone *time.Location) map[string]string {
	by := map[string]string{}
	for name := range types {
		var lines []string
		for _, p := range processes {
			if p.Handles(job.HandlerNames(types, name)...) {
				lines = append(lines, fmt.Sprintf("%s on %s, process %d, since %s", p.Name, p.Hostname, p.PID, p.Birth.In(zone).Format("2006-01-02 15:04:05")))
			}
		}
		if n := len(lines); n > handlersNamed {
			lines = append(lines[:handlersNamed], fmt.Sprintf("and %d more", n-handlersNamed))
		}
		if len(lines) > 0 {
			by[name] = strings.Join(lines, "\n")
		}
	}
	return by
}
