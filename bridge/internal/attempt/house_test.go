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
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
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
			h.asked = append(h.asked, q)
			return h.answer
		},
		PlainProgress: func(site, user, id string, percent float64, message string) {
			h.tell("plain %s %s %s %v %s", site, user, id, percent, message)
		},
		Failed:   func(queue string) { h.failed = append(h.failed, queue) },
		RowOfJob: func(id string) (string, string, bool) { return strings.Cut(id, "::") },
		Ended: func(info job.Info, outcome string, err error, took time.Duration) {
			h.tell("ended %s", outcome)
			h.ends = append(h.ends, end{info, outcome, err, took})
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
	h.Start(ctx, context.WithoutCancel(ctx), q, slot, lease)
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
	h.rows.rows[row.Name] = row
	read := *row
	return &job.Queued{
		Queue: job.Queue{Name: "b:go", Kind: "go", Own: true}, ID: site + "::JOB-1", Method: "export", Site: site, User: "owner@example.com",
		Organization: "ORG-A", RowName: row.Name, Row: &read, JobType: &rows.JobType{TypeName: "export", Enabled: true}, Handler: handler(f),
	}
}

// table is the rows of a site, with the contract of sites.Sites: row, then what RQ has to know, then the observers.
type table struct {
	house *house
	rows  map[string]*rows.BackgroundJob

	mu  sync.Mutex
	err error // of every call

	// before may change the table just before a move.
	before   func(m moves.Move)
	moves    []moves.Move
	arrivals []rows.NewJob
	reports  []sites.Report
}

func (t *table) fails() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (t *table) fail(err error) {
	t.mu.Lock()
	t.err = err
	t.mu.Unlock()
}

func (t *table) Apply(ctx context.Context, m moves.Move, then func(context.Context) error) (rows.TransitionResult, error) {
	if err := m.Check(); err != nil {
		return rows.TransitionResult{}, err
	}
	if err := t.fails(); err != nil {
		return rows.TransitionResult{}, err
	}
	if ctx.Err() != nil {
		return rows.TransitionResult{}, ctx.Err()
	}
	if t.before != nil {
		t.before(m)
	}
	row := t.rows[m.Name]
	switch {
	case row == nil:
		return rows.TransitionResult{Missing: true}, nil
	case row.Status != m.From:
		return rows.TransitionResult{Current: row.Status}, nil
	case row.Status == rows.StatusRunning && !row.StartedAt.Equal(m.StartedAt):
		return rows.TransitionResult{Current: row.Status, Fenced: true}, nil
	}
	t.moves = append(t.moves, m)
	path := string(m.To)
	if m.Via != "" {
		path = string(m.Via) + " > " + path
	}
	t.house.tell("row %s > %s", m.From, path)
	truth := m
	truth.Row = row
	truth.Applied("now")
	m.Applied("now")
	var err error
	if then != nil {
		err = then(ctx)
	}
	t.house.tell("observers %s", m.To)
	return rows.TransitionResult{Applied: true, Current: m.To, Modified: "now"}, err
}

func (t *table) Arrive(_ context.Context, _ string, j rows.NewJob) (*rows.BackgroundJob, error) {
	if err := t.fails(); err != nil {
		return nil, err
	}
	t.arrivals = append(t.arrivals, j)
	if row := t.rows["JOB-NEW"]; row != nil { // an earlier delivery got it
		read := *row
		return &read, nil
	}
	row := &rows.BackgroundJob{
		Name: "JOB-NEW", JobType: j.JobType, Organization: j.Organization, OwnerUser: j.OwnerUser, Status: j.Status,
		MaxRetries: j.MaxRetries, TimeoutSeconds: j.TimeoutSeconds,
	}
	t.rows[row.Name] = row
	read := *row
	return &read, nil
}

func (t *table) WriteProgress(_ context.Context, site string, reports []sites.Report) error {
	if err := t.fails(); err != nil {
		return err
	}
	t.reports = append(t.reports, reports...)
	for _, r := range reports {
		t.house.tell("progress %s %s %v %s", site, r.Progress.Name, r.Percent, r.Message)
	}
	return nil
}

func (t *table) Statuses(_ context.Context, _ string, names []string) (map[string]rows.Status, error) {
	if err := t.fails(); err != nil {
		return nil, err
	}
	out := map[string]rows.Status{}
	for _, name := range names {
		if row := t.rows[name]; row != nil {
			out[name] = row.Status
		}
	}
	return out, nil
}

// redis is RQ's side.
type redis struct {
	house *house

	mu  sync.Mutex
	err error // of Settle and Renew

	// odd are jobs whose outcome Redis refuses.
	odd      map[string]error
	result   rqcompat.OutcomeResult // of Settle; Settled if zero and not refused
	refused  bool
	state    map[string]rqcompat.LeaseState // by job
	outcomes []rqcompat.Outcome
	settles  int

	renewed  []renewal
	patterns []string
	beats    []int // how many records each heartbeat renews
	listen   map[string]func(worker string, c rqcompat.Command)
}

type renewal struct {
	leases []rqcompat.Lease
	lease  time.Duration
	full   bool
	at     time.Time
}

func (r *redis) fails() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *redis) fail(err error) {
	r.mu.Lock()
	r.err = err
	r.mu.Unlock()
}

func (r *redis) Settle(_ context.Context, os []rqcompat.Outcome) ([]rqcompat.OutcomeResult, error) {
	r.settles++
	if err := r.fails(); err != nil {
		return nil, err
	}
	for _, o := range os {
		if err := r.odd[o.ID]; err != nil {
			return nil, err
		}
	}
	out := make([]rqcompat.OutcomeResult, len(os))
	for i, o := range os {
		out[i] = rqcompat.Settled
		if r.refused {
			out[i] = rqcompat.NotOwner
		}
		r.outcomes = append(r.outcomes, o)
		r.house.tell("rq %s", words[o.Kind])
	}
	return out, nil
}

func (r *redis) Renew(_ context.Context, ls []rqcompat.Lease, lease time.Duration, full bool) ([]rqcompat.LeaseState, error) {
	r.renewed = append(r.renewed, renewal{slices.Clone(ls), lease, full, time.Now()})
	if err := r.fails(); err != nil {
		return nil, err
	}
	out := make([]rqcompat.LeaseState, len(ls))
	for i, l := range ls {
		out[i] = r.state[l.ID]
	}
	return out, nil
}

func (r *redis) Listen(ctx context.Context, pattern string, f func(worker string, c rqcompat.Command)) error {
	r.mu.Lock()
	if r.listen == nil {
		r.listen = map[string]func(string, rqcompat.Command){}
	}
	r.listen[pattern] = f
	r.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

func (r *redis) Heartbeat(_ context.Context, ws []*rqcompat.Worker, _ time.Duration) error {
	r.beats = append(r.beats, len(ws))
	return nil
}
func (r *redis) Deregister(context.Context, []*rqcompat.Worker) error { return nil }
