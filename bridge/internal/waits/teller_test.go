package waits

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	site  = "a.example.com"
	queue = "b:go"
)

// bench is a bench whose queue nobody works, unless there are workers.
type bench struct {
	mu        sync.Mutex
	rows      []*rows.BackgroundJob // oldest first
	holds     rqcompat.Holds
	processes []rqcompat.Process
	workers   []*rqcompat.Worker
	answers   map[string]policy.Answer // by organization
	lost      map[string]bool          // rows whose delivery isn't found
	deferred  map[string]bool
	read      int
	sites     []string // beside site
	looks     int
	writes    []map[string]string
	err       error
}

func (b *bench) Holds(context.Context) (rqcompat.Holds, error)         { return b.holds, b.err }
func (b *bench) Processes(context.Context) ([]rqcompat.Process, error) { return b.processes, nil }
func (b *bench) Workers(context.Context) ([]*rqcompat.Worker, error)   { return b.workers, nil }
func (b *bench) Score(context.Context, rqcompat.Registry, string, string) (float64, bool, error) {
	return 0, false, nil
}
func (b *bench) Names() ([]string, error)         { return append([]string{site}, b.sites...), nil }
func (b *bench) IsNoted(_ string, err error) bool { return errors.Is(err, rows.ErrUnavailable) }

func (b *bench) Waiting(_ context.Context, _ string, behind rows.Place, age time.Duration, limit int) ([]*rows.BackgroundJob, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks++
	var found []*rows.BackgroundJob
	for _, row := range b.rows {
		if row.Place().Modified > behind.Modified && len(found) < limit {
			found = append(found, row)
		}
	}
	b.read += len(found)
	return found, b.err
}

func (b *bench) SetWaitingFor(_ context.Context, _ string, why map[string]string) error {
	b.writes = append(b.writes, why)
	for _, row := range b.rows {
		if text, ok := why[row.Name]; ok {
			row.WaitingFor = text
		}
	}
	return nil
}

// waiting adds n rows of an organization.
func (b *bench) waiting(n int, organization string) {
	for range n {
		b.rows = append(b.rows, &rows.BackgroundJob{
			Name: fmt.Sprintf("JOB-%06d", len(b.rows)), JobType: "export", Organization: organization, Status: rows.StatusQueued,
			ModifiedRaw: fmt.Sprintf("%06d", len(b.rows)),
		})
	}
}

func (b *bench) teller() *Teller {
	return NewTeller(TellerParams{
		Explainer: Explainer{
			RQ: b, Kind: func(queue string) string { return strings.TrimPrefix(queue, "b:") },
			Every: func(_ context.Context, q policy.Question) []policy.Answer {
				if a, ok := b.answers[q.Organization]; ok {
					return []policy.Answer{a}
				}
				return nil
			},
			JobTypes: func(context.Context, string) (map[string]*rows.JobType, error) { return nil, nil },
		},
		Rows: b, Process: "bridge-1",
		Deliveries: func(_ context.Context, _ string, all []*rows.BackgroundJob) ([]*rqcompat.Job, error) {
			found := make([]*rqcompat.Job, len(all))
			for i, row := range all {
				switch {
				case b.lost[row.Name]:
				case b.deferred[row.Name]:
					found[i] = &rqcompat.Job{Origin: queue, Status: rqcompat.StatusDeferred, DependencyIDs: []string{"first"}}
				default:
					found[i] = &rqcompat.Job{Origin: queue, Status: rqcompat.StatusQueued}
				}
			}
			return found, nil
		},
	})
}

func (b *bench) told() (lines []string) {
	for _, row := range b.rows {
		lines = append(lines, row.WaitingFor)
	}
	return lines
}

// TestManySitesAreLookedAtInTurns: a quiet bench of a thousand sites costs twenty looks a second at most.
func TestManySitesAreLookedAtInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{processes: []rqcompat.Process{{Name: "bridge-1"}}}
		for i := range 1000 {
			b.sites = append(b.sites, fmt.Sprint("site", i))
		}
		teller := b.teller()
		for range 200 {
			if err := teller.Do(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if b.looks < 3800 || b.looks > 4200 {
			t.Errorf("in 200 s the rows of sites were looked at %d times, want about 4,000", b.looks)
		}
	})
}

