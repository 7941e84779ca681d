package bridge

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/attempt"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/waits"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	// histories is how many the simulation makes, of how many steps.
	histories, steps = 10_000, 40
	// askedPause is the one that errors ask for that name one, mostKills how many workers a job may take down.
	askedPause = 7 * time.Second
	mostKills  = 3
)

// delivery is the RQ job of a row, as far as it matters here.
type delivery struct {
	started   bool
	startedAt time.Time
	kills     int
	// attempt is the handler that runs; it goes on after its worker has been given up.
	attempt *simulatedAttempt
}

type simulatedAttempt struct {
	row   *rows.BackgroundJob
	cause error
	dead  bool // its process is gone, or frozen
}

// world is a site on which everything happens that may.
type world struct {
	simulatedRows
	*rand.Rand
	chain      policy.Chain
	facts      *simulatedFacts
	deliveries map[string]*delivery
	zombies    []*simulatedAttempt
	taken      time.Time
	mended     bool
}

// simulatedFacts are what the rules are told; rules that want to know more find nothing here, and say so.
type simulatedFacts struct {
	policy.Facts
	rows                  *simulatedRows
	maintenance, disabled bool
	left                  bool      // the owner has left the organization
	paused                bool      // the Job Type
	breaker               time.Time // until when it is open
	status                string    // of the organization; "" for one that is gone
}

func (f *simulatedFacts) Maintenance(string) bool { return f.maintenance }
func (f *simulatedFacts) JobTypes(context.Context, string) (map[string]*rows.JobType, error) {
	return map[string]*rows.JobType{"export": {TypeName: "export", Enabled: !f.disabled}}, nil
}
func (f *simulatedFacts) Organization(context.Context, string, string) (*rows.Organization, error) {
	if f.status == "" {
		return nil, rows.ErrNoSuchOrganization
	}
	return &rows.Organization{Name: "ORG-A", Status: f.status}, nil
}
func (f *simulatedFacts) MayCreate(context.Context, string, string, string) (bool, error) {
	return true, nil
}
func (f *simulatedFacts) Standing(context.Context, string, string, string) (access.Standing, error) {
	return access.Standing{Enabled: true, Member: !f.left}, nil
}
func (f *simulatedFacts) Pauses(context.Context, string) (*rows.Pauses, error) {
	if !f.paused {
		return nil, nil
	}
	return rows.NewPauses([]*rows.Pause{{Kind: rows.PauseJobType, JobType: "export", PausedBy: "jane@example.com"}}), nil
}
func (f *simulatedFacts) Breakers(context.Context, string) ([]*rows.Breaker, error) {
	if f.breaker.IsZero() {
		return nil, nil
	}
	return []*rows.Breaker{{
		Name: "B-1", JobType: "export", Organization: "ORG-A", Status: rows.BreakerOpen, UntilUTC: f.breaker.UTC().Format(time.RFC3339Nano), Failures: 8, Attempts: 10,
	}}, nil
}
func (f *simulatedFacts) Parents(_ context.Context, _ string, row *rows.BackgroundJob) ([]rows.Parent, error) {
	if row.DependsOn == "" {
		return nil, nil
	}
	parent := f.rows.read(row.DependsOn)
	return []rows.Parent{{Name: parent.Name, Organization: parent.Organization, Status: parent.Status, Creation: parent.Creation}}, nil
}
func (f *simulatedFacts) Cycle(context.Context, string, *rows.BackgroundJob) ([]string, error) {
	return nil, nil
}
func (f *simulatedFacts) Clock(context.Context) time.Time { return time.Now() }
func (f *simulatedFacts) LimitUses(context.Context, []rqcompat.Limit) ([]rqcompat.LimitUse, error) {
	return nil, nil
}

// TestSimulation makes ten thousand histories of jobs that are submitted, run, fail, are canceled, retried, taken down with
// their workers and held by what policy says, on a clock of its own: the catalogue of moves, the policy, the judgement of
// attempts and the schedule of retries are the engine's, only the servers are not. simulatedRows holds what has to be true
// after each move, finish what has to be true in the end. BRIDGE_TEST_SEED repeats one history.
func TestSimulation(t *testing.T) {
	first, n := uint64(1), histories
	if testing.Short() {
		n /= 10
	}
	if text := os.Getenv("BRIDGE_TEST_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, n = seed, 1
	}
	begun, moved, ended := time.Now(), 0, map[rows.Status]int{}
	synctest.Test(t, func(t *testing.T) {
		for i := range n {
			w := newWorld(t, first+uint64(i))
			for range steps {
				w.step()
			}
			w.finish()
			for _, row := range w.rows {
				moved += row.writes
				ended[row.Status]++
			}
			if t.Failed() {
				return
			}
		}
	})
	t.Logf("%d histories with %d changes in %s; jobs ended %v", n, moved, time.Since(begun).Round(time.Millisecond), ended)
	for _, s := range []rows.Status{rows.StatusCompleted, rows.StatusDeadLetter, rows.StatusCanceled} {
		if n >= histories/10 && ended[s] < n/10 {
			t.Errorf("only %d jobs ended %s: the histories show too little", ended[s], s)
		}
	}
}

