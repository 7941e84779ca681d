package submit

import (
	"context"
	"database/sql"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

const (
	// commitEvery is how often it is looked whether transactions were committed.
	commitEvery = 20 * time.Millisecond
	// commitFor is how long a transaction is looked for; what is committed later an engine finds within some seconds.
	commitFor = time.Minute
	// maxOpen bounds the rows that are looked for, likewise.
	maxOpen = 10_000
)

// commits are rows whose transactions may still be open.
type commits struct {
	mu   sync.Mutex
	open []uncommitted
	came wait.Flag
}

// uncommitted is a Pending row that nobody else sees yet.
type uncommitted struct {
	site string
	row  *rows.BackgroundJob
	// waits says that it has to wait for more than its commit.
	waits bool
	until time.Time
}

// SubmitTx makes the row of a request in a transaction of the caller's, Pending, and has it delivered once that is committed. What
// the request takes of limits stays taken if it isn't.
func (s *Submitter) SubmitTx(ctx context.Context, tx *sql.Tx, r Request) (*rows.BackgroundJob, error) {
	if err := job.Owned(ctx); err != nil {
		return nil, err
	}
	c := &candidate{request: r, Result: &Result{}}
	b := &submission{Submitter: s, site: r.Site, all: []*candidate{c}}
	if err := b.judge(ctx); err != nil || c.Err != nil {
		return nil, errorOf(err, c)
	}
	if err := s.Ready(ctx); err != nil {
		return nil, noQueue(ctx, err)
	}
	defer b.giveBack(ctx)
	if err := b.take(ctx); err != nil || c.Err != nil {
		return nil, errorOf(err, c)
	}
	waits := c.Status == rows.StatusPending
	c.Status = rows.StatusPending
	created, err := s.Rows.CreateInTx(ctx, tx, r.Site, c.NewJob)
	if err != nil {
		return nil, err
	}
	if b.created(c, created); c.Err != nil || !c.Created {
		return c.Row, c.Err
	}
	s.commits.add(uncommitted{r.Site, c.Row, waits, time.Now().Add(commitFor)})
	row := *c.Row // the caller's own
	return &row, nil
}

func errorOf(err error, c *candidate) error {
	if err != nil {
		return err
	}
	return c.Err
}

func (c *commits) add(u uncommitted) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) < maxOpen {
		c.open = append(c.open, u)
	}
	c.came.Raise()
}

// Run delivers what was submitted in transactions that are committed by now, until ctx ends.
func (s *Submitter) Run(ctx context.Context) {
	for s.commits.came.Wait(ctx) {
		for s.look(ctx) && ctx.Err() == nil {
			wait.Sleep(ctx, commitEvery)
		}
	}
}

// look delivers the rows that are there by now; it is false when none is left to look for.
func (s *Submitter) look(ctx context.Context) (more bool) {
	s.commits.mu.Lock()
	open := s.commits.open
	s.commits.open = nil
	s.commits.mu.Unlock()
	bySite := map[string][]string{}
	for _, u := range open {
		bySite[u.site] = append(bySite[u.site], u.row.Name)
	}
	statuses := map[string]map[string]rows.Status{}
	for site, names := range bySite {
		statuses[site], _ = s.Rows.Statuses(ctx, site, names) // of a site that is away nothing is known: it is looked again
	}
	var committed []uncommitted
	open = slices.DeleteFunc(open, func(u uncommitted) bool {
		status, there := statuses[u.site][u.row.Name]
		if there && status == rows.StatusPending {
			committed = append(committed, u)
		}
		return there || time.Now().After(u.until)
	})
	var all sync.WaitGroup
	for some := range slices.Chunk(committed, together) {
		for _, u := range some {
			all.Go(func() { s.release(ctx, u) })
		}
		all.Wait()
	}
	s.commits.mu.Lock()
	defer s.commits.mu.Unlock()
	s.commits.open = append(open, s.commits.open...)
	return len(s.commits.open) > 0
}

// release brings a committed row on its way. What fails here an engine does within some seconds.
func (s *Submitter) release(ctx context.Context, u uncommitted) {
	s.Rows.Tell(u.site, u.row, "")
	if u.waits {
		return
	}
	if answer := s.Ask(ctx, policy.About(policy.AtDelivery, u.site, u.row)); answer.Verdict != policy.Go {
		return
	}
	_, _ = s.Rows.Apply(ctx, moves.Submit(u.site, u.row), func(ctx context.Context) error {
		return s.Deliver(ctx, u.site, []*rows.BackgroundJob{u.row})[0]
	})
}
