package byhand

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const site = "a.example.com"

// bench is one site whose rows are in memory, and RQ.
type bench struct {
	t testing.TB
	*Hands
	limits *policy.Limits

	mu              sync.Mutex
	rows            map[string]*rows.BackgroundJob
	log             map[string][]rows.LogEntry
	clock           int
	types           map[string]*rows.JobType
	orgs            map[string]bool
	managers        map[string]bool
	members         map[string]string // user → organization
	ofApp, noObject bool
	maintained,
	stale bool // stale: Forget has not been called, and the Job Types are those of before
	away      error // of the database
	redisAway error
	reads     int
	starts    []time.Time
	elsewhere []string
	// done is what RQ was asked for, as "deliver JOB-1".
	done []string
	mark time.Time
	// places are taken in the only sliding window.
	places []string
	// runAfter is what the schedule was told, walked where looks went on.
	runAfter map[string]time.Time
	walked   []rows.Place
}

func newBench(t testing.TB) *bench {
	b := &bench{
		t: t, runAfter: map[string]time.Time{}, rows: map[string]*rows.BackgroundJob{}, log: map[string][]rows.LogEntry{},
		types: map[string]*rows.JobType{"export": {TypeName: "export", Enabled: true, DefaultPriority: "High", DefaultTimeout: 60, MaxRetries: 2}},
		orgs:  map[string]bool{"ORG-A": true, "ORG-B": true}, managers: map[string]bool{"Administrator": true, "sue": true}, members: map[string]string{"jane": "ORG-A", "joe": "ORG-B"},
	}
	b.limits = &policy.Limits{
		Places: b, IsManager: func(_ context.Context, _, user string) (bool, error) { return b.managers[user], nil },
		Count: func(context.Context, string, string, int) (int, error) { return len(b.rows), nil },
	}
	b.Hands = New(Params{
		Rows: b, RQ: b, Handled: func(types map[string]*rows.JobType) []string { return slices.Collect(maps.Keys(types)) },
		Ask: policy.New(b, policy.Options{}).Ask, Grace: 10 * time.Second, Source: "us", Marks: b, Log: slog.New(slog.DiscardHandler),
		Limits: b.limits,
	})
	return b
}

// tick gives each write a `modified` of its own.
func (b *bench) tick() string {
	b.clock++
	return fmt.Sprintf("2026-03-01 10:00:00.%06d", b.clock)
}

// insert is somebody's insert.
func (b *bench) insert(name string, j rows.BackgroundJob) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j.Name, j.ModifiedRaw, j.ModifiedBy, j.Creation, j.Modified = name, b.tick(), j.Owner, time.Now(), time.Now()
	b.rows[name] = &j
}

// submission is what a plain insert leaves.
func submission(owner string) rows.BackgroundJob {
	return rows.BackgroundJob{
		JobType: "export", Organization: "ORG-A", Owner: owner, OwnerUser: owner, Status: rows.StatusPending,
		Priority: "Normal", TimeoutSeconds: 300, MaxRetries: 5,
	}
}

// left is a row that the engine left in a state.
func (b *bench) left(name string, in rows.Status) {
	j := submission("jane")
	j.Status, j.StartedRaw, j.StartedAt = in, "2026-03-01 10:00:00.000001", time.Date(2026, 3, 1, 10, 0, 0, 1000, time.UTC)
	b.insert(name, j)
	b.rows[name].CanceledAt = j.StartedAt
	b.log[name] = []rows.LogEntry{{Job: name, ToStatus: in}}
}

// save is somebody's save.
func (b *bench) save(name, user string, change func(*rows.BackgroundJob)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b.rows[name])
	b.rows[name].ModifiedRaw, b.rows[name].ModifiedBy, b.rows[name].Modified = b.tick(), user, time.Now()
}

func (b *bench) row(name string) rows.BackgroundJob {
	b.mu.Lock()
	defer b.mu.Unlock()
	return *b.rows[name]
}

// path is what a row's log says.
func (b *bench) path(name string) (path []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.log[name] {
		path = append(path, fmt.Sprintf("%s>%s %s %s", e.FromStatus, e.ToStatus, e.Actor, e.Message))
	}
	return path
}

