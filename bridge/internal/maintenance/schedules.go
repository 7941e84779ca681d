package maintenance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/cron"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"golang.org/x/sync/errgroup"
)

const (
	// ScheduleDocType is the DocType whose documents say what is submitted again and again.
	ScheduleDocType = "Job Schedule"
	// schedulesEvery is how often the schedules of a site are read that has some; noneEvery of one that has none: of the first
	// that is inserted somebody tells.
	schedulesEvery = 5 * time.Second
	noneEvery      = time.Minute
	// againAfter is when a submission is tried again that met a server which is away.
	againAfter = time.Second
	// submittedAtOnce is how many schedules of a site are dealt with side by side.
	submittedAtOnce = 10
	// shownNext is how many of the next times are shown.
	shownNext = 5
)

// ScheduleRows is what Schedules does with rows; *sites.Sites does it.
type ScheduleRows interface {
	Names() ([]string, error)
	IsNoted(site string, err error) bool
	Maintenance(site string) bool
	Clock(ctx context.Context) time.Time
	Schedules(ctx context.Context, site string) ([]*rows.JobSchedule, *time.Location, error)
	PlanSchedule(ctx context.Context, site string, s *rows.JobSchedule, planned string) (won bool, err error)
}

// SchedulesParams are what Schedules needs.
type SchedulesParams struct {
	Rows ScheduleRows
	// Submit submits a schedule's job under a key: it makes one job, however often and by whomever it is called.
	Submit func(ctx context.Context, site string, s *rows.JobSchedule, key string) (job string, err error)
	// Away reports whether an error is of a server that is away: the submission is made later.
	Away func(error) bool
	Log  *slog.Logger
}

// Schedules submits the jobs of Job Schedules at their times. Any number of processes do so: a job bears the schedule's name and its
// time as its key, so that one is made, and who writes the next time into the document has won. A time that was missed is
// made up for once.
type Schedules struct {
	SchedulesParams
	lanes *batch.Lanes[string, string] // by site: names of schedules whose time has come, "" to read them anew
	woke  wait.Flag
	said  wait.Seldom
	rota  sites.Rota

	mu    sync.Mutex
	known map[string]map[string]*planned
}

// planned is a schedule and when it is next.
type planned struct {
	*rows.JobSchedule
	cron.Schedule
	zone *time.Location
	at   time.Time
	// tried is when it is tried again; busy says that it is being dealt with.
	tried time.Time
	busy  bool
}

// NewSchedules prepares the service.
func NewSchedules(p SchedulesParams) *Schedules {
	s := &Schedules{SchedulesParams: p, woke: wait.NewFlag(), known: map[string]map[string]*planned{}}
	s.lanes = batch.NewLanes(mostAsked, s.work, func(string, int) {})
	return s
}

// mostAsked bounds what a site is asked for at once: what is dropped is asked for again.
const mostAsked = 20_000

// Hear takes note of a change of a document.
func (s *Schedules) Hear(site, docType string) {
	if docType == ScheduleDocType {
		s.lanes.Add(site, "")
	}
}

// Look has the schedules of the sites read whose time has come.
func (s *Schedules) Look(context.Context) error {
	all, err := s.Rows.Names()
	if err != nil {
		return err
	}
	s.rota.Spread = sites.FirstLooks(len(all))
	for _, site := range s.rota.Due(time.Now(), all, func(site string) time.Duration {
		s.mu.Lock()
		defer s.mu.Unlock()
		if known, looked := s.known[site]; looked && len(known) == 0 {
			return sites.OfMany(len(all), noneEvery)
		}
		return sites.OfMany(len(all), schedulesEvery)
	}) {
		s.lanes.Add(site, "")
	}
	return nil
}

// Run submits jobs when their time comes, until ctx ends.
func (s *Schedules) Run(ctx context.Context) {
	var working sync.WaitGroup
	working.Go(func() { s.lanes.Run(ctx) })
	for ctx.Err() == nil {
		s.woke.Within(ctx, s.submitDue(ctx))
	}
	working.Wait()
}

// submitDue has those dealt with whose time has come, and says in which time the next one does.
func (s *Schedules) submitDue(ctx context.Context) (next time.Duration) {
	now := s.Rows.Clock(ctx)
	next = time.Minute
	s.mu.Lock()
	defer s.mu.Unlock()
	for site, known := range s.known {
		for name, p := range known {
			if p.busy { // it is its lane's
				continue
			}
			in := max(p.at.Sub(now), p.tried.Sub(now))
			if in > 0 {
				next = min(next, in)
				continue
			}
			p.busy = true
			s.lanes.Add(site, name)
		}
	}
	return next
}

