package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

const (
	// errorsOfAMethod is how many failures of one method a site's Error Log gets in a minute, before they are only counted.
	errorsOfAMethod = 10
	// errorMethods is how many methods are told apart in that minute: anybody who can enqueue can make names up.
	errorMethods = 50
	otherMethods = "other methods"
	errorWindow  = time.Minute
)

// ErrorLog writes the failures of jobs without a row to their site's Error Log, as Frappe's worker does: the desk shows
// nothing else of them. A flood of them is counted. Safe for concurrent use.
type ErrorLog struct {
	write func(ctx context.Context, site string, entries []rows.ErrorLog) error
	log   *slog.Logger
	said  wait.Seldom
	lanes *batch.Lanes[string, rows.ErrorLog]

	mu      sync.Mutex
	windows map[string]map[string]*window // by site and method
}

// window is the failures of one method in a minute.
type window struct {
	begin          time.Time
	written, count int
}

// NewErrorLog prepares a log; Run writes.
func NewErrorLog(write func(ctx context.Context, site string, entries []rows.ErrorLog) error, log *slog.Logger) *ErrorLog {
	l := &ErrorLog{write: write, log: log, windows: map[string]map[string]*window{}}
	l.lanes = batch.NewLanes(maxWaiting, l.writeAll, func(site string, n int) {
		l.log.Warn("entries for the Error Log dropped: the site's database was away too long", "site", site, "entries", n)
	})
	return l
}

// Failed takes a failed attempt; one of a job that has a row, or no site, is left out.
func (l *ErrorLog) Failed(info job.Info, err error) {
	if info.Name != "" || info.Site == "" || err == nil {
		return
	}
	if !l.admits(info.Site, info.Method) {
		return
	}
	l.lanes.Add(info.Site, rows.ErrorLog{
		Title: info.Method, Error: job.Traceback(err, info.Method), User: info.User, Doctype: "RQ Job", Name: info.ID,
	})
}

// admits counts a failure and says whether it is written.
func (l *ErrorLog) admits(site, method string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	methods := l.windows[site]
	if methods == nil {
		methods = map[string]*window{}
		l.windows[site] = methods
	}
	if methods[method] == nil && len(methods) >= errorMethods {
		method = otherMethods
	}
	w := methods[method]
	if w == nil {
		w = &window{begin: time.Now()}
		methods[method] = w
	}
	w.count++
	if w.written == errorsOfAMethod {
		return false
	}
	w.written++
	return true
}

// Run writes until ctx ends, and the rest then.
func (l *ErrorLog) Run(ctx context.Context) {
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var lanes sync.WaitGroup
	lanes.Go(func() { l.lanes.Run(writing) })
	wait.Every(ctx, time.Second, func(now time.Time) { l.sumUp(now.Add(-errorWindow)) })
	l.sumUp(time.Now())
	stop()
	lanes.Wait()
}

// sumUp ends the windows that began by then, each with a line about what wasn't written.
func (l *ErrorLog) sumUp(then time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for site, methods := range l.windows {
		for method, w := range methods {
			if w.begin.After(then) {
				continue
			}
			delete(methods, method)
			if more := w.count - w.written; more > 0 {
				l.lanes.Add(site, rows.ErrorLog{
					Title: method, Error: fmt.Sprintf("%d more jobs failed since %s; their errors are in RQ's failed registry.\n", more, w.begin.UTC().Format(time.RFC3339)),
				})
			}
		}
		if len(methods) == 0 {
			delete(l.windows, site)
		}
	}
}

// writeAll writes what waits for one site. One without an Error Log has no desk that would show it.
func (l *ErrorLog) writeAll(ctx context.Context, site string, entries []rows.ErrorLog) {
	if err := l.write(ctx, site, entries); err != nil && !errors.Is(err, rows.ErrTableMissing) && ctx.Err() == nil {
		l.said.Warn(l.log, "the site's Error Log can't be written; failed jobs are in RQ's failed registry", site, "error", err, "site", site, "entries", len(entries))
	}
}
