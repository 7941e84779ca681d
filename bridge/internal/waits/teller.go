package waits

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	// tellEvery is how often a site's rows are looked at where some wait; of many sites where none did less often.
	tellEvery = 5 * time.Second
	// tellAge is how long a row must have waited.
	tellAge = 5 * time.Second
	// tellOldest is how many rows of a site are looked at then of those that have waited longest, since who waits for more
	// than its turn becomes the oldest; tellWalk how many of a walk through all of them. Nothing grows with their number.
	tellOldest = 100
	tellWalk   = 300
)

// TellerParams are what a Teller needs.
type TellerParams struct {
	Explainer
	Rows interface {
		Names() ([]string, error)
		IsNoted(site string, err error) bool
		Waiting(ctx context.Context, site string, behind rows.Place, age time.Duration, limit int) ([]*rows.BackgroundJob, error)
		SetWaitingFor(ctx context.Context, site string, why map[string]string) error
	}
	// Deliveries reads the RQ jobs that bring rows; sites.Courier.DeliveriesOf does it.
	Deliveries func(ctx context.Context, site string, all []*rows.BackgroundJob) ([]*rqcompat.Job, error)
	// Process is this process's name: of several the oldest tells.
	Process string
}

// Teller writes into rows what they wait for. The words go with the move that ends the waiting.
type Teller struct {
	TellerParams

	rota sites.Rota

	mu      sync.Mutex
	places  map[string]rows.Place // by site: up to where it was walked
	waiting map[string]bool       // the sites where rows waited at the last look
}

// NewTeller prepares a teller.
func NewTeller(p TellerParams) *Teller {
	return &Teller{TellerParams: p, places: map[string]rows.Place{}, waiting: map[string]bool{}}
}

// Do tells the rows of the sites whose time has come, if this is the oldest process.
func (t *Teller) Do(ctx context.Context) error {
	names, err := t.Rows.Names()
	if err != nil {
		return err
	}
	due := t.rota.Due(time.Now(), names, func(site string) time.Duration {
		if t.waiting[site] {
			return tellEvery
		}
		return sites.OfMany(len(names), tellEvery)
	})
	if len(due) == 0 {
		return nil
	}
	around, err := t.LookAround(ctx)
	if err != nil || !rqcompat.IsOldest(around.Processes, t.Process) {
		return err
	}
	return sites.Visit(due, t.Rows.IsNoted, func(site string) error { return t.tell(ctx, around, site) })
}

// tell tells some rows of one site.
func (t *Teller) tell(ctx context.Context, around Around, site string) error {
	waiting, err := t.some(ctx, site)
	t.mu.Lock()
	t.waiting[site] = len(waiting) > 0
	t.mu.Unlock()
	if err != nil || len(waiting) == 0 {
		return err
	}
	why, err := t.why(ctx, around, site, waiting)
	if err != nil {
		return err
	}
	changed := map[string]string{}
	for i, row := range waiting {
		if why[i] != row.WaitingFor {
			changed[row.Name] = why[i]
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return t.Rows.SetWaitingFor(ctx, site, changed)
}

// why says what each of the rows waits for, "" for its turn. Of one whose delivery isn't found only policy says something:
// that it has none is mended, within a minute, by whoever finds that out.
func (t *Teller) why(ctx context.Context, around Around, site string, waiting []*rows.BackgroundJob) ([]string, error) {
	jobs, err := t.Deliveries(ctx, site, waiting)
	if err != nil {
		return nil, err
	}
	why := make([]string, len(waiting))
	first := func(i int, reasons []Reason) {
		if len(reasons) > 0 && reasons[0].Rule != ruleSlots {
			why[i] = reasons[0].Why
		}
	}
	var ws []Waiting
	var of []int
	for i, row := range waiting {
		inserted := jobs[i] == nil && row.Status == rows.StatusPending
		if !inserted && (jobs[i] == nil || jobs[i].Status.Ended()) {
			first(i, t.byPolicy(ctx, site, row))
			continue
		}
		ws, of = append(ws, Waiting{Site: site, Row: row, Job: jobs[i], Zone: row.Creation.Location()}), append(of, i)
	}
	reasons, err := t.Explain(ctx, around, ws)
	for n, i := range of {
		if err == nil {
			first(i, reasons[n])
		}
	}
	return why, err
}

// some reads the oldest rows of a site, and the next of its walk.
func (t *Teller) some(ctx context.Context, site string) ([]*rows.BackgroundJob, error) {
	oldest, err := t.Rows.Waiting(ctx, site, rows.Place{}, tellAge, tellOldest)
	if err != nil || len(oldest) < tellOldest {
		t.walked(site, rows.Place{})
		return oldest, err
	}
	t.mu.Lock()
	behind, walking := t.places[site]
	t.mu.Unlock()
	if !walking {
		behind = oldest[len(oldest)-1].Place()
	}
	next, err := t.Rows.Waiting(ctx, site, behind, tellAge, tellWalk)
	if err != nil {
		return nil, err
	}
	if len(next) < tellWalk {
		t.walked(site, rows.Place{})
	} else {
		t.walked(site, next[len(next)-1].Place())
	}
	told := map[string]bool{}
	for _, row := range oldest {
		told[row.Name] = true
	}
	next = slices.DeleteFunc(next, func(row *rows.BackgroundJob) bool { return told[row.Name] })
	return append(oldest, next...), nil
}

// walked notes up to where a site was walked; the zero place begins anew.
func (t *Teller) walked(site string, place rows.Place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if place == (rows.Place{}) {
		delete(t.places, site)
		return
	}
	t.places[site] = place
}
