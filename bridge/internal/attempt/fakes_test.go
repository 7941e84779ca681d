package attempt

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// table is the rows of a site, with the contract of sites.Sites: row, then what RQ has to know, then the observers.
type table struct {
	house *house
	rows  map[string]*rows.BackgroundJob

	mu      sync.Mutex
	err     error // of every call
	refuses int   // how many moves are refused
	// unanswered is how many moves to Running are made, or not, without an answer.
	unanswered int
	unmade     bool

	// log has the state that a row's log has, where somebody wrote another one into the row.
	log map[string]rows.Status
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

// refuse has the next n moves refused for what they write.
func (t *table) refuse(n int) {
	t.mu.Lock()
	t.refuses = n
	t.mu.Unlock()
}

// refused spends one of refuse.
func (t *table) refused() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refuses--
	return t.refuses >= 0
}

// put adds a row, or takes its place.
func (t *table) put(row *rows.BackgroundJob) {
	t.mu.Lock()
	t.rows[row.Name] = row
	t.mu.Unlock()
}

// cancel is what a person does to a row past the engine.
func (t *table) cancel(name string) {
	t.mu.Lock()
	t.rows[name].Status = rows.StatusCanceled
	t.mu.Unlock()
}

// written are the reports so far.
func (t *table) written() []sites.Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.reports)
}

func (t *table) Apply(ctx context.Context, m moves.Move, then func(context.Context) error) (rows.TransitionResult, error) {
	if err := m.Check(); err != nil {
		return rows.TransitionResult{}, err
	}
	if err := t.fails(); err != nil {
		return rows.TransitionResult{}, err
	}
	if t.refused() {
		return rows.TransitionResult{}, fmt.Errorf("site a: %w", rows.ErrValue)
	}
	if ctx.Err() != nil {
		return rows.TransitionResult{}, ctx.Err()
	}
	if t.before != nil {
		t.before(m)
	}
	if m.To == rows.StatusRunning && t.unanswered > 0 {
		if t.unanswered--; !t.unmade {
			unseen, row := m, *m.Row
			unseen.Row = &row
			t.move(unseen)
		}
		return rows.TransitionResult{}, fmt.Errorf("%w: %w", rows.ErrOutcomeUnknown, rows.ErrUnavailable)
	}
	result := t.move(m)
	if !result.Applied {
		return result, nil
	}
	var err error
	if then != nil {
		err = then(ctx)
	}
	t.house.tell("observers %s", m.To)
	return result, err
}

// move compares and swaps.
func (t *table) move(m moves.Move) rows.TransitionResult {
	t.mu.Lock()
	defer t.mu.Unlock()
	row := t.rows[m.Name]
	switch {
	case row == nil:
		return rows.TransitionResult{Missing: true}
	case m.To == rows.StatusRunning && row.Status == m.To && row.StartedRaw == fenceText(m.StartedAt):
		result := rows.TransitionResult{Applied: true, Current: m.To, StartedRaw: row.StartedRaw}
		m.Applied(result)
		return result
	case row.Status != m.From, m.ByHand && row.ModifiedRaw != m.AsOf:
		return rows.TransitionResult{Current: row.Status}
	case (row.Status == rows.StatusRunning || m.ByHand) && row.StartedRaw != m.Fence:
		return rows.TransitionResult{Current: row.Status, Fenced: true}
	}
	t.moves = append(t.moves, m)
	path := string(m.To)
	if m.Via != "" {
		path = string(m.Via) + " > " + path
	}
	t.house.tell("row %s > %s", m.From, path)
	truth := m
	truth.Row = row
	result := rows.TransitionResult{Applied: true, Current: m.To, Modified: "now"}
	if m.To == rows.StatusRunning {
		result.StartedRaw = fenceText(m.StartedAt)
	}
	truth.Applied(result)
	m.Applied(result)
	return result
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
		MaxRetries: j.MaxRetries, TimeoutSeconds: j.TimeoutSeconds, InputParameters: j.InputParameters,
	}
	t.rows[row.Name] = row
	read := *row
	return &read, nil
}

func (t *table) WriteProgress(_ context.Context, site string, reports []sites.Report) []error {
	if err := t.fails(); err != nil {
		return slices.Repeat([]error{err}, len(reports))
	}
	t.mu.Lock()
	t.reports = append(t.reports, reports...)
	t.mu.Unlock()
	for _, r := range reports {
		t.house.tell("progress %s %s %v %s", site, r.Progress.Name, r.Percent, r.Message)
	}
	return make([]error, len(reports))
}

