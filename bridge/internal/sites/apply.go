package sites

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Subject names a row to observers. It never changes.
type Subject struct {
	Site, Name, JobType, Organization, Owner string
	// Batch is the one that it belongs to, "" for none.
	Batch string
}

// subjectOf names a site's row.
func subjectOf(site string, row *rows.BackgroundJob) Subject {
	return Subject{Site: site, Name: row.Name, JobType: row.JobType, Organization: row.Organization, Owner: row.OwnerUser, Batch: row.Batch}
}

// Moved is a committed move as observers see it.
type Moved struct {
	Subject
	From, To rows.Status
	Modified string // the row's time stamp as the desk compares it
	// Written has what this move wrote: output, error, progress message, time of the next retry.
	Written rows.BackgroundJob
	// Withheld says that what the job has come to is left out, and nobody is to hear of its end yet.
	Withheld bool
}

// Progressed is a committed report of a running row.
type Progressed struct {
	Subject
	Percent float64
	Message string
	At      string // in the site's time, as the desk writes it
}

// Observer is told of what was committed, in order per row. It must not block.
type Observer interface {
	Moved(Moved)
	Progressed(Progressed)
}

// writer writes the rows of one site.
type writer struct {
	site    *frappe.Site
	db      *rows.DB
	checked time.Time // when it was last looked whether the site still has this database
	// Starts have batches of their own: they must not wait for the slower transaction of jobs that end.
	starts, ends *batch.Batcher[rows.Transition, rows.TransitionResult]
	arrivals     *batch.Batcher[rows.NewJob, *rows.BackgroundJob]
	// creating is held by whoever makes rows: others would wait for him in the database, each with a connection.
	creating  chan struct{}
	access    *access.Directory
	standings *batch.Batcher[access.Identity, access.Standing]
	origins   *batch.Batcher[string, string]
}

// rowBatch is how many rows share one transaction at most: enough to make commits cheap, few enough for short locks.
const rowBatch = 100

