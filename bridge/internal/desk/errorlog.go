package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

const (
	// errorsOfAMethod is how many failures of one method a site's Error Log gets in a minute, before they are only counted,
	// errorMethods how many methods are told apart.
	errorsOfAMethod = 10
	errorMethods    = 50
	otherMethods    = "other methods"
)

// ErrorLog writes the failures of jobs without a row to their site's Error Log, as Frappe's worker does: the desk shows
// nothing else of them. A flood of them is counted. Safe for concurrent use.
type ErrorLog struct {
	write func(ctx context.Context, site string, entries []rows.ErrorLog) error
	log   *slog.Logger
	said  wait.Seldom
	lanes *batch.Lanes[string, rows.ErrorLog]
	flood *flood[string] // by method
}

// NewErrorLog prepares a log; Run writes.
func NewErrorLog(write func(ctx context.Context, site string, entries []rows.ErrorLog) error, log *slog.Logger) *ErrorLog {
	l := &ErrorLog{write: write, log: log, flood: newFlood(errorsOfAMethod, errorMethods, otherMethods)}
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
	if !l.flood.admits(info.Site, info.Method) {
		return
	}
	l.lanes.Add(info.Site, rows.ErrorLog{
		Title: info.Method, Error: job.Traceback(err, info.Method), User: info.User, Doctype: "RQ Job", Name: info.ID,
	})
}

// Run writes until ctx ends, and the rest then.
func (l *ErrorLog) Run(ctx context.Context) { l.flood.run(ctx, l.lanes.Run, l.more) }

// more is the line about what wasn't written.
func (l *ErrorLog) more(site, method string, n int, since time.Time) {
	l.lanes.Add(site, rows.ErrorLog{
		Title: method, Error: fmt.Sprintf("%d more jobs failed since %s; their errors are in RQ's failed registry.\n", n, since.UTC().Format(time.RFC3339)),
	})
}

// writeAll writes what waits for one site. One without an Error Log has no desk that would show it.
func (l *ErrorLog) writeAll(ctx context.Context, site string, entries []rows.ErrorLog) {
	if err := l.write(ctx, site, entries); err != nil && !errors.Is(err, rows.ErrTableMissing) {
		l.said.Warn(l.log, "the site's Error Log can't be written; failed jobs are in RQ's failed registry", site, "error", err, "site", site, "entries", len(entries))
	}
}
