package policy

import (
	"context"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Submission is a job that takes of what its user and its organization may have. It is one that no rule refuses.
type Submission struct {
	JobType, Organization, User string
	// ID tells it from all others of the site; who asks twice takes once.
	ID string
	// IsRow says that its row is there already.
	IsRow bool
	// Err says why it is refused.
	Err error

	took, counted bool
}

// Limits are how many jobs may be submitted. They are asked when all rules of the chain say Go, since asking takes; and for
// many at once. Safe for concurrent use.
type Limits struct {
	Places Places
	// IsManager reports whether a user is a System Manager, who submits as fast as he likes.
	IsManager func(ctx context.Context, site, user string) (bool, error)
	// Count counts the jobs of an organization that wait, Pending and Queued, up to most.
	Count func(ctx context.Context, site, organization string, most int) (int, error)
	// QueueLimit is how many may; none for zero and less.
	QueueLimit int

	counts counts
}

// Take takes for submissions of a site, and refuses those for which nothing is left. Its error says that it can't be known.
func (l *Limits) Take(ctx context.Context, site string, types map[string]*rows.JobType, all []*Submission) error {
	for of, some := range grouped(all, func(s *Submission) [2]string { return [2]string{s.JobType, s.User} }) {
		if err := l.rate(ctx, site, types[of[0]], of[1], some); err != nil {
			return err
		}
	}
	for of, some := range grouped(all, func(s *Submission) string { return s.Organization }) {
		if err := l.capacity(ctx, tenant{site, of}, some); err != nil {
			return err
		}
	}
	return nil
}

// grouped are those that aren't refused, in their order.
func grouped[K comparable](all []*Submission, key func(*Submission) K) map[K][]*Submission {
	groups := map[K][]*Submission{}
	for _, s := range all {
		if s.Err == nil {
			groups[key(s)] = append(groups[key(s)], s)
		}
	}
	return groups
}

// GiveBack gives back what submissions took of which nothing came. What can't be given back is over with its window.
func (l *Limits) GiveBack(ctx context.Context, site string, all []*Submission) error {
	back := map[string][]string{}
	for _, s := range all {
		if s.took {
			key := window(site, s.JobType, s.User)
			back[key] = append(back[key], s.ID)
		}
		if s.counted {
			l.add(tenant{site, s.Organization}, -1)
		}
		s.took, s.counted = false, false
	}
	for key, who := range back {
		if err := l.Places.LeavePlaces(ctx, key, who); err != nil {
			return err
		}
	}
	return nil
}