var held = policy.Answer{Verdict: policy.Wait, Rule: "organization", Why: "organization ORG-B is suspended"}

// TestRowsAreToldWhatTheyWaitFor, the decisive thing, and nothing once it is only their turn; what is told isn't written again.
func TestRowsAreToldWhatTheyWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{
			answers: map[string]policy.Answer{"ORG-B": held}, processes: []rqcompat.Process{{Name: "bridge-1"}, {Name: "bridge-2"}},
			lost: map[string]bool{"JOB-000001": true, "JOB-000003": true}, deferred: map[string]bool{"JOB-000004": true},
		}
		b.waiting(2, "ORG-A")
		b.waiting(2, "ORG-B")
		b.waiting(1, "ORG-A")
		b.waiting(1, "ORG-A")
		b.rows[5].Status, b.lost["JOB-000005"] = rows.StatusPending, true
		teller := b.teller()
		look := func(what string, want ...string) {
			t.Helper()
			time.Sleep(tellEvery)
			if err := teller.Do(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, b.told()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		const nobody, first = "nobody works queue go", "it waits for the end of first"
		const inserted = "it waits for a bridge that has a handler for export: none that runs has one"
		look("nobody works", nobody, "", nobody, held.Why, first, inserted)
		look("still", nobody, "", nobody, held.Why, first, inserted)
		if len(b.writes) != 1 {
			t.Errorf("%d writes, want one: %v", len(b.writes), b.writes)
		}
		b.holds.Paused = []string{queue}
		b.workers = []*rqcompat.Worker{{Name: "python", Queues: []string{queue}}}
		const paused = "queue go is paused for bridges (bridge resume go ends that)"
		look("paused", paused, "", paused, held.Why, first, inserted)
		b.holds.Paused, b.answers = nil, nil
		look("nothing", "", "", "", "", first, inserted)
		if last := b.writes[len(b.writes)-1]; len(last) != 3 {
			t.Errorf("the last write is %v, want the three whose waiting for something is over", last)
		}

	})
}

// TestTheOldestProcessTells, and no other.
func TestTheOldestProcessTells(t *testing.T) {
	b := &bench{processes: []rqcompat.Process{{Name: "bridge-0"}, {Name: "bridge-1"}}}
	b.waiting(1, "ORG-A")
	if err := b.teller().Do(t.Context()); err != nil || b.read > 0 {
		t.Errorf("a younger process reads %d rows, %v", b.read, err)
	}
	b.err = fmt.Errorf("redis: %w", errors.ErrUnsupported)
	if err := b.teller().Do(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
}

// TestAHundredThousandWait: each look reads a bounded number and tells the oldest at once; the others' turn comes.
func TestAHundredThousandWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{processes: []rqcompat.Process{{Name: "bridge-1"}}, workers: []*rqcompat.Worker{{Name: "python", Queues: []string{queue}}}}
		b.waiting(1, "ORG-B")
		b.waiting(1000, "ORG-A")
		b.waiting(1, "ORG-B")
		b.answers = map[string]policy.Answer{"ORG-B": held}
		teller := b.teller()
		for i := range 12 {
			b.read = 0
			time.Sleep(tellEvery)
			if err := teller.Do(t.Context()); err != nil {
				t.Fatal(err)
			}
			if b.read > tellOldest+tellWalk {
				t.Errorf("look %d reads %d rows", i, b.read)
			}
			if i == 0 && b.rows[0].WaitingFor == "" {
				t.Error("the oldest isn't told at once")
			}
		}
		var told []string
		for _, w := range b.writes {
			told = slices.AppendSeq(told, maps.Keys(w))
		}
		if diff := cmp.Diff([]string{"JOB-000000", "JOB-001001"}, told); diff != "" {
			t.Errorf("written (-want +got):\n%s", diff)
		}

	})
}