func newWorld(t *testing.T, seed uint64) *world {
	facts := &simulatedFacts{status: rows.OrganizationActive}
	w := &world{
		Rand: rand.New(rand.NewPCG(seed, seed)), facts: facts, chain: policy.New(facts, policy.Options{}), deliveries: map[string]*delivery{},
		simulatedRows: simulatedRows{rows: map[string]*simulatedRow{}},
	}
	facts.rows = &w.simulatedRows
	w.fail = func(format string, args ...any) {
		t.Helper()
		t.Errorf("seed %d: "+format, append([]any{seed}, args...)...)
		for _, row := range w.rows {
			for _, entry := range row.log {
				t.Logf("%s %s -> %s: %s", row.Name, entry.FromStatus, entry.ToStatus, entry.Message)
			}
		}
		t.FailNow()
	}
	return w
}

func (w *world) chance(n int) bool { return w.IntN(n) == 0 }

// some is a job of the history, "" if there is none yet.
func (w *world) some() string {
	if len(w.names) == 0 {
		return ""
	}
	return w.names[w.IntN(len(w.names))]
}

// step does one thing that somebody may do at that moment.
func (w *world) step() {
	name := w.some()
	if name == "" || w.chance(8) && len(w.names) < 6 {
		w.submit()
		return
	}
	switch w.IntN(14) {
	case 0, 1:
		w.sweep()
	case 2, 3, 4:
		w.claim(name)
	case 5, 6, 7:
		w.end(name)
	case 8:
		w.kill(name)
	case 9:
		w.rescue()
	case 10:
		time.Sleep(time.Duration(w.IntN(int(5 * time.Minute))))
	case 11:
		w.byHand(name)
	case 12:
		w.change()
	case 13:
		w.late()
	}
	w.explain(name)
}

func (w *world) question(m policy.Moment, row *rows.BackgroundJob) policy.Question {
	return policy.Question{Moment: m, Site: testSite, JobType: "export", Organization: "ORG-A", User: "jane@example.com", Row: row}
}

// submit makes a row, unless it is refused; a crash may come before its delivery.
func (w *world) submit() {
	row := rows.BackgroundJob{JobType: "export", Organization: "ORG-A", OwnerUser: "jane@example.com", MaxRetries: w.IntN(6), TimeoutSeconds: 300}
	if w.chance(3) {
		row.DependsOn = w.some()
	}
	if a := w.chain.Ask(context.Background(), w.question(policy.AtSubmission, &row)); a.Verdict != policy.Go {
		return
	}
	made := w.create(row)
	if !w.chance(5) {
		w.deliver(made.Name)
	}
}

// deliver lets a Pending row leave for its queue, if policy says so.
func (w *world) deliver(name string) {
	row := w.read(name)
	if row.Status != rows.StatusPending {
		return
	}
	a := w.chain.Ask(context.Background(), w.question(policy.AtDelivery, row))
	switch a.Verdict {
	case policy.Refuse:
		w.apply(moves.Refuse(testSite, row, a.Err, time.Now()))
		return
	case policy.Wait:
		return
	}
	if w.apply(moves.ByHand(row, rows.StatusPending, func(row *rows.BackgroundJob) moves.Move { return moves.Submit(testSite, row) })).Applied {
		w.redeliver(name)
	}
}

// redeliver gives a row a delivery, but for a crash in between.
func (w *world) redeliver(name string) {
	if !w.chance(10) {
		w.deliveries[name] = &delivery{}
	}
}

// sweep is what maintenance does: Pending rows leave, retries that are due move, rows without a delivery get one.
func (w *world) sweep() {
	for _, name := range w.names {
		row := w.read(name)
		switch {
		case row.Status == rows.StatusPending:
			w.deliver(name)
		case !row.NextRetryAt.IsZero() && !time.Now().Before(row.NextRetryAt):
			if w.apply(moves.RetryDue(testSite, row)).Applied {
				w.redeliver(name)
			}
		case row.Status == rows.StatusQueued && w.deliveries[name] == nil:
			w.deliveries[name] = &delivery{}
		case row.Status == rows.StatusRunning && w.deliveries[name] == nil:
			if w.apply(moves.GiveBack(testSite, row, "Worker died")).Applied {
				w.redeliver(name)
			}
		}
	}
}

