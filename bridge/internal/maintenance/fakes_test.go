package maintenance

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
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

const site = "a.example.com"

var (
	errBroken = errors.New("broken connection")
	queues    = []job.Queue{{Name: "b:go", Kind: "go", Own: true}, {Name: "b:default", Kind: "default"}}
)

// bench is the rows of sites, with the contract of sites.Sites, and what happens to them and in RQ, in order.
type bench struct {
	names []string
	// noted are sites whose errors are in the log already.
	noted    map[string]bool
	types    map[string]*rows.JobType
	rows     map[string]*rows.BackgroundJob // the truth, by name
	delivers map[string]bool                // names of rows that RQ has a job for
	arrivals map[sites.Arrival]string       // names of rows, by what they were made for
	due      map[string][]*rows.BackgroundJob
	pending  map[string]map[string]time.Time // Pending rows that are due, by site
	soonest  map[string]time.Time            // when each site has something due, as the schedule says
	stale    map[string][]*rows.BackgroundJob
	// unsettled says that Redis has just lost data.
	unsettled bool
	finished  map[string]bool  // rows whose job has finished in RQ
	errs      map[string]error // of reading a site
	applyErr  map[string]error // of moving a row

	mu     sync.Mutex
	story  []string
	asked  []string
	behind []rows.Place // what Stale was asked from
	moves  []moves.Move
	dealt  []string // the due rows that were dealt with
	log    bytes.Buffer
}

func newBench() *bench {
	return &bench{
		names: []string{site}, noted: map[string]bool{},
		types: map[string]*rows.JobType{"export": {TypeName: "export", Enabled: true}, "python": {TypeName: "python", Enabled: true}},
		rows:  map[string]*rows.BackgroundJob{}, delivers: map[string]bool{}, arrivals: map[sites.Arrival]string{},
		due: map[string][]*rows.BackgroundJob{}, stale: map[string][]*rows.BackgroundJob{},
		pending: map[string]map[string]time.Time{}, soonest: map[string]time.Time{}, errs: map[string]error{}, applyErr: map[string]error{}, finished: map[string]bool{},
	}
}

// add puts a row into the table and returns it as it was read.
func (b *bench) add(name string, status rows.Status, change ...func(*rows.BackgroundJob)) *rows.BackgroundJob {
	row := &rows.BackgroundJob{Name: name, JobType: "export", Status: status, MaxRetries: 3}
	for _, c := range change {
		c(row)
	}
	b.rows[name] = row
	read := *row
	return &read
}

func (b *bench) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (b *bench) tell(format string, args ...any) {
	b.mu.Lock()
	b.story = append(b.story, fmt.Sprintf(format, args...))
	b.mu.Unlock()
}

func (b *bench) wantStory(t *testing.T, what string, want ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.story, want) {
		t.Errorf("%s:\n%s\nwant\n%s\nlog:\n%s", what, strings.Join(b.story, "\n"), strings.Join(want, "\n"), b.log.String())
	}
}

func (b *bench) wantLog(t *testing.T, want string) {
	t.Helper()
	if !strings.Contains(b.log.String(), want) {
		t.Errorf("the log lacks %q:\n%s", want, b.log.String())
	}
}

func (b *bench) Names() ([]string, error)            { return b.names, b.errs[""] }
func (b *bench) IsNoted(site string, err error) bool { return b.noted[site] && err == b.errs[site] }

func (b *bench) JobTypes(_ context.Context, site string) (map[string]*rows.JobType, error) {
	return b.types, b.errs["types"]
}

func (b *bench) RowOfArrival(_ context.Context, site string, a sites.Arrival) (*rows.BackgroundJob, error) {
	if err := b.errs[site]; err != nil {
		return nil, err
	}
	if row := b.rows[b.arrivals[a]]; row != nil {
		read := *row
		return &read, nil
	}
	return nil, rows.ErrNoSuchJob
}

func (b *bench) Soonest(context.Context) (map[string]time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	soonest := map[string]time.Duration{}
	for name, at := range b.soonest {
		soonest[name] = time.Until(at)
	}
	return soonest, b.errs["soonest"]
}

// Due gives up to a hundred rows that are due.
func (b *bench) Due(_ context.Context, site string, handled func(map[string]*rows.JobType) []string, text bool) (sites.Due, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, fmt.Sprint(site, " ", handled(b.types), " ", text))
	n := min(len(b.due[site]), 100)
	due := sites.Due{Retries: b.due[site][:n], Pending: b.pending[site]}
	b.due[site], b.pending[site] = b.due[site][n:], nil
	return due, b.errs[site]
}

func (b *bench) Dealt(_ context.Context, _ string, _ sites.Due, names []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dealt = append(b.dealt, names...)
	return nil
}

func (b *bench) Stuck(_ context.Context, site string, statuses []rows.Status, behind rows.Place, age time.Duration, limit int) ([]*rows.BackgroundJob, error) {
	return nil, nil
}

func (b *bench) Stale(_ context.Context, site string, behind rows.Place, age time.Duration, limit int) ([]*rows.BackgroundJob, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, fmt.Sprint(site, " ", age, " ", limit))
	b.behind = append(b.behind, behind)
	return b.stale[site], b.errs[site]
}

func (b *bench) Apply(ctx context.Context, m moves.Move, then func(context.Context) error) (rows.TransitionResult, error) {
	if err := errors.Join(m.Check(), b.applyErr[m.Name]); err != nil {
		return rows.TransitionResult{}, err
	}
	row := b.rows[m.Name]
	switch {
	case row == nil:
		return rows.TransitionResult{Missing: true}, nil
	case row.Status != m.From, m.ByHand && row.ModifiedRaw != m.AsOf:
		return rows.TransitionResult{Current: row.Status}, nil
	case row.Status == rows.StatusRunning && row.StartedRaw != m.Fence:
		return rows.TransitionResult{Current: row.Status, Fenced: true}, nil
	}
	b.mu.Lock()
	b.moves = append(b.moves, m)
	b.mu.Unlock()
	path := string(m.To)
	if m.Via != "" {
		path = string(m.Via) + " > " + path
	}
	b.tell("row %s %s > %s", m.Name, m.From, path)
	truth := m
	truth.Row = row
	result := rows.TransitionResult{Applied: true, Current: m.To, Modified: "now"}
	if m.To == rows.StatusRunning {
		result.StartedRaw = fenceText(m.StartedAt)
	}
	truth.Applied(result)
	m.Applied(result)
	var err error
	if then != nil {
		err = then(ctx)
	}
	b.tell("observers %s", m.To)
	return result, err
}

// deliver is a Deliver that tells.
func (b *bench) deliver(ctx context.Context, site string, row *rows.BackgroundJob) error {
	if _, limited := ctx.Deadline(); !limited || ctx.Err() != nil {
		b.tell("a delivery without a limit of its own, or without time: %v", ctx.Err())
	}
	b.tell("deliver %s %s which is %s", site, row.Name, row.Status)
	return b.errs["deliver"]
}

// fenceText is what the row of an attempt that began at t has.
func fenceText(t time.Time) string { return t.Format("2006-01-02 15:04:05.000000") }
