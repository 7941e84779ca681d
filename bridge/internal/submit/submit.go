package submit

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/batch"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Rows is what a Submitter does with rows; *sites.Sites does it.
type Rows interface {
	Know(ctx context.Context, site string, callers []access.Caller) (sites.Known, error)
	Forget(ctx context.Context, site string) error
	Check(ctx context.Context, site string, n rows.NewJob) error
	Keyed(ctx context.Context, site string, hashes []string) (map[string]*rows.BackgroundJob, error)
	Create(ctx context.Context, site string, ns []rows.NewJob) ([]rows.Created, error)
	CreateInTx(ctx context.Context, tx *sql.Tx, site string, n rows.NewJob) (rows.Created, error)
	Statuses(ctx context.Context, site string, names []string) (map[string]rows.Status, error)
	Apply(ctx context.Context, m moves.Move, then func(context.Context) error) (rows.TransitionResult, error)
	NoteRunAfter(ctx context.Context, site string, at map[string]time.Time) error
	TakeBack(ctx context.Context, site string, jobs []*rows.BackgroundJob) error
	Tell(site string, row *rows.BackgroundJob, from rows.Status)
}

// Params are what a Submitter needs.
type Params struct {
	Rows Rows
	// Ask asks the policy.
	Ask func(context.Context, policy.Question) policy.Answer
	// Ready says why nothing can be delivered now, Deliver brings Queued rows on their way: an error for each.
	Ready   func(ctx context.Context) error
	Deliver func(ctx context.Context, site string, queued []*rows.BackgroundJob) []error
	// Limits are how many jobs may be submitted.
	Limits Limits
	// DefaultOrganization is the configuration's.
	DefaultOrganization string
}

// Limits is what a Submitter asks of *policy.Limits.
type Limits interface {
	Take(ctx context.Context, site string, types map[string]*rows.JobType, all []*policy.Submission) error
	GiveBack(ctx context.Context, site string, all []*policy.Submission) error
}

// Submitter submits jobs. Safe for concurrent use.
type Submitter struct {
	Params
	commits commits
}

// New makes a Submitter; Run delivers what was submitted in callers' transactions.
func New(p Params) *Submitter { return &Submitter{Params: p, commits: commits{came: wait.NewFlag()}} }

// together is how many jobs share a transaction and a round trip: one that makes that many keeps a site's naming series
// some milliseconds from others.
const together = 200

// Submit makes the jobs of requests, in their order on each site, and says for each what became of it. What follows a
// request that met a server that is away isn't tried, and has its error; away is the first such one. done hears how many have
// been dealt with; it may be nil.
func (s *Submitter) Submit(ctx context.Context, rs []Request, done func(n int)) (results []Result, away error) {
	results = make([]Result, len(rs))
	if err := job.Owned(ctx); err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results, err
	}
	dealtWith := 0
	var order []string
	bySite := map[string][]int{}
	for i, r := range rs {
		if bySite[r.Site] == nil {
			order = append(order, r.Site)
		}
		bySite[r.Site] = append(bySite[r.Site], i)
	}
	for _, site := range order {
		var gone error
		for some := range slices.Chunk(bySite[site], together) {
			b := &submission{Submitter: s, site: site}
			for _, i := range some {
				b.all = append(b.all, &candidate{request: rs[i], Result: &results[i]})
			}
			if gone == nil {
				gone = b.submit(ctx)
			}
			if gone != nil {
				b.fail(b.open(), gone)
				away = cmp.Or(away, gone)
			}
			if dealtWith += len(some); done != nil {
				done(dealtWith)
			}
		}
	}
	return results, away
}

// submission is requests of one site that are dealt with together.
type submission struct {
	*Submitter
	site  string
	types map[string]*rows.JobType
	all   []*candidate
}

// candidate is a request on its way to a row.
type candidate struct {
	request Request
	*Result
	rows.NewJob
	taken *policy.Submission
}

// open are those that nothing has become of yet.
func (b *submission) open() []*candidate {
	return slices.DeleteFunc(slices.Clone(b.all), func(c *candidate) bool { return c.Err != nil || c.Row != nil })
}

func (b *submission) fail(which []*candidate, err error) {
	for _, c := range which {
		c.Row, c.Created, c.Err = nil, false, err
	}
}

// submit deals with all. Its error is a server's, and also that of those that are open.
func (b *submission) submit(ctx context.Context) error {
	if err := b.judge(ctx); err != nil {
		return err
	}
	if err := b.find(ctx); err != nil {
		return err
	}
	if len(b.open()) > 0 {
		if err := b.Ready(ctx); err != nil {
			return noQueue(ctx, err)
		}
		defer b.giveBack(ctx)
		if err := b.take(ctx); err != nil {
			return err
		}
		if err := b.create(ctx); err != nil {
			return err
		}
	}
	return b.deliver(ctx)
}