// writer opens a site's rows on first use.
func (s *Sites) writer(ctx context.Context, name string) (*writer, error) {
	site, err := s.Site(name)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	s.mu.Lock()
	w := s.writers[name]
	fresh := w != nil && now.Sub(w.checked) < lookEvery
	s.mu.Unlock()
	if fresh {
		return w, nil
	}
	db, err := s.Pool.DB(ctx, name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A changed site_config.json makes a new pool.
	if w := s.writers[name]; w != nil && w.db == db {
		w.checked = now
		return w, nil
	}
	w = &writer{site: site, db: db, checked: now, access: access.New(db), creating: make(chan struct{}, 1)}
	write := func(ctx context.Context, ts []rows.Transition) ([]rows.TransitionResult, error) {
		results, err := db.Transition(ctx, ts)
		s.wrote(ctx, name, err)
		s.forgetDocuments(ctx, site, ts, results)
		return results, err
	}
	w.starts = &batch.Batcher[rows.Transition, rows.TransitionResult]{Limit: rowBatch, Call: write, Shared: rows.OfServer}
	w.ends = &batch.Batcher[rows.Transition, rows.TransitionResult]{Limit: rowBatch, Call: write, Shared: rows.OfServer}
	w.arrivals = &batch.Batcher[rows.NewJob, *rows.BackgroundJob]{
		Limit: rowBatch, Shared: rows.OfServer,
		Call: func(ctx context.Context, js []rows.NewJob) ([]*rows.BackgroundJob, error) {
			made, err := db.CreateOrFindJobs(ctx, js)
			s.wrote(ctx, name, err)
			return made, err
		},
		Large: isLarge,
	}
	w.standings = &batch.Batcher[access.Identity, access.Standing]{Limit: rowBatch, Call: w.access.Standings, Shared: rows.OfServer}
	w.origins = &batch.Batcher[string, string]{Limit: rowBatch, Call: origins(db), Shared: rows.OfServer}
	s.writers[name] = w
	return w, nil
}

func isLarge(j rows.NewJob) bool { return len(j.InputParameters) > wait.LargeItem }

// Arrive gives a job that came without a row one, or finds the one that an earlier delivery got.
func (s *Sites) Arrive(ctx context.Context, site string, j rows.NewJob) (*rows.BackgroundJob, error) {
	w, err := s.writer(ctx, site)
	if err != nil {
		return nil, err
	}
	if !isLarge(j) { // which nobody shares a transaction with
		if err := w.db.CheckJob(ctx, j); err != nil {
			return nil, withCure(site, err)
		}
	}
	row, err := w.arrivals.Do(ctx, j)
	return row, withCure(site, err)
}

// Apply commits a move, then does what RQ has to know of it, then tells the observers: in that order, so that whoever
// hears of a move finds Redis up to date, and a crash in between leaves a row that is ahead of its delivery and never
// the reverse. then may be nil; its error is returned and doesn't undo the row.
//
// The result says whether the row was moved; one that somebody else moved first is no error, and neither then nor the
// observers are called. The errors are a *moves.TransitionError and those of rows.DB.Transition.
func (s *Sites) Apply(ctx context.Context, m moves.Move, then func(context.Context) error) (rows.TransitionResult, error) {
	if err := m.Check(); err != nil {
		return rows.TransitionResult{}, err
	}
	w, err := s.writer(ctx, m.Site)
	if err != nil {
		return rows.TransitionResult{}, err
	}
	lane := w.ends
	if m.To == rows.StatusRunning {
		lane = w.starts
	}
	s.schedule(ctx, m)
	result, err := lane.Do(ctx, m.Transition)
	if err = errors.Join(err, result.Err); err != nil || !result.Applied {
		return result, withCure(m.Site, err)
	}
	m.Applied(result)
	if then != nil {
		err = then(ctx)
	}
	s.tell(Moved{Subject: subjectOf(m.Site, m.Row), From: m.From, To: m.To, Modified: result.Modified, Written: m.Written(), Withheld: m.Withheld})
	return result, err
}

// schedule takes down the retry that a move announces, before anybody can see the row.
func (s *Sites) schedule(ctx context.Context, m moves.Move) {
	at := m.Written().NextRetryAt
	if at.IsZero() || s.Schedule == nil {
		return
	}
	pause := time.Until(at) // by this machine's clock
	if err := s.Schedule.note(ctx, m.Site, m.Name, s.Schedule.Now(ctx).Add(pause)); err != nil {
		s.Log.Info("retry isn't in Redis; it is due by the local time in its row", "error", err, "site", m.Site, "job", m.Name)
	}
}

// Tell is for a row that was created in the state it has: no move, but observers hear of it as of one.
func (s *Sites) Tell(site string, row *rows.BackgroundJob, from rows.Status) {
	s.tell(Moved{Subject: subjectOf(site, row), From: from, To: row.Status, Modified: row.ModifiedRaw})
}

func (s *Sites) tell(m Moved) {
	for _, o := range s.observers {
		o.Moved(m)
	}
}

// Report is a progress report that is to be written: of a row, for the attempt that it still has to belong to.
type Report struct {
	Subject
	rows.Progress
}

// WriteProgress writes the reports of one site and tells observers of those whose row is still their attempt's. There is
// an error for each report, nil if it was written or comes too late.
func (s *Sites) WriteProgress(ctx context.Context, site string, reports []Report) []error {
	w, err := s.writer(ctx, site)
	if err != nil {
		return slices.Repeat([]error{err}, len(reports))
	}
	writes := make([]rows.Progress, len(reports))
	for i, r := range reports {
		writes[i] = r.Progress
	}
	errs := make([]error, len(reports))
	for i, running := range batch.Split(ctx, writes, rows.OfServer, w.db.SetProgress) {
		if errs[i] = running.Err; !running.Result {
			continue
		}
		r := reports[i]
		p := Progressed{Subject: r.Subject, Percent: r.Percent, Message: r.Message, At: DeskTime(w.db.Now())}
		for _, o := range s.observers {
			o.Progressed(p)
		}
	}
	return errs
}

// DeskTime is how Frappe writes a datetime: str(datetime) with microseconds.
func DeskTime(t time.Time) string { return t.Format("2006-01-02 15:04:05.000000") }

// forgetDocuments removes moved rows from Frappe's document cache.
func (s *Sites) forgetDocuments(ctx context.Context, site *frappe.Site, ts []rows.Transition, results []rows.TransitionResult) {
	var names []string
	for i, r := range results {
		if r.Applied {
			names = append(names, ts[i].Name)
		}
	}
	if len(names) > 0 && s.Cache != nil {
		s.documents.forget(ctx, site.DBName(), names)
	}
}
