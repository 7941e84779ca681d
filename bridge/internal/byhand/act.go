package byhand

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"golang.org/x/sync/errgroup"
)

// plan is what is to be done with one row.
type plan struct {
	sites.Written
	wish
	// was is the state that the row had before.
	was rows.Status
	// lacks is what the row of a submission gets; why is for what it is refused.
	lacks []rows.Value
	why   error
	// waits is what for a row waits that is only created.
	waits string
	// later says that it isn't time yet.
	later bool
}

// some deals with rows of a site that were perhaps written by hand. Its error says that some couldn't be dealt with.
func (h *Hands) some(ctx context.Context, site string, names []string) error {
	found, err := h.Rows.Written(ctx, site, names)
	if err != nil {
		h.keep(site, names)
		return err
	}
	h.exact(site, found.Rows)
	plans, err := h.plan(ctx, site, found)
	if err != nil {
		h.keep(site, names)
		return err
	}
	for _, name := range names {
		if !slices.ContainsFunc(plans, func(p plan) bool { return p.Row.Name == name && p.later }) {
			h.done(site, name)
		}
	}
	var (
		acting errgroup.Group
		mu     sync.Mutex
		errs   []error
	)
	for _, p := range plans {
		if p.later {
			h.keep(site, []string{p.Row.Name})
			continue
		}
		acting.Go(func() error {
			err := h.act(ctx, site, p)
			if err != nil && !sites.Final(err) {
				h.keep(site, []string{p.Row.Name})
			}
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			return nil
		})
	}
	_ = acting.Wait() // each has its own error
	return errors.Join(errs...)
}

// plan judges the rows of a site. An app's jobs that have no handler here are its own engine's to care for.
func (h *Hands) plan(ctx context.Context, site string, found sites.Changes) (plans []plan, err error) {
	handled := h.Handled(found.Types)
	var submissions []*plan
	for _, w := range found.Rows {
		if found.OfApp && !slices.Contains(handled, w.Row.JobType) {
			continue
		}
		wish, was := judge(w, time.Now())
		if w.Row.Status.Terminal() {
			h.ended.Add(site, w.Row.Name)
		}
		if wish != nothing {
			plans = append(plans, plan{Written: w, wish: wish, was: was})
		}
	}
	for i := range plans {
		switch p := &plans[i]; p.wish {
		case submit:
			submissions = append(submissions, p)
		case retry:
			p.later = found.OfApp && h.leftToApp(site, p.Row)
		case refuse:
			p.why = fmt.Errorf("it was inserted as %s by %s: a job begins as Pending; set its status to Queued to have it run", p.Row.Status, p.Row.Owner)
		}
	}
	if len(submissions) == 0 {
		return plans, nil
	}
	return plans, h.examine(ctx, site, found, handled, submissions)
}

// act makes the move that is wanted. A row that somebody else has moved or written meanwhile is his, or heard of again.
func (h *Hands) act(ctx context.Context, site string, p plan) error {
	row, by, now := p.Row, p.Row.ModifiedBy, time.Now()
	switch p.wish {
	case submit:
		if p.why != nil {
			return h.refuse(ctx, site, p)
		}
		move := moves.ByHand(row, p.was, func(row *rows.BackgroundJob) moves.Move { return moves.Submit(site, row, p.lacks...) })
		err := h.apply(ctx, move, h.RQ.Deliver)
		if sites.Final(err) { // a column doesn't take what the row gets
			p.lacks, p.why = nil, err
			return h.refuse(ctx, site, p)
		}
		return err
	case create:
		return h.apply(ctx, moves.ByHand(row, p.was, func(row *rows.BackgroundJob) moves.Move {
			move := moves.Create(site, row, p.lacks...)
			move.Set = append(move.Set, rows.Job.WaitingFor.To(p.waits))
			return move
		}), nil)
	case refuse:
		return h.refuse(ctx, site, p)
	case cancel:
		move := moves.ByHand(row, p.was, func(row *rows.BackgroundJob) moves.Move {
			return moves.Cancel(site, row, by, moves.CanceledBy(by), now)
		})
		return h.apply(ctx, move, func(ctx context.Context, site string, row *rows.BackgroundJob) error {
			return h.RQ.Stop(ctx, site, row, p.was)
		})
	case retry:
		move := moves.ByHand(row, p.was, func(row *rows.BackgroundJob) moves.Move { return moves.Requeue(site, row, by) })
		return h.apply(ctx, move, h.RQ.Redeliver)
	case undo, look:
		return h.undo(ctx, site, p)
	}
	return nil
}

