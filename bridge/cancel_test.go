package bridge

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// soon is within what time of each cancel the handler's context has ended.
const soon = 2 * time.Second

// TestEachWayToCancelEndsTheContext within two seconds, whoever does it, also where nobody tells the bridge.
// BRIDGE_TEST_CANCELS says how often of each; then the 99th percentile is what must be in time.
func TestEachWayToCancelEndsTheContext(t *testing.T) {
	if testing.Short() {
		t.Skip("cancels many jobs")
	}
	times, err := strconv.Atoi(cmp.Or(os.Getenv("BRIDGE_TEST_CANCELS"), "6"))
	if err != nil {
		t.Fatalf("BRIDGE_TEST_CANCELS: %v", err)
	}
	b := newBed(t, map[string]any{"queues": []string{"go"}, "concurrency": 20})
	b.cfg.Breaker.Off = true // what is killed has failed
	type end struct {
		at    time.Time
		cause error
	}
	var ends sync.Map // chan end by row
	b.start(func(e *Engine) {
		Register(e, "waits", func(ctx context.Context, j *Job[any]) (any, error) {
			<-ctx.Done()
			at := end{time.Now(), context.Cause(ctx)}
			if to, ok := ends.Load(j.Name); ok {
				to.(chan end) <- at
			}
			return nil, ctx.Err()
		})
	})
	b.exec("INSERT INTO `tabJob Type` (name, creation, modified, type_name, is_enabled, default_timeout, max_retries) VALUES ('waits', NOW(6), NOW(6), 'waits', 1, 600, 0)")
	b.hears()
	rq := b.client().RQ()
	ways := []struct {
		name   string
		cause  error
		cancel func(name string) error
	}{
		{"Client.Cancel", ErrCanceled, func(name string) error {
			_, err := b.client().Cancel(t.Context(), testSite, name, "jane@example.com")
			return err
		}},
		{"the desk's document", ErrCanceled, func(name string) error {
			b.save(name, "jane@example.com", "status='Canceled'")
			b.tell(name)
			return nil
		}},
		{"a row that nobody tells of", ErrCanceled, func(name string) error {
			b.save(name, "jane@example.com", "status='Canceled'")
			return nil
		}},
		{"SQL that changes the status alone", ErrCanceled, func(name string) error {
			b.exec("UPDATE `tabBackground Job` SET status='Canceled' WHERE name=?", name)
			return nil
		}},
		{"RQ's stop-job", ErrStopped, func(name string) error {
			_, err := rq.SendStop(t.Context(), b.bench.JobID(testSite, name))
			return err
		}},
		{"RQ's kill-horse", ErrKilled, func(name string) error {
			j, err := rq.Fetch(t.Context(), b.bench.JobID(testSite, name))
			if err == nil {
				_, err = rq.SendCommand(t.Context(), j.WorkerName, rqcompat.Command{Name: rqcompat.CommandKillHorse})
			}
			return err
		}},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			var mu sync.Mutex
			var took []time.Duration
			for done := 0; done < times; {
				some := min(times-done, 10)
				done += some
				var all sync.WaitGroup
				for range some {
					name := b.submit("waits", nil)
					heard := make(chan end, 1)
					ends.Store(name, heard)
					b.waitRow(name, rows.StatusRunning)
					all.Go(func() {
						began := time.Now()
						if err := way.cancel(name); err != nil {
							t.Error(err)
							return
						}
						select {
						case e := <-heard:
							mu.Lock()
							took = append(took, e.at.Sub(began))
							mu.Unlock()
							if !errors.Is(e.cause, way.cause) {
								t.Errorf("cause %v, want %v", e.cause, way.cause)
							}
						case <-time.After(10 * soon):
							t.Errorf("%s goes on", name)
						}
					})
				}
				all.Wait()
			}
			if t.Failed() {
				return
			}
			slices.Sort(took)
			last := took[(len(took)*99-1)/100]
			t.Logf("%d times: median %s, p99 %s", len(took), took[len(took)/2].Round(time.Millisecond), last.Round(time.Millisecond))
			if last > soon {
				t.Errorf("the context ended after %s, want %s", last, soon)
			}
		})
	}
}
