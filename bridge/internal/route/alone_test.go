package route

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// stuck has the calls of jobs with a description decoded by a decoder that never returns.
func (b *bench) stuck(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	b.decode = func(j *rqcompat.Job, _ pickle.Limits) (*rqcompat.Call, error) {
		if j.Description != "" {
			<-release
		}
		return j.Call()
	}
}

func described(j *rqcompat.Job) *rqcompat.Job {
	j.Description = "endless"
	return j
}

// TestADecoderThatNeverReturns keeps nobody else, however many of them there are.
func TestADecoderThatNeverReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.stuck(t)
		r := b.router()
		var found []Found
		for i := range 12 {
			j := plain(t, "go.plain")
			if i%2 == 0 {
				described(j)
			}
			found = append(found, Found{Job: j})
		}
		begin := time.Now()
		for range 3 { // those that are stuck have no turns
			for i, got := range r.Route(t.Context(), job.Queue{}, found) {
				if want := []Verdict{Heavy, Ours}[i%2]; got.Verdict != want || got.ID != "id" {
					t.Errorf("job %d: %s, want %s", i, verdicts[got.Verdict], verdicts[want])
				}
			}
		}
		if took := time.Since(begin); took > 18*quickPatience {
			t.Errorf("18 decoders that never return kept the others for %s", took)
		}
	})
}

// TestRoutingEndsWithItsContext, whatever is being decoded.
func TestRoutingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.stuck(t)
		b.jobs = map[string]*rqcompat.Job{"id": described(plain(t, "go.plain"))}
		r := b.router()
		found := Found{Job: b.jobs["id"]}
		ctx, cancel := context.WithTimeout(t.Context(), quickPatience/2)
		defer cancel()
		begin := time.Now()
		if got := r.Route(ctx, job.Queue{}, []Found{found, found, found, found}); len(got) != 4 || got[3].Verdict != Heavy {
			t.Errorf("routed %+v", got)
		}
		if _, err := r.Alone(ctx, job.Queue{}, found); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("alone: %v, want the context's end", err)
		}
		later, cancel := context.WithTimeout(t.Context(), quickPatience/2)
		defer cancel()
		if _, err := r.Alone(later, job.Queue{}, found); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("alone: %v, want the context's end", err)
		}
		if took := time.Since(begin); took != quickPatience {
			t.Errorf("it ended after %s, want with its contexts", took)
		}
		if want := []string{"p begins id", "fetch id", "p ended id"}; !slices.Equal(b.notes, want) {
			t.Errorf("noted %q, want %q: a stop is nobody's death", b.notes, want)
		}
	})
}

// TestAlone: what a job is that is looked at alone, and what Redis knows of it meanwhile.
func TestAlone(t *testing.T) {
	read := []string{"p begins id", "fetch id", "p ended id"}
	for name, tc := range map[string]struct {
		before func(*bench)
		want   want
		notes  []string
		log    string
	}{
		"fine":        {want: want{own: "ours", shared: "ours"}, notes: read},
		"gone":        {before: func(b *bench) { b.jobs = nil }, want: want{own: "ours", shared: "foreign", broken: "no such job"}, notes: read},
		"died twice":  {before: func(b *bench) { b.deaths = 2 }, want: want{own: "ours", shared: "ours"}, notes: read},
		"being read":  {before: func(b *bench) { b.deaths = -1 }, want: want{own: "unready", shared: "unready", again: unreadyPause}, notes: read[:1]},
		"died thrice": {before: func(b *bench) { b.deaths = 3 }, want: want{own: "ours", shared: "foreign", broken: "killed the process that read it 3 times"}, notes: []string{read[0], read[2]}, log: "can't be read"},
		"unending":    {before: func(b *bench) { described(b.jobs["id"]) }, want: want{own: "ours", shared: "foreign", broken: "doesn't end within 15s"}, notes: read[:2], log: "can't be read"},
		"panics": {before: func(b *bench) {
			b.decode = func(*rqcompat.Job, pickle.Limits) (*rqcompat.Call, error) { panic("s3cret") }
		}, want: want{own: "ours", shared: "foreign", broken: "the decoder panicked"}, notes: read},
	} {
		for _, own := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/own=%v", name, own), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBench()
					b.stuck(t)
					b.jobs = map[string]*rqcompat.Job{"id": plain(t, "go.plain")}
					if tc.before != nil {
						tc.before(b)
					}
					r := b.router()
					var log bytes.Buffer
					r.Log = slog.New(slog.NewTextHandler(&log, nil))
					got, err := r.Alone(t.Context(), job.Queue{Name: "q", Own: own}, Found{Job: &rqcompat.Job{ID: "id"}, Seen: time.Now()})
					if err != nil {
						t.Fatal(err)
					}
					verdict := tc.want.shared
					if own {
						verdict = tc.want.own
					}
					if verdicts[got.Verdict] != verdict || got.ID != "id" || tc.want.again != 0 && got.Again != tc.want.again {
						t.Errorf("%+v: %s (broken: %v), want %s", got.Queued, verdicts[got.Verdict], got.Broken, verdict)
					}
					checkBroken(t, got, own, tc.want.broken)
					if !slices.Equal(b.notes, tc.notes) {
						t.Errorf("noted %q, want %q", b.notes, tc.notes)
					}
					if tc.log == "" && log.Len() > 0 || !strings.Contains(log.String(), tc.log) {
						t.Errorf("log %q, want %q", log.String(), tc.log)
					}
				})
			})
		}
	}
}

