package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// freezeAt is the environment variable that has a worker process stop itself, as SIGSTOP does: in its handler, after that, or before it
// writes RQ's outcome.
const freezeAt = "BRIDGE_TEST_FREEZE"

func stopSelf() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	time.Sleep(50 * time.Millisecond) // the signal may come to another thread first
}

// registerFreezing offers go.freezes, which says in a file what became of it.
func registerFreezing(e *Engine, dir string) {
	point := os.Getenv(freezeAt)
	if point == "outcome" {
		go func() {
			<-e.Connected()
			e.client.rdb.AddHook(&freezing{})
		}()
	}
	Register(e, "go.freezes", func(ctx context.Context, job *Job[any]) (any, error) {
		job.Progress(10, "begun")
		switch point {
		case "handler":
			stopSelf()
		case "end":
			defer stopSelf()
			return "late", nil
		default:
			return "late", nil
		}
		begin := time.Now()
		job.Progress(77, "late")
		job.Log().Info("late")
		_, err := e.Submit(ctx, SubmitRequest{Site: testSite, JobType: "fine", Organization: "ORG-A", User: "jane@example.com"})
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Second):
		}
		text := fmt.Sprintf("lost %v, submission lost %v, after %s", errors.Is(context.Cause(ctx), ErrLost), errors.Is(err, ErrLost), time.Since(begin))
		return "late", os.WriteFile(filepath.Join(dir, "frozen-"+filepath.Base(job.ID)), []byte(text), 0o600)
	})
}

// freezing stops the process once, before the first script that settles.
type freezing struct{ once sync.Once }

func (f *freezing) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (f *freezing) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (f *freezing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if slices.ContainsFunc(cmd.Args(), func(a any) bool { return a == "finished" }) {
				f.once.Do(stopSelf)
			}
		}
		return next(ctx, cmds)
	}
}

// TestAFrozenProcessChangesNothing: what a process that was stopped, and whose jobs were finished elsewhere, does when it comes back
// reaches neither rows nor logs nor Redis nor the desk, wherever it was stopped.
func TestAFrozenProcessChangesNothing(t *testing.T) { // not in parallel: it keeps the machine from others
	for _, point := range []string{"handler", "end", "outcome"} {
		for _, withRow := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s row=%v", point, withRow), func(t *testing.T) {
				t.Parallel()
				b := newBed(t, map[string]any{"lease": 1, "shared_queues": []string{}})
				b.cfg.pace = fastPace
				b.addGoTypes(60, "fine", "freezes")
				child := b.worker(freezeAt + "=" + point)
				var id, row string
				if withRow {
					row = b.submit("freezes", nil)
					id = b.bench.JobID(testSite, row)
				} else {
					b.exec("DELETE FROM `tabJob Type` WHERE name='freezes'")
					id = b.enqueue("go.freezes", nil)
				}
				b.eventually("the process stops itself", func() bool { return stopped(child.Process.Pid) }, func() string { return procState(child.Process.Pid) })
				b.start(func(e *Engine) {
					registerFine(e)
					Register(e, "go.freezes", func(context.Context, *Job[any]) (any, error) { return "in time", nil })
				})
				b.waitJob(id, rqcompat.StatusFinished)
				if withRow {
					b.waitRow(row, rows.StatusCompleted)
				}
				b.wantNothingRunning()
				time.Sleep(2500 * time.Millisecond) // events that are held back for a while, records of idle workers
				before, sql := b.dump(), b.dumpRows()
				heard := b.listenFor(row, id)
				if err := child.Process.Signal(syscall.SIGCONT); err != nil {
					t.Fatal(err)
				}
				if point == "handler" {
					file := filepath.Join(b.dir, "frozen-"+filepath.Base(id))
					var text []byte
					b.eventually("the handler ends", func() bool { text, _ = os.ReadFile(file); return len(text) > 0 }, func() string { return "" })
					t.Logf("its handler says: %s", text)
					if !strings.HasPrefix(string(text), "lost true, submission lost true") {
						t.Errorf("the handler says %q, want that its context ended with ErrLost, and its submission was refused", text)
					}
				}
				time.Sleep(3 * time.Second)
				if diff := cmp.Diff(before, b.dump()); diff != "" {
					t.Errorf("Redis (-before +after):\n%s", diff)
				}
				if diff := cmp.Diff(sql, b.dumpRows()); diff != "" {
					t.Errorf("rows (-before +after):\n%s", diff)
				}
				if events := heard(); len(events) > 0 {
					t.Errorf("the desk was told %q", events)
				}
			})
		}
	}
}

func procState(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:min(len(rest), 1)]
}

func stopped(pid int) bool { return procState(pid) == "T" }

// dump is what is in Redis, but for what says who lives, and what looks around, and what counts ends: that of a row which a process had
// committed before it was stopped is its own to tell.
func (b *bed) dump() map[string]string {
	b.t.Helper()
	found := map[string]string{}
	for _, key := range b.rdb.Keys(b.t.Context(), "*").Val() {
		if slices.ContainsFunc([]string{"rq:process", "rq:worker", "rq:scheduler", "rq:clean_registries", "rq:bridge:looked", "rq:bridge:sweep", "rq:bridge:swept", "rq:bridge:breaker:"}, func(p string) bool { return strings.HasPrefix(key, p) }) {
			continue
		}
		found[key] = b.rdb.Dump(b.t.Context(), key).Val()
	}
	return found
}

// dumpRows is all that the site's tables say of jobs.
func (b *bed) dumpRows() (all []string) {
	b.t.Helper()
	for _, table := range []string{"tabBackground Job", "tabJob Execution Log"} {
		found, err := b.sql.QueryxContext(b.t.Context(), "SELECT * FROM `"+table+"` ORDER BY name")
		if err != nil {
			b.t.Fatal(err)
		}
		defer found.Close()
		for found.Next() {
			row := map[string]any{}
			if err := found.MapScan(row); err != nil {
				b.t.Fatal(err)
			}
			line := table
			for _, column := range slices.Sorted(maps.Keys(row)) {
				line += fmt.Sprintf(" %s=%s", column, row[column])
			}
			all = append(all, line)
		}
	}
	return all
}

// listenFor hears what the realtime server is told of one of the names, until the returned function is called.
func (b *bed) listenFor(names ...string) (heard func() []string) {
	sub := b.rdb.Subscribe(b.t.Context(), "events")
	if _, err := sub.Receive(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return func() (events []string) {
		_ = sub.Close()
		for m := range sub.Channel() {
			if slices.ContainsFunc(names, func(name string) bool { return name != "" && strings.Contains(m.Payload, name) }) {
				events = append(events, m.Payload)
			}
		}
		return events
	}
}