// lastDelivery is how long the second half of a move may take when the process stops meanwhile.
const lastDelivery = 3 * time.Second

// apply commits a move and does then what RQ has to know of it; a stop in between must not leave it half done.
func (h *Hands) apply(ctx context.Context, m moves.Move, then func(context.Context, string, *rows.BackgroundJob) error) error {
	result, err := h.Rows.Apply(ctx, m, func(ctx context.Context) error {
		if then == nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastDelivery)
		defer cancel()
		return then(ctx, m.Site, m.Row)
	})
	if err == nil && !result.Applied && result.Current == rows.StatusPending {
		// Who wrote it meanwhile may have seen less: another bridge, before what it waits for ended.
		time.AfterFunc(lostPause, func() { h.lanes.Add(m.Site, m.Name) })
	}
	return err
}

// lostPause is when a row is looked at anew that somebody else wrote first.
const lostPause = 50 * time.Millisecond

// refuse makes a dead letter of a row that may not be submitted.
func (h *Hands) refuse(ctx context.Context, site string, p plan) error {
	refusal := func(row *rows.BackgroundJob) moves.Move { return moves.Refuse(site, row, p.why, time.Now()) }
	if p.was != "" {
		_, err := h.Rows.Apply(ctx, moves.ByHand(p.Row, p.was, refusal), nil)
		return err
	}
	lacks := p.lacks
	if p.Row.OwnerUser == "" {
		lacks = append(lacks, rows.Job.OwnerUser.To(p.Row.Owner))
	}
	// Two steps: a job is there before it is refused.
	create := moves.ByHand(p.Row, "", func(row *rows.BackgroundJob) moves.Move { return moves.Create(site, row, lacks...) })
	if result, err := h.Rows.Apply(ctx, create, nil); err != nil || !result.Applied {
		return err
	}
	_, err := h.Rows.Apply(ctx, refusal(p.Row), nil)
	return err
}

// undo gives a row its state back, and a running one the start of its attempt: by that the attempt is told from others.
func (h *Hands) undo(ctx context.Context, site string, p plan) error {
	row, what := p.Row, fmt.Sprintf("set the status from %s to %s", p.was, p.Row.Status)
	startedAt := row.StartedAt
	if p.was == rows.StatusRunning {
		starts, err := h.RQ.Started(ctx, site, row)
		if err != nil {
			return err
		}
		known := slices.ContainsFunc(starts, row.StartedAs)
		switch {
		case p.wish == look && (known || len(starts) == 0):
			return nil
		case p.wish == look:
			what = "changed started_at"
		}
		if !known && len(starts) > 0 {
			startedAt = starts[0]
		}
		if startedAt.IsZero() {
			startedAt = row.Modified // nobody runs it: it will be given back
		}
	}
	return h.apply(ctx, moves.Undo(site, row, p.was, startedAt, row.ModifiedBy, what), func(ctx context.Context, site string, row *rows.BackgroundJob) error {
		switch p.was {
		case rows.StatusPending:
			h.lanes.Add(site, row.Name) // it still waits to be submitted
		case rows.StatusQueued:
			return h.RQ.Redeliver(ctx, site, row) // whoever claimed it meanwhile has dropped it
		}
		return nil
	})
}