func (t *table) Named(_ context.Context, _ string, names []string) (map[string]*rows.BackgroundJob, error) {
	if err := t.fails(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[string]*rows.BackgroundJob{}
	for _, name := range names {
		if row := t.rows[name]; row != nil {
			read := *row
			out[name] = &read
		}
	}
	return out, nil
}

func (t *table) Withhold(context.Context, string, *rows.BackgroundJob, string) (bool, error) {
	return false, t.fails()
}

func (t *table) Written(_ context.Context, _ string, names []string) (c sites.Changes, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range names {
		if row := t.rows[name]; row != nil {
			read := *row
			last := rows.LogEntry{ToStatus: cmp.Or(t.log[name], row.Status)}
			c.Rows = append(c.Rows, sites.Written{Row: &read, Last: last})
		}
	}
	return c, t.err
}

func (t *table) Statuses(_ context.Context, _ string, names []string) (map[string]rows.Status, error) {
	if err := t.fails(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
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

	// odd are jobs whose outcome and lease Redis refuses.
	odd      map[string]error
	bareErr  error // of SettleBare
	refused  bool
	state    map[string]rqcompat.LeaseState // by job
	outcomes []rqcompat.Outcome
	settles  int

	mark     string                   // of its data
	copies   map[string]*rqcompat.Job // what it has of jobs
	restored []rqcompat.Restore
	lost     map[string]bool // jobs that somebody else has, to a restore
	renewed  []renewal
	// asked happens once the answer to a renewal is known.
	asked  func()
	beats  []int // how many records each heartbeat renews
	gone   int   // records that were removed
	listen map[string]func(worker string, c rqcompat.Command)
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

// renewals counts the renewals so far.
func (r *redis) renewals() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.renewed)
}

// settled are the outcomes so far.
func (r *redis) settled() []rqcompat.Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.outcomes)
}

func (r *redis) Settle(_ context.Context, os []rqcompat.Outcome) ([]rqcompat.Answer[rqcompat.OutcomeResult], error) {
	r.settles++
	if err := r.fails(); err != nil {
		return nil, err
	}
	out := make([]rqcompat.Answer[rqcompat.OutcomeResult], len(os))
	for i, o := range os {
		if out[i].Err = r.oddity(o.ID); out[i].Err != nil {
			continue
		}
		out[i].Result = rqcompat.Settled
		if r.refused {
			out[i].Result = rqcompat.NotOwner
		}
		r.mu.Lock()
		r.outcomes = append(r.outcomes, o)
		r.mu.Unlock()
		if o.Kind == rqcompat.OutcomeRetried {
			r.house.tell("rq scheduled")
			continue
		}
		r.house.tell("rq %s", words[o.Kind])
	}
	return out, nil
}

// oddity is what is odd about a job; one that passes is met once.
func (r *redis) oddity(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.odd[id]
	if passes(err) {
		delete(r.odd, id)
	}
	return err
}

func (r *redis) SettleBare(_ context.Context, o rqcompat.Outcome) (rqcompat.OutcomeResult, error) {
	if err := cmp.Or(r.fails(), r.bareErr); err != nil {
		return 0, err
	}
	r.house.tell("rq bare %s", words[o.Kind])
	return rqcompat.Settled, nil
}

func (r *redis) Renew(_ context.Context, ls []rqcompat.Lease, lease time.Duration, full bool) ([]rqcompat.Answer[rqcompat.LeaseState], error) {
	r.mu.Lock()
	r.renewed = append(r.renewed, renewal{slices.Clone(ls), lease, full, time.Now()})
	r.mu.Unlock()
	if err := r.fails(); err != nil {
		return nil, err
	}
	out := make([]rqcompat.Answer[rqcompat.LeaseState], len(ls))
	for i, l := range ls {
		out[i].Result, out[i].Err = r.state[l.ID], r.oddity(l.ID)
	}
	if r.asked != nil {
		r.asked()
	}
	return out, nil
}

func (r *redis) DataMark(context.Context) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mark, r.err
}

// empty has Redis lose everything.
func (r *redis) empty() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mark += "!"
	r.copies = nil
}

func (r *redis) Restore(_ context.Context, rs []rqcompat.Restore, _ time.Duration) ([]rqcompat.Answer[rqcompat.RestoreResult], error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]rqcompat.Answer[rqcompat.RestoreResult], len(rs))
	for i, one := range rs {
		r.restored = append(r.restored, one)
		delete(r.state, one.Lease.ID)
		if out[i].Result = rqcompat.Restored; r.lost[one.Lease.ID] {
			out[i].Result = rqcompat.RestoreLost
		}
	}
	return out, r.err
}

func (r *redis) FetchSmall(_ context.Context, ids []string, _ int) ([]*rqcompat.FetchResult, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*rqcompat.FetchResult, len(ids))
	for i, id := range ids {
		out[i] = &rqcompat.FetchResult{Job: r.copies[id]}
	}
	return out, r.err
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
	r.mu.Lock()
	defer r.mu.Unlock()
	r.beats = append(r.beats, len(ws))
	return nil
}

func (r *redis) Deregister(_ context.Context, ws []*rqcompat.Worker) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone += len(ws)
	return nil
}

// fenceText is what the row of an attempt that began at t has.
func fenceText(t time.Time) string { return t.Format("2006-01-02 15:04:05.000000") }
