package byhand

import (
	"context"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// limit refuses those of the new submissions that are too many, or there already. One that has waited for its delivery was
// asked about when it was new.
func (s *submissions) limit(ctx context.Context, all []*plan) error {
	var fresh []*plan
	var taken []*policy.Submission
	for _, p := range all {
		if p.was != "" || p.why != nil || p.later {
			continue
		}
		row := p.filledIn()
		fresh = append(fresh, p)
		taken = append(taken, &policy.Submission{
			JobType: row.JobType, Organization: row.Organization, User: row.OwnerUser, ID: row.Name, IsRow: true,
		})
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := s.Limits.Take(ctx, s.site, s.types, taken); err != nil {
		return err
	}
	for i, p := range fresh {
		p.why = taken[i].Err
	}
	if err := s.duplicates(ctx, fresh); err != nil {
		return err // what was taken is the row's, which is looked at again
	}
	var back []*policy.Submission
	for i, p := range fresh {
		if p.why != nil {
			p.wish, back = refuse, append(back, taken[i])
		}
	}
	return s.Limits.GiveBack(ctx, s.site, back)
}

// filledIn is the row with what it lacks.
func (p *plan) filledIn() rows.BackgroundJob {
	row := *p.Row
	for _, v := range p.lacks {
		v.Apply(&row)
	}
	return row
}

// duplicates refuses what is on its way already, and gives the others the hash by which they are known. The hash says as well
// for which enqueueing a row was made: nobody may choose it.
func (s *submissions) duplicates(ctx context.Context, fresh []*plan) error {
	var claims []rows.Claim
	by := map[string]*plan{}
	for _, p := range fresh {
		hash, err := s.hash(ctx, p)
		if err != nil {
			return err
		}
		if !s.ofApp {
			p.lacks = append(p.lacks, rows.Job.JobHash.To(hash))
		}
		if hash == "" {
			continue
		}
		row := p.filledIn()
		by[row.Name], claims = p, append(claims, rows.Claim{Name: row.Name, NewJob: rows.NewJob{
			JobType: row.JobType, Organization: row.Organization, JobHash: hash,
			Within: time.Duration(s.types[row.JobType].DeduplicationWindow) * time.Second,
		}})
	}
	if len(claims) == 0 {
		return nil
	}
	there, err := s.Rows.ClaimHashes(ctx, s.site, claims)
	for name, other := range there {
		by[name].why = &policy.DuplicateError{Name: other.Name, Status: other.Status}
	}
	return err
}

// hash is the one by which the duplicates of a row are known; "" where nobody looks for them. An app's own rows have its own.
func (s *submissions) hash(ctx context.Context, p *plan) (string, error) {
	row, t := p.filledIn(), s.types[p.Row.JobType]
	if p.why != nil || s.ofApp || t == nil || t.DeduplicationWindow <= 0 {
		return "", nil
	}
	if p.Row.InputParameters == nil && p.Row.ParametersSize > 0 { // large ones aren't read with the row
		whole, err := s.Rows.Row(ctx, s.site, row.Name)
		if err != nil {
			return "", err
		}
		row.InputParameters = whole.InputParameters
	}
	var hash string
	var err error
	wait.Large(len(row.InputParameters), func() { hash, err = policy.DuplicateHash(row.JobType, row.Organization, row.InputParameters) })
	if err != nil {
		p.why = job.Refuse("ValidationError", "input_parameters: %s", err)
	}
	return hash, nil
}
