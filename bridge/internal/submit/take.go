package submit

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// find finds what was submitted before, under the same keys, so long ago that nobody takes it back any more: a fan-out that
// is repeated takes nothing and locks nothing.
func (b *submission) find(ctx context.Context) error {
	byHash := map[string][]*candidate{}
	for _, c := range b.open() {
		if c.Within == rows.Ever {
			byHash[c.JobHash] = append(byHash[c.JobHash], c)
		}
	}
	if len(byHash) == 0 {
		return nil
	}
	found, err := b.Rows.Keyed(ctx, b.site, slices.Collect(maps.Keys(byHash)))
	for hash, row := range found {
		for _, c := range byHash[hash] {
			if row.JobType == c.JobType && row.Organization == c.Organization && time.Since(row.Creation) > rows.TakenBack {
				c.Row = row
			}
		}
	}
	return err
}

// take takes for those that are open of what may be submitted.
func (b *submission) take(ctx context.Context) error {
	var all []*policy.Submission
	open := b.open()
	for _, c := range open {
		c.taken = &policy.Submission{JobType: c.JobType, Organization: c.Organization, User: c.OwnerUser, ID: uuid.NewString()}
		all = append(all, c.taken)
	}
	if err := b.Limits.Take(ctx, b.site, b.types, all); err != nil {
		if rqcompat.Judge(err) != rqcompat.Unknown {
			return noQueue(ctx, err)
		}
		return err
	}
	for _, c := range open {
		c.Err = c.taken.Err
	}
	return nil
}

// giveBack gives back what was taken for what made no job.
func (b *submission) giveBack(ctx context.Context) {
	var all []*policy.Submission
	for _, c := range b.all {
		if c.taken != nil && !c.Created {
			all = append(all, c.taken)
		}
	}
	if len(all) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoing)
	defer cancel()
	// What stays taken counts until its window is over.
	_ = b.Limits.GiveBack(ctx, b.site, all)
}
