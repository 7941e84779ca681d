package policy

import (
	"context"
	"errors"
	"slices"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Chain asks its rules in order.
type Chain struct {
	Facts Facts
	Rules []Rule
}

// New returns the chain of all rules.
func New(f Facts, o Options) Chain {
	all := []Rule{maintenance, jobType, organization, pause, membership(o), permission, runAfter, caps, dependency, batch}
	if !o.NoBreakers {
		all = append(all, breaker) // the last: it may let one job through, which must not be held by another
	}
	return Chain{Facts: f, Rules: all}
}

// Ask returns the answer of the first rule that doesn't say Go.
func (c Chain) Ask(ctx context.Context, q Question) Answer {
	goes := Answer{}
	for _, r := range c.Rules {
		a := r.Ask(ctx, c.Facts, q)
		if a.Verdict != Go {
			a.Rule = r.Name
			return a
		}
		goes.Trial += a.Trial
	}
	return goes
}

// Every returns the answers of all rules that don't say Go, in order: Ask's own first.
func (c Chain) Every(ctx context.Context, q Question) (all []Answer) {
	for _, r := range c.Rules {
		if a := r.Ask(ctx, c.Facts, q); a.Verdict != Go {
			a.Rule = r.Name
			all = append(all, a)
		}
	}
	return all
}

// final are the refusals that no waiting mends.
var final = []error{ErrNoSuchJobType, ErrJobTypeDisabled, ErrOrganizationDissolved, ErrNotMember, ErrNotPermitted, rows.ErrNoSuchOrganization}

// Final reports whether a submission is refused for what no waiting mends.
func Final(err error) bool {
	return slices.ContainsFunc(final, func(reason error) bool { return errors.Is(err, reason) })
}