// judge makes jobs of the requests that may be submitted. What one names may have been made a moment before it, while what is
// known of the site is some seconds old: before it is refused for that, it is looked up anew.
func (b *submission) judge(ctx context.Context) error {
	var callers []access.Caller
	for _, c := range b.all {
		callers = append(callers, b.Caller(c.request))
	}
	for _, last := range []bool{false, true} {
		known, err := b.Rows.Know(ctx, b.site, callers)
		if err != nil {
			return err
		}
		b.types = known.Types
		missing := false
		for _, c := range b.all {
			c.NewJob, c.Err = b.newJob(c.request, known)
			missing = missing || errors.Is(c.Err, policy.ErrNoSuchJobType) || errors.Is(c.Err, rows.ErrNoSuchOrganization) || errors.Is(c.Err, sites.ErrBadRequest)
		}
		if last || !missing {
			break
		}
		if err := b.Rows.Forget(ctx, b.site); err != nil {
			return err
		}
	}
	for _, c := range b.open() {
		c.Err = b.ask(ctx, &c.NewJob)
		if c.Err == nil {
			c.Err = b.Rows.Check(ctx, b.site, c.NewJob)
		}
	}
	return nil
}

// ask asks the policy. A job that has to wait before it is delivered is made Pending.
func (b *submission) ask(ctx context.Context, n *rows.NewJob) error {
	q := policy.About(policy.AtSubmission, b.site, row(n))
	if answer := b.Ask(ctx, q); answer.Verdict == policy.Refuse {
		return answer.Err
	}
	q.Moment = policy.AtDelivery
	switch answer := b.Ask(ctx, q); answer.Verdict {
	case policy.Refuse:
		return answer.Err
	case policy.Wait:
		n.Status, n.WaitingFor = rows.StatusPending, answer.Why
	}
	return nil
}

// create writes the rows. One that the database doesn't take harms no other.
func (b *submission) create(ctx context.Context) error {
	open := b.open()
	ns := make([]rows.NewJob, len(open))
	for i, c := range open {
		ns[i] = c.NewJob
	}
	answers := batch.Split(ctx, ns, rows.OfServer, func(ctx context.Context, ns []rows.NewJob) ([]rows.Created, error) {
		return b.Rows.Create(ctx, b.site, ns)
	})
	for i, a := range answers {
		c := open[i]
		switch {
		case a.Err == nil:
			b.created(c, a.Result)
		case rows.OfServer(a.Err):
			return a.Err
		default:
			c.Err = a.Err
		}
	}
	return nil
}

// created takes note of what a job came to. One that is there already is no error under a key.
func (b *submission) created(c *candidate, made rows.Created) {
	if made.There && c.Within != rows.Ever {
		c.Err = &policy.DuplicateError{Name: made.Row.Name, Status: made.Row.Status}
		return
	}
	c.Row, c.Created = made.Row, !made.There
}

// undoing is how long taking rows back may last when the caller doesn't wait any longer.
const undoing = 5 * time.Second

// deliver brings the rows on their way, or takes back what was made and can't be brought. If that fails too, an engine
// finds the row without a delivery.
func (b *submission) deliver(ctx context.Context) error {
	var queued []*rows.BackgroundJob
	later := map[string]time.Time{}
	for _, c := range b.all {
		if c.Created && c.Row.Status == rows.StatusPending && !c.RunAfter.IsZero() {
			later[c.Row.Name] = c.RunAfter
		}
		// One that was there may have lost its maker before its delivery.
		if c.Row != nil && c.Row.Status == rows.StatusQueued && !slices.Contains(queued, c.Row) {
			queued = append(queued, c.Row)
		}
	}
	// Should that fail, an engine finds the rows and goes by their texts.
	_ = b.Rows.NoteRunAfter(ctx, b.site, later)
	failed := map[*rows.BackgroundJob]error{}
	for i, err := range b.Deliver(ctx, b.site, queued) {
		if err != nil {
			failed[queued[i]] = err
		}
	}
	var undo []*rows.BackgroundJob
	var first error
	for _, c := range b.all {
		err := failed[c.Row]
		switch {
		case c.Row == nil:
		case err == nil && c.Created && c.Row.Status == rows.StatusQueued:
			b.Rows.Tell(b.site, c.Row, rows.StatusPending)
		case err == nil && c.Created:
			b.Rows.Tell(b.site, c.Row, "")
		case err != nil:
			if c.Created {
				undo = append(undo, c.Row)
			}
			b.fail([]*candidate{c}, err)
			first = err
		}
	}
	if len(undo) == 0 {
		return nil
	}
	undoCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoing)
	defer cancel()
	if err := b.Rows.TakeBack(undoCtx, b.site, undo); err != nil {
		return errors.Join(first, err)
	}
	return first
}

// noQueue says why nothing was submitted: Redis is away, or the caller didn't wait any longer.
func noQueue(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("nothing was submitted: %w", context.Cause(ctx))
	}
	return fmt.Errorf("job queue service is down, nothing was submitted: %w", err)
}
