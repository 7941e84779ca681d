package bridge

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// zone gives the site another time zone; engines that are running learn of it within a minute.
func (b *bed) zone(name string) {
	b.exec("DELETE FROM tabSingles WHERE doctype = 'System Settings' AND field = 'time_zone'")
	b.exec("INSERT INTO tabSingles (doctype, field, value) VALUES ('System Settings', 'time_zone', ?)", name)
}

// attempts records when a handler was called.
type attempts struct {
	mu sync.Mutex
	at []time.Time
}

func (a *attempts) add() (nth int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = append(a.at, time.Now())
	return len(a.at)
}

var errPasses = errors.New("it passes")

// TestTheSitesClocksAreChanged while one job runs and another one waits for its retry: the first runs once, the second
// is retried when it is due, whether an hour of local time repeats or is skipped.
func TestTheSitesClocksAreChanged(t *testing.T) {
	for name, jump := range map[string]time.Duration{"back": -time.Hour, "forward": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, map[string]any{"retry": map[string]any{"base": 3}})
			b.cfg.pace = fastPace
			b.countTypes()
			change := time.Now().Add(4 * time.Second).Truncate(time.Second)
			file := filepath.Join(os.Getenv("ZONEINFO"), "Test", name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, servertest.ZoneFile(change, 2*time.Hour, 2*time.Hour+jump), 0o600)); err != nil {
				t.Fatal(err)
			}
			b.zone("Test/" + name)
			var runs, tries attempts
			var failed time.Time
			b.start(func(e *Engine) {
				Register(e, "go.holds", func(context.Context, *Job[any]) (any, error) {
					runs.add()
					time.Sleep(time.Until(change.Add(4 * time.Second)))
					return nil, nil
				})
				Register(e, "go.count", func(context.Context, *Job[any]) (any, error) {
					if tries.add() > 1 {
						return nil, nil
					}
					time.Sleep(time.Until(change.Add(-1700 * time.Millisecond))) // sites are asked every second
					failed = time.Now()
					return nil, errPasses
				})
			})
			held, retried := b.submit("holds", nil), b.submit("count", nil)
			b.waitRow(retried, rows.StatusCompleted)
			b.waitRow(held, rows.StatusCompleted)
			if got, want := b.path(held), "Pending Queued Running Completed"; len(runs.at) != 1 || got != want {
				t.Errorf("the job that ran meanwhile ran %d times, by way of %s; want once, %s", len(runs.at), got, want)
			}
			if pause := tries.at[1].Sub(failed); len(tries.at) != 2 || pause < 2300*time.Millisecond || pause > 6*time.Second {
				t.Errorf("%d attempts, the second %s after the failure; want two, 3 s apart", len(tries.at), pause)
			}
		})
	}
}

// TestTheSiteGetsAnotherTimeZone while a job waits for its retry, and the bridge is started anew as well.
func TestTheSiteGetsAnotherTimeZone(t *testing.T) {
	for name, zones := range map[string][2]string{"behind": {"Asia/Kolkata", "America/New_York"}, "ahead": {"America/New_York", "Asia/Kolkata"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, map[string]any{"retry": map[string]any{"base": 5}})
			b.countTypes()
			b.zone(zones[0])
			var tries attempts
			register := func(e *Engine) {
				Register(e, "go.count", func(context.Context, *Job[any]) (any, error) {
					if tries.add() > 1 {
						return nil, nil
					}
					return nil, errPasses
				})
			}
			first := b.start(register)
			job := b.submit("count", nil)
			b.waitRow(job, rows.StatusFailed)
			if err := first.stop(); err != nil {
				t.Fatal(err)
			}
			b.zone(zones[1])
			b.start(register)
			b.waitRow(job, rows.StatusCompleted)
			if pause := tries.at[1].Sub(tries.at[0]); len(tries.at) != 2 || pause < 3900*time.Millisecond || pause > 9*time.Second {
				t.Errorf("%d attempts, the second after %s; want two, 5 s apart", len(tries.at), pause)
			}
		})
	}
}
