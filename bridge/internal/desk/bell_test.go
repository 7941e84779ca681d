package desk

import (
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

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/documents"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// bench is what a bell writes to.
type bench struct {
	mu     sync.Mutex
	wrote  []rows.Notification
	events []realtime.Event
	err    error
	roles  []string
	log    strings.Builder
	types  map[string]*rows.JobType
}

// ringing runs a bell until the returned function is called.
func (x *bench) ringing(t *testing.T) (b *Bell, stop func()) {
	b = NewBell(BellParams{
		JobTypes: func(context.Context, string) (map[string]*rows.JobType, error) { return x.types, nil },
		InRole: func(_ context.Context, site, role, organization string) ([]string, error) {
			if site+role+organization != subject.Site+"Operator"+subject.Organization {
				t.Errorf("asked for the role %s of %s on %s", role, organization, site)
			}
			return x.roles, nil
		},
		Write: func(_ context.Context, _ string, ns []rows.Notification) (told []string, err error) {
			x.mu.Lock()
			defer x.mu.Unlock()
			if x.err != nil {
				return nil, x.err
			}
			for _, n := range ns {
				x.wrote, told = append(x.wrote, n), append(told, n.User)
			}
			slices.Sort(told)
			return slices.Compact(told), nil
		},
		Publish: func(_ context.Context, events ...realtime.Event) error {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.events = append(x.events, events...)
			return nil
		},
		Log: slog.New(slog.NewTextHandler(&x.log, nil)),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		b.Run(ctx)
		close(done)
	}()
	return b, func() {
		cancel()
		<-done
	}
}

func (x *bench) told() (lines []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, n := range x.wrote {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s: %s %q %s", n.User, n.Text, n.Args, n.Name+n.Link)))
	}
	return lines
}

// TestWhoHearsOfAnEnd.
func TestWhoHearsOfAnEnd(t *testing.T) {
	dead := moved(rows.StatusRunning, rows.StatusDeadLetter, rows.BackgroundJob{ErrorMessage: "\nboom\nstack"})
	done := moved(rows.StatusRunning, rows.StatusCompleted, rows.BackgroundJob{})
	const jane = "jane@example.com"
	for name, tc := range map[string]struct {
		jobType *rows.JobType
		moves   []sites.Moved
		want    []string
	}{
		"a dead letter":                 {&rows.JobType{DisplayName: "Export"}, []sites.Moved{dead}, []string{jane + `: {0} failed for good: {1} ["Export JOB-1" "boom"] JOB-1`}},
		"of no Job Type":                {nil, []sites.Moved{dead}, []string{jane + `: {0} failed for good: {1} ["export JOB-1" "boom"] JOB-1`}},
		"completed":                     {&rows.JobType{}, []sites.Moved{done}, nil},
		"completed, and that is wanted": {&rows.JobType{NotifyOnCompletion: true}, []sites.Moved{done}, []string{jane + `: {0} is completed ["export JOB-1"] JOB-1`}},
		"a role hears of the dead letter, the owner once": {&rows.JobType{NotifyOnCompletion: true, DeadLetterRole: "Operator"}, []sites.Moved{dead, done}, []string{
			jane + `: {0} failed for good: {1} ["export JOB-1" "boom"] JOB-1`, `op@example.com: {0} failed for good: {1} ["export JOB-1" "boom"] JOB-1`,
			jane + `: {0} is completed ["export JOB-1"] JOB-1`,
		}},
		"on the way": {&rows.JobType{NotifyOnCompletion: true}, []sites.Moved{
			moved(rows.StatusQueued, rows.StatusRunning, rows.BackgroundJob{}), moved(rows.StatusRunning, rows.StatusFailed, rows.BackgroundJob{}),
			moved(rows.StatusRunning, rows.StatusTimedOut, rows.BackgroundJob{}), moved(rows.StatusRunning, rows.StatusCanceled, rows.BackgroundJob{}),
		}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			x := &bench{roles: []string{jane, "op@example.com"}, types: map[string]*rows.JobType{}}
			if tc.jobType != nil {
				x.types["export"] = tc.jobType
			}
			b, stop := x.ringing(t)
			for _, m := range tc.moves {
				b.Moved(m)
			}
			stop()
			if diff := cmp.Diff(tc.want, x.told()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			for _, e := range x.events {
				if e.Name != "notification" || e.Site != site || len(e.Rooms) == 0 || !strings.HasPrefix(e.Rooms[0], "user:") {
					t.Errorf("%s: event %+v", name, e)
				}
			}
			if len(x.events) > 1 || len(x.events) == 0 && len(tc.want) > 0 {
				t.Errorf("%s: %d events", name, len(x.events))
			}
		})
	}
}

// TestAFloodOfDeadLetters: ten of each user in a minute, then one line with the number of the others; it keeps nobody else
// from his.
func TestAFloodOfDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &bench{}
		b, stop := x.ringing(t)
		for i := range 10_000 {
			m := moved(rows.StatusRunning, rows.StatusDeadLetter, rows.BackgroundJob{ErrorMessage: "boom"})
			m.Name = fmt.Sprint("JOB-", i)
			b.Moved(m)
		}
		other := moved(rows.StatusRunning, rows.StatusDeadLetter, rows.BackgroundJob{})
		other.Owner = "anna@example.com"
		b.Moved(other)
		synctest.Wait()
		if lines := x.told(); len(lines) != 11 || !strings.HasPrefix(lines[10], "anna@example.com") {
			t.Errorf("%d notifications: %q", len(lines), lines)
		}
		time.Sleep(floodWindow + 2*time.Second)
		synctest.Wait()
		if lines := x.told(); len(lines) != 12 || lines[11] != `jane@example.com: {0} more jobs failed for good ["9990"] /app/background-job?status=Dead%20Letter` {
			t.Errorf("after a minute %d notifications: %q", len(lines), lines[10:])
		}
		stop()
	})
}

// TestTheBellIsTranslated: the documents that an installation brings have each text of the bell in German and French.
func TestTheBellIsTranslated(t *testing.T) {
	all, err := documents.Load()
	if err != nil {
		t.Fatal(err)
	}
	languages := map[string]int{}
	for _, d := range all {
		if text, _ := d.Fields["source_text"].(string); d.Kind == "translation" {
			languages[text]++
		}
	}
	for _, text := range []string{sayDeadLetter, sayCompleted, sayMoreDeadLetter, sayMoreCompleted, sayDeadLetters} {
		if languages[text] != 2 {
			t.Errorf("%q is translated into %d languages, want 2", text, languages[text])
		}
	}
}

// TestABellThatCantBeWritten is said, but for a site that has none.
func TestABellThatCantBeWritten(t *testing.T) {
	for err, said := range map[error]bool{rows.ErrTableMissing: false, rows.ErrUnavailable: true, errors.New("x"): true} {
		synctest.Test(t, func(t *testing.T) {
			x := &bench{err: err}
			b, stop := x.ringing(t)
			b.Moved(moved(rows.StatusRunning, rows.StatusDeadLetter, rows.BackgroundJob{}))
			stop()
			if got := strings.Contains(x.log.String(), "Notification Log can't be written"); got != said || len(x.events) > 0 {
				t.Errorf("%v: said %v, %d events", err, got, len(x.events))
			}
		})
	}
}
