package attempt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/workers"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const site = "a.example.com"

// house is a runner between fakes. Everything that others can see of an attempt is told in its story, in order.
type house struct {
	*Runner
	rows  *table
	rq    *redis
	slots *workers.Slots

	mu     sync.Mutex
	story  []string
	ends   []end
	failed []string
	log    bytes.Buffer

	answer policy.Answer
	asked  []policy.Question
}

// end is what Ended was told.
type end struct {
	info    job.Info
	outcome string
	err     error
	took    time.Duration
}

func newHouse() *house {
	h := &house{slots: workers.NewSlots(10, []string{"b:go"})}
	h.rows = &table{house: h, rows: map[string]*rows.BackgroundJob{}}
	h.rq = &redis{house: h}
	h.Runner = NewRunner(Params{
		Rows: h.rows, RQ: h.rq, Slots: h.slots, Retry: job.RetryPolicy{Base: time.Minute, Jitter: -1},
		Logger:      slog.New(slog.NewTextHandler(h, &slog.HandlerOptions{Level: slog.LevelDebug})),
		CancelGrace: 5 * time.Second, Lease: 15 * time.Second, Slack: 75 * time.Second,
		Ask: func(_ context.Context, q policy.Question) policy.Answer {
			h.mu.Lock()
			h.asked = append(h.asked, q)
			h.mu.Unlock()
			return h.answer
		},
		PlainProgress: func(site, user, id string, percent float64, message string) {
			h.tell("plain %s %s %s %v %s", site, user, id, percent, message)
		},
		Failed: func(queue string) {
			h.mu.Lock()
			h.failed = append(h.failed, queue)
			h.mu.Unlock()
		},
		Envelope: func(site string, row *rows.BackgroundJob, id string) (*rqcompat.Job, error) {
			return &rqcompat.Job{ID: id, Description: "envelope of " + row.Name}, nil
		},
		RowOfJob: func(id string) (string, string, bool) { return strings.Cut(id, "::") },
		Ended: func(info job.Info, outcome string, err *job.Failure, took time.Duration) {
			h.tell("ended %s", outcome)
			h.mu.Lock()
			h.ends = append(h.ends, end{info, outcome, err.Returned(), took})
			h.mu.Unlock()
		},
	})
	return h
}

// Write takes a line of the log.
func (h *house) Write(line []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(line)
}

func (h *house) tell(format string, args ...any) {
	h.mu.Lock()
	h.story = append(h.story, fmt.Sprintf(format, args...))
	h.mu.Unlock()
}

func (h *house) wantStory(t *testing.T, what string, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.story, want) {
		t.Errorf("%s:\n%s\nwant\n%s\nlog:\n%s", what, strings.Join(h.story, "\n"), strings.Join(want, "\n"), h.log.String())
	}
}

func (h *house) wantLog(t *testing.T, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range want {
		if !strings.Contains(h.log.String(), w) {
			t.Errorf("the log lacks %q:\n%s", w, h.log.String())
		}
	}
}

// wantFree checks that no attempt is left and that all slots are free.
func (h *house) wantFree(t *testing.T) {
	t.Helper()
	running, abandoned := h.Running()
	free := h.slots.Take(20)
	h.slots.PutBack(free)
	if running != 0 || abandoned != 0 || len(free) != 10 {
		t.Errorf("%d attempts run, %d are abandoned, %d of 10 slots are free", running, abandoned, len(free))
	}
}

// start lets a job go, as the claimer does.
func (h *house) start(ctx context.Context, q *job.Queued) rqcompat.Lease {
	slot := h.slots.Take(1)[0]
	lease := rqcompat.Lease{
		Queue: q.Queue.Name, ID: q.ID, Worker: slot.Worker.Name, ExecutionID: "e", StartedAt: time.Now().Truncate(time.Microsecond),
	}
	h.Start(ctx, context.WithoutCancel(ctx), q, nil, slot, lease)
	return lease
}

// run lets a job go and waits until nothing happens any more.
func (h *house) run(t *testing.T, q *job.Queued) {
	h.start(t.Context(), q)
	synctest.Wait()
}

// reporting writes reports until the test ends.
func (h *house) reporting(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		h.WriteReports(ctx)
		close(done)
	}()
	return func() {
		cancel()
		<-done
	}
}

// handler calls f, which may be nil.
func handler(f func(ctx context.Context, r job.Reporter) (any, error)) *job.Handler {
	return &job.Handler{Name: "export", Call: func(ctx context.Context, _ job.Info, _ json.RawMessage, r job.Reporter) (any, error) {
		if f == nil {
			return "result", nil
		}
		return f(ctx, r)
	}}
}

// plain is a job without a row.
func plain(f func(ctx context.Context, r job.Reporter) (any, error)) *job.Queued {
	return &job.Queued{
		Queue: job.Queue{Name: "b:go", Kind: "go", Own: true}, ID: "plain-1", Method: "go.plain", Site: site, User: "jane@example.com",
		Handler: handler(f),
	}
}

// delivery is a job that names a row, and puts that row into the table.
func (h *house) delivery(status rows.Status, f func(ctx context.Context, r job.Reporter) (any, error)) *job.Queued {
	row := &rows.BackgroundJob{
		Name: "JOB-1", JobType: "export", Organization: "ORG-A", OwnerUser: "owner@example.com", Status: status,
		MaxRetries: 3, TimeoutSeconds: 60, InputParameters: json.RawMessage(`{"password":"s3cret"}`),
	}
	h.rows.put(row)
	read := *row
	return &job.Queued{
		Queue: job.Queue{Name: "b:go", Kind: "go", Own: true}, ID: site + "::JOB-1", Method: "export", Site: site, User: "owner@example.com",
		Organization: "ORG-A", RowName: row.Name, Row: &read, JobType: &rows.JobType{TypeName: "export", Enabled: true}, Handler: handler(f),
	}
}
