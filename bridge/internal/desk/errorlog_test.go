package desk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// book is the Error Logs of sites.
type book struct {
	mu    sync.Mutex
	pages map[string][]rows.ErrorLog
	err   error
	log   bytes.Buffer
}

// keep runs an ErrorLog until the returned function is called.
func (b *book) keep(t *testing.T) (l *ErrorLog, stop func()) {
	b.pages = map[string][]rows.ErrorLog{}
	l = NewErrorLog(func(_ context.Context, site string, entries []rows.ErrorLog) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.pages[site] = append(b.pages[site], entries...)
		return b.err
	}, slog.New(slog.NewTextHandler(&b.log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		l.Run(ctx)
		close(done)
	}()
	return l, func() {
		cancel()
		<-done
	}
}

// of are the entries of a site.
func (b *book) of(site string) []rows.ErrorLog {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.pages[site])
}

var plainJob = job.Info{ID: "a.example.com::1", Method: "app.export", Site: site, User: "jane@example.com"}

// TestAFailureWithoutARow is found in the Error Log; what has a row, or no site, isn't written there.
func TestAFailureWithoutARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		l, stop := b.keep(t)
		l.Failed(plainJob, errors.New("boom"))
		rowed, siteless := plainJob, plainJob
		rowed.Name, siteless.Site = "JOB-1", ""
		l.Failed(rowed, errors.New("in the row"))
		l.Failed(siteless, errors.New("of nobody"))
		l.Failed(plainJob, nil)
		synctest.Wait()
		if len(b.of(site)) != 1 || len(b.pages) != 1 {
			t.Fatalf("Error Logs %+v, want one entry on %s", b.pages, site)
		}
		e := b.of(site)[0]
		if e.Title != "app.export" || !strings.HasPrefix(e.Error, "Traceback") || !strings.Contains(e.Error, "boom") ||
			e.User != "jane@example.com" || e.Doctype != "RQ Job" || e.Name != plainJob.ID {
			t.Errorf("entry %+v", e)
		}
		stop()
	})
}

// TestAFloodIsCounted: ten of a method in a minute, and how many more there were; at the stop as well.
func TestAFloodIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		l, stop := b.keep(t)
		other := plainJob
		other.Method = "app.other"
		for range 1000 {
			l.Failed(plainJob, errors.New("boom"))
		}
		l.Failed(other, errors.New("boom"))
		synctest.Wait()
		if got := b.titles(); !slices.Equal(got, append(slices.Repeat([]string{"app.export"}, 10), "app.other")) {
			t.Errorf("a flood is written as %v", got)
		}
		time.Sleep(62 * time.Second)
		synctest.Wait()
		entries := b.of(site)
		if last := entries[len(entries)-1]; len(entries) != 12 || last.Title != "app.export" || !strings.HasPrefix(last.Error, "990 more jobs failed since 2000-01-01T00:00:00Z") {
			t.Errorf("after the minute there are %d entries, the last %+v, want the 12th to tell of 990 more", len(entries), last)
		}
		for range 11 {
			l.Failed(plainJob, errors.New("boom"))
		}
		stop()
		entries = b.of(site)
		if last := entries[len(entries)-1]; len(entries) != 23 || !strings.HasPrefix(last.Error, "1 more jobs failed") {
			t.Errorf("after the stop there are %d entries, the last %+v, want ten more and one of the eleventh", len(entries), last)
		}
	})
}

// TestMadeUpMethods don't fill the Error Log either.
func TestMadeUpMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		l, stop := b.keep(t)
		for i := range 1000 {
			j := plainJob
			j.Method = fmt.Sprint("made.up.", i)
			l.Failed(j, errors.New("boom"))
		}
		stop()
		if n := len(b.of(site)); n != errorMethods+errorsOfAMethod+1 {
			t.Errorf("1,000 methods leave %d entries, want %d", n, errorMethods+errorsOfAMethod+1)
		}
		if last := b.of(site)[len(b.of(site))-1]; last.Title != otherMethods {
			t.Errorf("the last entry is of %q", last.Title)
		}
	})
}

// TestAnErrorLogThatCantBeWritten is said, unless the site has none.
func TestAnErrorLogThatCantBeWritten(t *testing.T) {
	for err, want := range map[error]string{rows.ErrUnavailable: "Error Log can't be written", fmt.Errorf("x: %w", rows.ErrTableMissing): ""} {
		synctest.Test(t, func(t *testing.T) {
			b := &book{err: err}
			l, stop := b.keep(t)
			l.Failed(plainJob, errors.New("boom"))
			stop()
			if got := b.log.String(); (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%v: the log says %q, want %q", err, got, want)
			}
		})
	}
}

func (b *book) titles() (titles []string) {
	for _, e := range b.of(site) {
		titles = append(titles, e.Title)
	}
	return titles
}