// claim takes a delivery off its queue and starts the row, or does what has to be done with one that can't be started.
func (w *world) claim(name string) {
	d := w.deliveries[name]
	if d == nil || d.started {
		return
	}
	row := w.read(name)
	if w.chain.Ask(context.Background(), w.question(policy.AtClaim, row)).Verdict == policy.Wait {
		return
	}
	// No two claims have the same instant.
	w.taken = w.taken.Add(time.Microsecond)
	if now := time.Now(); now.After(w.taken) {
		w.taken = now
	}
	d.started, d.startedAt = true, w.taken
	if !w.mended && w.chance(20) {
		w.change() // since it was claimed
	}
	a := w.chain.Ask(context.Background(), w.question(policy.AtStart, row))
	switch {
	case a.Verdict == policy.Wait:
		d.started = false
	case row.Status.Terminal() || row.Status == rows.StatusRunning:
		delete(w.deliveries, name)
	case a.Verdict == policy.Refuse:
		w.settle(row, a.Err, nil)
	case w.apply(moves.Start(testSite, row, d.startedAt, "")).Applied:
		d.attempt = &simulatedAttempt{row: row}
	}
}

// faults are what comes of attempts.
var faults = []struct{ err, cause error }{
	{nil, nil}, {nil, nil}, {errors.New("connection reset"), nil}, {errors.New("connection reset"), nil}, {Permanent(errors.New("no such file")), nil},
	{RetryAfter(askedPause, errors.New("HTTP 429")), nil}, {errors.New("context canceled"), job.ErrTimeout}, {errors.New("context canceled"), job.ErrShutdown},
	{errors.New("context canceled"), job.ErrStopped}, {errors.New("killed"), job.ErrKilled}, {nil, job.ErrTimeout},
}

// end lets the handler of a job return.
func (w *world) end(name string) {
	d := w.deliveries[name]
	if d == nil || d.attempt == nil || d.attempt.dead {
		return
	}
	fault := faults[w.IntN(len(faults))]
	if d.attempt.cause != nil {
		fault.err, fault.cause = cmp.Or(fault.err, errors.New("context canceled")), d.attempt.cause
	}
	w.settle(d.attempt.row, fault.err, fault.cause)
}

// settle moves a row to what its attempt came to, and ends the delivery as the row says. Whoever is too late changes nothing.
func (w *world) settle(row *rows.BackgroundJob, err, cause error) rows.TransitionResult {
	info := job.Info{Site: testSite, Name: row.Name, JobType: row.JobType, Organization: row.Organization, Attempt: row.RetryCount + 1, Timeout: 5 * time.Minute}
	result := w.apply(attempt.Judge(info, row, err, cause, job.RetryPolicy{}, time.Now()))
	if result.Err != nil {
		w.fail("%s: an attempt comes to what isn't legal: %v", row.Name, result.Err)
	}
	if result.Fenced || !result.Applied && result.Current == rows.StatusQueued {
		return result
	}
	delete(w.deliveries, row.Name)
	if result.Applied && result.Current == rows.StatusQueued {
		w.redeliver(row.Name)
	}
	return result
}

// explain asks why a job doesn't run: one that hasn't ended runs, is about to be claimed, or says what it waits for, and what
// policy has against it is named.
func (w *world) explain(name string) {
	row := w.read(name)
	d := w.deliveries[name]
	if row.Status.Terminal() || row.Status == rows.StatusRunning {
		return
	}
	waiting := waits.Waiting{Site: testSite, Row: row, Zone: time.UTC}
	if d != nil {
		waiting.Job = &rqcompat.Job{ID: name, Origin: "go", Status: rqcompat.StatusQueued}
	}
	e := waits.Explainer{Every: w.chain.Every, JobTypes: w.facts.JobTypes, Kind: func(queue string) string { return queue }}
	all, err := e.Explain(context.Background(), waits.Around{}, []waits.Waiting{waiting})
	if err != nil || len(all[0]) == 0 {
		w.fail("%s is %s, and nothing says why: %v", name, row.Status, err)
	}
	if a := w.chain.Ask(context.Background(), w.question(policy.AtClaim, row)); a.Verdict == policy.Wait && d != nil && row.NextRetryAt.IsZero() {
		for _, reason := range all[0] {
			if reason.Rule == a.Rule {
				return
			}
		}
		w.fail("%s waits because of %s, which isn't among %v", name, a.Rule, all[0])
	}
}

// finish mends the site and lets the engine work: every job ends.
func (w *world) finish() {
	w.mended = true
	*w.facts = simulatedFacts{rows: &w.simulatedRows, status: rows.OrganizationActive}
	for range 200 {
		left := 0
		for _, name := range w.names {
			w.claim(name)
			w.end(name)
			if !w.rows[name].Status.Terminal() {
				left++
			}
		}
		if left == 0 {
			return
		}
		w.rescue()
		w.sweep()
		time.Sleep(time.Minute)
	}
	for _, name := range w.names {
		if row := w.rows[name]; !row.Status.Terminal() {
			w.fail("%s is stuck: it is still %s when everything has been mended (delivery %+v)", name, row.Status, w.deliveries[name])
		}
	}
}