func (b *bench) Names() ([]string, error) { return []string{site}, nil }
func (b *bench) Site(name string) (*frappe.Site, error) {
	if name != site {
		return nil, frappe.ErrNoSuchSite
	}
	return nil, nil
}
func (b *bench) Maintenance(string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.maintained
}
func (b *bench) IsNoted(string, error) bool { return false }
func (b *bench) Forget(context.Context, string) error {
	b.stale = false
	return nil
}

func (b *bench) Written(_ context.Context, _ string, names []string) (sites.Changes, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads++
	c := sites.Changes{Types: b.types, OfApp: b.ofApp}
	for _, name := range names {
		if row := b.rows[name]; row != nil {
			read := *row
			w := sites.Written{Row: &read, NoObject: b.noObject}
			if n := len(b.log[name]); n > 0 {
				w.Last = b.log[name][n-1]
			}
			c.Rows = append(c.Rows, w)
		}
	}
	return c, b.away
}

func (b *bench) FindWritten(_ context.Context, _ string, s sites.Search) (rows.Place, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, row := range b.rows {
		s.Written(name)
		if row.Status.Terminal() {
			s.Ended(name)
		}
	}
	b.walked = append(b.walked, s.Behind)
	return rows.Place{Name: fmt.Sprint(len(b.walked))}, b.away
}

func (b *bench) ParentsOf(_ context.Context, _ string, of []*rows.BackgroundJob) (map[string][]rows.Parent, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[string][]rows.Parent{}
	for _, row := range of {
		all[row.Name] = []rows.Parent{}
		if p := b.rows[row.DependsOn]; p != nil {
			all[row.Name] = []rows.Parent{{Name: p.Name, Status: p.Status, Organization: p.Organization}}
		}
	}
	return all, nil
}

func (b *bench) EachDependents(_ context.Context, _ string, parents []string, page func([]string)) error {
	var names []string
	b.mu.Lock()
	for name, row := range b.rows {
		if row.Status == rows.StatusPending && slices.Contains(parents, row.DependsOn) {
			names = append(names, name)
		}
	}
	b.mu.Unlock()
	if len(names) > 0 {
		page(names)
	}
	return b.away
}

func (b *bench) NoteRunAfter(_ context.Context, _ string, at map[string]time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.Copy(b.runAfter, at)
	return nil
}

// Parents implements policy.Facts; what is asked for was read before.
func (b *bench) Parents(context.Context, string, *rows.BackgroundJob) ([]rows.Parent, error) {
	return nil, errors.New("parents are read for all rows together")
}

// Batch implements policy.Facts.
func (b *bench) Batch(context.Context, string, string) (*rows.Batch, error) { return nil, nil }

// Cycle implements policy.Facts.
func (b *bench) Cycle(context.Context, string, *rows.BackgroundJob) ([]string, error) {
	return nil, nil
}

func (b *bench) Identify(_ context.Context, callers map[string][]access.Caller) map[string]sites.Identified {
	by := map[access.Caller]access.Identity{}
	for _, c := range callers[site] {
		id := access.Identity{}
		if b.managers[c.User] || b.members[c.User] != "" {
			id.User = c.User
		}
		if b.orgs[c.Organization] {
			id.Organization = c.Organization
		}
		id.Allowed = id.User != "" && (!c.Member || b.managers[c.User] || c.Organization != "" && b.members[c.User] == c.Organization)
		by[c] = id
	}
	return map[string]sites.Identified{site: {By: by}}
}

// Apply is what sites.Sites and rows.DB do.
func (b *bench) Apply(ctx context.Context, m moves.Move, then func(context.Context) error) (rows.TransitionResult, error) {
	if err := m.Check(); err != nil {
		return rows.TransitionResult{}, err
	}
	b.mu.Lock()
	row := b.rows[m.Name]
	if row == nil || row.Status != m.From || m.ByHand && row.ModifiedRaw != m.AsOf || m.Fence != "" && row.StartedRaw != m.Fence {
		b.mu.Unlock()
		return rows.TransitionResult{}, nil
	}
	from := m.From
	if m.ByHand {
		from = m.Was
	}
	if m.Via != "" {
		b.log[m.Name] = append(b.log[m.Name], rows.LogEntry{FromStatus: from, ToStatus: m.Via, Actor: m.Actor, Message: m.ViaMessage})
		from = m.Via
	}
	b.log[m.Name] = append(b.log[m.Name], rows.LogEntry{FromStatus: from, ToStatus: m.To, Actor: m.Actor, Message: m.Message})
	read := m.Row
	m.Row = row
	result := rows.TransitionResult{Applied: true, Modified: b.tick(), StartedRaw: row.StartedRaw}
	m.Applied(result)
	*read = *row
	b.mu.Unlock()
	if then == nil {
		return result, nil
	}
	return result, then(ctx)
}