func TestAloneWithoutRedis(t *testing.T) {
	b := newBench()
	b.rqErr = errors.New("away")
	if _, err := b.router().Alone(t.Context(), job.Queue{}, Found{Job: &rqcompat.Job{ID: "id"}}); !errors.Is(err, b.rqErr) {
		t.Errorf("%v, want the error of Redis", err)
	}
	if want := []string{"p begins id", "fetch id", "p ended id"}; !slices.Equal(b.notes, want) {
		t.Errorf("noted %q, want %q", b.notes, want)
	}
}

// TestWhatIsLargeIsNotKept: of a job that doesn't run next only what routing asks for.
func TestWhatIsLargeIsNotKept(t *testing.T) {
	large := enqueued(t, frappe.Call{Method: "app.export", Kwargs: map[string]any{"organization": "ORG-B", "text": strings.Repeat("x", wait.LargeItem)}})
	r := newBench().router()
	for _, whole := range []bool{false, true} {
		got := r.Route(t.Context(), job.Queue{}, []Found{{Job: large, Whole: whole}})[0]
		if got.Verdict != Ours || got.Organization != "ORG-B" || got.Method != "app.export" || got.Partly == whole {
			t.Errorf("whole=%v: %s, %+v", whole, verdicts[got.Verdict], got.Queued)
		}
		if n := len(params(got)); (n > wait.LargeItem) != whole {
			t.Errorf("whole=%v: parameters of %d bytes", whole, n)
		}
		if !whole && got.Memory < wait.LargeItem {
			t.Errorf("a job of %d bytes is said to take %d", wait.LargeItem, got.Memory)
		}
	}
	small := r.Route(t.Context(), job.Queue{}, []Found{{Job: enqueued(t, frappe.Call{Method: "app.export", Kwargs: map[string]any{"n": 1}})}})[0]
	if small.Partly || params(small) != `{"n":1}` {
		t.Errorf("a small job: %+v", small.Queued)
	}
}

// TestAside: heavy jobs are looked at one after the other, and those that have left the queue are not.
// TestAThousandRowsAreReadAtOnce: many tables are as large, and alone they would take minutes.
func TestAThousandRowsAreReadAtOnce(t *testing.T) {
	var table []any
	for i := range 1000 {
		table = append(table, map[string]any{"name": fmt.Sprintf("ROW-%05d", i), "item_code": fmt.Sprint("ITEM-", i%37), "qty": i % 11, "rate": 100.5 * float64(i%13), "description": ""})
	}
	call := enqueued(t, frappe.Call{Method: "app.export", Kwargs: map[string]any{"organization": "ORG-B", "table": table}})
	got := newBench().router().Route(t.Context(), job.Queue{}, []Found{{Job: call}})[0]
	if got.Verdict != Ours || got.Memory < 80_000 {
		t.Errorf("%s, of %d bytes; want that it is known to be ours", verdicts[got.Verdict], got.Memory)
	}
}

func TestAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn, seen := make(chan error), time.Now()
		var looks []string
		told := 0
		a := NewAside(AsideParams{
			Queue: job.Queue{Name: "q"}, Looked: func() { told++ }, Log: slog.New(slog.DiscardHandler),
			Alone: func(ctx context.Context, q job.Queue, f Found) (Routed, error) {
				looks = append(looks, f.Job.ID)
				if f.Job.Data != nil {
					t.Errorf("job %s is kept while it waits", f.Job.ID)
				}
				select {
				case err := <-turn:
					if !f.Seen.Equal(seen) {
						t.Errorf("job %s counts as seen at %s", f.Job.ID, f.Seen)
					}
					return Routed{Queued: &job.Queued{ID: f.Job.ID, Queue: q}}, err
				case <-ctx.Done():
					return Routed{}, ctx.Err()
				}
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			a.Run(ctx)
			close(done)
		}()
		for _, id := range []string{"a", "b", "a", "c", "d"} {
			a.Add(Found{Job: &rqcompat.Job{ID: id, Data: []byte("x")}, Seen: seen})
		}
		synctest.Wait()
		a.Forget("b", "d")
		turn <- errors.New("Redis is away")
		turn <- nil // a, again
		turn <- nil // c
		synctest.Wait()
		if want := []string{"a", "a", "c"}; !slices.Equal(looks, want) || told != 2 {
			t.Errorf("looked at %v and told %d times, want %v", looks, told, want)
		}
		if !a.Has("a") || a.Has("b") {
			t.Error("it has forgotten a, or not b")
		}
		a.Forget("c")
		if got := a.Take(); len(got) != 1 || got[0].ID != "a" || got[0].Queue.Name != "q" || len(a.Take()) > 0 || a.Has("a") {
			t.Errorf("took %+v, want a", got)
		}
		a.Add(Found{Job: &rqcompat.Job{ID: "e"}})
		synctest.Wait()
		cancel()
		<-done
	})
}

// TestLargeParametersOfARowAreReadAtItsStart, and their size is known before.
func TestLargeParametersOfARowAreReadAtItsStart(t *testing.T) {
	b := newBench()
	r := b.router()
	for _, tc := range []struct {
		read, size int
		whole      bool
	}{{2, 2, false}, {0, 1 << 20, false}, {0, 0, false}, {1 << 20, 0, true}} {
		row := *b.rows["JOB-1"]
		if row.ParametersSize = tc.size; tc.read > 0 {
			row.InputParameters = bytes.Repeat([]byte("x"), tc.read)
		}
		b.rows["JOB-1"] = &row
		got := r.Route(t.Context(), job.Queue{}, []Found{{Job: delivery(t, "JOB-1"), Whole: tc.whole}})[0]
		if size := max(tc.read, tc.size); got.Partly != (tc.size > tc.read) || b.runNext != tc.whole || got.Memory < 2*size {
			t.Errorf("%+v: partly %v, asked for rows that run next: %v, %d bytes", tc, got.Partly, b.runNext, got.Memory)
		}
	}
}