// work deals with one site: its schedules are read by the same goroutine that submits, so that none changes meanwhile.
func (s *Schedules) work(ctx context.Context, site string, names []string) {
	defer s.woke.Raise()
	read := false
	var due []*planned
	slices.Sort(names)
	names = slices.Compact(names)
	s.mu.Lock()
	for _, name := range names {
		if p := s.known[site][name]; p != nil {
			p.busy = true // it may have been read anew since its time came
			due = append(due, p)
		}
		read = read || name == ""
	}
	s.mu.Unlock()
	var submitting errgroup.Group
	submitting.SetLimit(submittedAtOnce)
	for _, p := range due {
		submitting.Go(func() error {
			err := s.submit(ctx, site, p)
			s.mu.Lock()
			defer s.mu.Unlock()
			if p.busy = false; err != nil {
				p.tried = s.Rows.Clock(ctx).Add(againAfter)
			}
			return err
		})
	}
	err := submitting.Wait()
	if read {
		err = errors.Join(err, s.read(ctx, site))
	}
	if err != nil && ctx.Err() == nil && !s.Rows.IsNoted(site, err) {
		s.said.Warn(s.Log, "job schedules can't be dealt with now; it is tried again", site, "error", err, "site", site)
	}
}

// read reads the schedules of a site and plans those that are new or changed.
func (s *Schedules) read(ctx context.Context, site string) error {
	found, zone, err := s.Rows.Schedules(ctx, site)
	if err != nil && !errors.Is(err, rows.ErrTableMissing) {
		return err
	}
	now := s.Rows.Clock(ctx)
	known := map[string]*planned{}
	var errs []error
	for _, row := range found {
		p := &planned{JobSchedule: row, zone: zone}
		if plans, err := s.plan(ctx, site, p, now); err != nil {
			errs = append(errs, err)
		} else if plans {
			known[row.Name] = p
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, p := range known {
		if before := s.known[site][name]; before != nil {
			p.tried = before.tried
		}
	}
	s.known[site] = known
	return errors.Join(errs...)
}

// plan works out when a schedule is next, unless that was done for what it says. It reports whether it has a next time.
func (s *Schedules) plan(ctx context.Context, site string, p *planned, now time.Time) (bool, error) {
	before := p.Planned
	if !p.Enabled {
		if before == "" {
			return false, nil
		}
		p.NextRunAt, p.NextRuns, p.Planned = time.Time{}, "", ""
		_, err := s.Rows.PlanSchedule(ctx, site, p.JobSchedule, before)
		return false, err
	}
	var wrong error
	if p.Schedule, wrong = cron.Parse(p.JobSchedule.Schedule); wrong != nil {
		p.NextRunAt, p.NextRuns, p.Error, p.Planned = time.Time{}, "", wrong.Error(), "invalid "+p.JobSchedule.Schedule
		if before == p.Planned {
			return false, nil
		}
		_, err := s.Rows.PlanSchedule(ctx, site, p.JobSchedule, before)
		return false, err
	}
	instant, of, _ := strings.Cut(before, " ")
	if at, err := time.Parse(time.RFC3339, instant); err == nil && of == p.of() {
		p.at = at.In(p.zone)
		return true, nil
	}
	next, err := p.Next(now.In(p.zone))
	if err != nil {
		return false, err
	}
	p.Error = ""
	return true, s.put(ctx, site, p, next, before)
}

// of is what a plan was made for: another schedule or another zone of the site's needs another one.
func (p *planned) of() string { return p.zone.String() + " " + p.JobSchedule.Schedule }

// put writes the next time into the document. Who loses reads it anew.
func (s *Schedules) put(ctx context.Context, site string, p *planned, next time.Time, before string) error {
	p.at, p.NextRunAt = next, next
	p.Planned = next.UTC().Format(time.RFC3339) + " " + p.of()
	var times []string
	for at := next; len(times) < shownNext; {
		times = append(times, at.Format("2006-01-02 15:04:05 MST"))
		var err error
		if at, err = p.Next(at); err != nil {
			break
		}
	}
	p.NextRuns = strings.Join(times, "\n")
	won, err := s.Rows.PlanSchedule(ctx, site, p.JobSchedule, before)
	if err == nil && !won {
		s.lanes.Add(site, "")
	}
	return err
}

// submit submits the job of a schedule whose time has come, and plans the next.
func (s *Schedules) submit(ctx context.Context, site string, p *planned) error {
	now := s.Rows.Clock(ctx)
	if now.Before(p.at) || s.Rows.Maintenance(site) {
		return nil
	}
	next, err := p.Following(p.at, now.In(p.zone))
	if err != nil {
		return err
	}
	job, err := s.Submit(ctx, site, p.JobSchedule, fmt.Sprintf("schedule %s %s", p.Name, p.at.UTC().Format(time.RFC3339)))
	if err != nil && (ctx.Err() != nil || s.Away(err)) {
		return err
	}
	before := p.Planned
	if p.Error = ""; err == nil {
		p.LastRunAt, p.LastJob = now.In(p.zone), job
	} else {
		p.Error = p.at.Format("2006-01-02 15:04:05 MST") + ": " + err.Error()
		s.Log.Warn("the job of a schedule is refused", "site", site, "schedule", p.Name, "error", err)
	}
	return s.put(ctx, site, p, next, before)
}