func (b *bench) note(what string, row *rows.BackgroundJob) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = append(b.done, what+" "+row.Name)
	return b.redisAway
}

func (b *bench) Ready(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.redisAway
}
func (b *bench) Deliver(_ context.Context, _ string, row *rows.BackgroundJob) error {
	return b.note("deliver", row)
}
func (b *bench) Redeliver(_ context.Context, _ string, row *rows.BackgroundJob) error {
	return b.note("redeliver", row)
}
func (b *bench) Stop(_ context.Context, _ string, row *rows.BackgroundJob, was rows.Status) error {
	return b.note("stop "+string(was), row)
}
func (b *bench) Started(context.Context, string, *rows.BackgroundJob) ([]time.Time, error) {
	return b.starts, nil
}
func (b *bench) Elsewhere(_ context.Context, names ...string) (bool, error) {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(b.elsewhere, name) }), nil
}

func (b *bench) Last(context.Context, string) (time.Time, error) { return b.mark, nil }
func (b *bench) Note(_ context.Context, _ string, at time.Time) error {
	b.mark = at
	return nil
}

func (b *bench) Row(_ context.Context, _, name string) (*rows.BackgroundJob, error) {
	row := b.row(name)
	row.InputParameters = json.RawMessage(`{"large": true}`)
	return &row, nil
}

func (b *bench) ClaimHashes(_ context.Context, _ string, claims []rows.Claim) (map[string]*rows.BackgroundJob, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	there := map[string]*rows.BackgroundJob{}
	for _, c := range claims {
		for _, row := range b.rows {
			if row.JobHash == c.JobHash && row.Name != c.Name && !row.Status.Terminal() {
				there[c.Name] = row
			}
		}
		if there[c.Name] == nil {
			b.rows[c.Name].JobHash = c.JobHash
		}
	}
	return there, nil
}

// TakePlaces has one window.
func (b *bench) TakePlaces(_ context.Context, _ string, length time.Duration, limit int, who []string) (taken []bool, next time.Duration, err error) {
	for _, id := range who {
		if !slices.Contains(b.places, id) && len(b.places) < limit {
			b.places = append(b.places, id)
		}
		taken = append(taken, slices.Contains(b.places, id))
	}
	return taken, length, nil
}

func (b *bench) LeavePlaces(_ context.Context, _ string, who []string) error {
	b.places = slices.DeleteFunc(b.places, func(id string) bool { return slices.Contains(who, id) })
	return nil
}

// The policy's facts.

func (b *bench) JobTypes(context.Context, string) (map[string]*rows.JobType, error) {
	if b.stale {
		return nil, nil
	}
	return b.types, nil
}
func (b *bench) Organization(_ context.Context, _, name string) (*rows.Organization, error) {
	if !b.orgs[name] {
		return nil, rows.ErrNoSuchOrganization
	}
	return &rows.Organization{Name: name}, nil
}

func (b *bench) MayCreate(_ context.Context, _, user, doctype string) (bool, error) {
	return user == "sue", nil
}
func (b *bench) Standing(_ context.Context, _, user, organization string) (access.Standing, error) {
	return access.Standing{Enabled: true, Member: b.managers[user] || b.members[user] == organization || b.DefaultOrganization == organization}, nil
}

func (b *bench) LimitUses(context.Context, []rqcompat.Limit) ([]rqcompat.LimitUse, error) {
	return nil, nil
}
func (b *bench) Pauses(context.Context, string) (*rows.Pauses, error)      { return nil, nil }
func (b *bench) Breakers(context.Context, string) ([]*rows.Breaker, error) { return nil, nil }
func (b *bench) Clock(context.Context) time.Time                           { return time.Now() }
