package rows

import (
	"context"
	"fmt"
	"time"
)

// manySite is a site with many jobs.
type manySite struct {
	*DB
	queued []string  // jobs that wait, each for a claim
	ended  string    // the hundredth of those that ended last
	lately time.Time // when that was
}

// hot are what is done again and again on a site with many jobs, each with all that it asks its database. What it answers, the
// rows that it names or counts, grows with a site up to a limit: its cost is what it reads beside these.
var hot = map[string]func(ctx context.Context, s *manySite) (answered int, err error){
	"submit a job": func(ctx context.Context, s *manySite) (int, error) {
		return s.submit(ctx, 1, s.fresh(5*time.Minute))
	},
	"submit a job under a key": func(ctx context.Context, s *manySite) (int, error) {
		n := s.fresh(Ever)
		if _, err := s.FindByHashes(ctx, []string{n.JobHash}); err != nil {
			return 0, err
		}
		return s.submit(ctx, 1, n)
	},
	"submit jobs twice": func(ctx context.Context, s *manySite) (int, error) {
		n := s.fresh(5 * time.Minute)
		first, err := s.submit(ctx, 1, n)
		if err != nil {
			return 0, err
		}
		again, err := s.submit(ctx, 0, n)
		return first + again, err
	},
	"submit two hundred jobs": func(ctx context.Context, s *manySite) (int, error) {
		var ns []NewJob
		for range 200 {
			ns = append(ns, s.fresh(5*time.Minute))
		}
		return s.submit(ctx, len(ns), ns...)
	},
	"take a job that was inserted": func(ctx context.Context, s *manySite) (int, error) {
		there, err := s.ClaimHashes(ctx, []Claim{{Name: s.queued[0], NewJob: s.fresh(5 * time.Minute)}})
		return len(there), err
	},
	"claim a job, and end it": func(ctx context.Context, s *manySite) (int, error) {
		name := s.queued[0]
		s.queued = s.queued[1:]
		found, err := s.Brief(ctx, []string{name})
		if err != nil {
			return 0, err
		}
		if _, err := s.Parents(ctx, []*BackgroundJob{found[name]}); err != nil {
			return 0, err
		}
		began, err := s.Transition(ctx, []Transition{start(name, s.Now())})
		if err != nil {
			return 0, err
		}
		ended, err := s.Transition(ctx, []Transition{{Name: name, From: StatusRunning, To: StatusCompleted, Fence: began[0].StartedRaw, Message: "Job completed successfully"}})
		if err == nil && !ended[0].Applied {
			err = fmt.Errorf("it is %+v", ended[0])
		}
		return 1, err
	},
	"explain a job": func(ctx context.Context, s *manySite) (counted int, err error) {
		row, err := s.BackgroundJob(ctx, s.queued[0])
		if err != nil {
			return 0, err
		}
		if _, err := s.History(ctx, row.Name); err != nil {
			return 0, err
		}
		if _, err := s.IsWithheld(ctx, row.Name); err != nil {
			return 0, err
		}
		if _, err := s.Parents(ctx, []*BackgroundJob{row}); err != nil {
			return 0, err
		}
		for _, organization := range []string{row.Organization, ""} {
			for _, statuses := range [][]Status{{StatusPending, StatusQueued}, {StatusRunning}} {
				n, err := s.Count(ctx, organization, statuses, 10_000)
				if err != nil {
					return 0, err
				}
				counted += n
			}
		}
		return counting(counted), nil
	},
	"look for a job by what RQ calls it": func(ctx context.Context, s *manySite) (int, error) {
		if _, err := s.NewestByHash(ctx, "0000000000000000"); err == nil {
			return 0, fmt.Errorf("found one")
		}
		_, err := s.FindByHash(ctx, "no such")
		if err == nil {
			return 0, fmt.Errorf("found one")
		}
		return 0, nil
	},
	"delete old jobs": func(ctx context.Context, s *manySite) (int, error) {
		gone, _, err := s.DeleteOld(ctx, StatusCompleted, manyJobsEnd, Place{})
		return some(len(gone), err)
	},
	"delete jobs by name": func(ctx context.Context, s *manySite) (int, error) {
		list, err := s.selectJobs(ctx, "find some", "WHERE `status`='Completed' AND `modified`<? ORDER BY `modified` DESC LIMIT 10", formatTime(s.lately, s.Location()))
		if err != nil {
			return 0, err
		}
		gone, err := s.DeleteEnded(ctx, names(list), []Status{StatusCompleted})
		return some(len(gone), err)
	},
	"jobs that nobody retries": func(ctx context.Context, s *manySite) (int, error) {
		found, err := s.Unmoved(ctx, manyJobsEnd, Place{}, 10)
		return len(found), err
	},
	"list dead letters":                    listed(ListFilter{}),
	"list dead letters of an organization": listed(ListFilter{Organization: "ORG-3"}),
	"list dead letters of the largest":     listed(ListFilter{Organization: "ORG-0"}),
	"list dead letters of a type":          listed(ListFilter{JobType: "type_3"}),
	"list dead letters of a day":           listed(ListFilter{ChangedFrom: manyJobsEnd.Add(-24 * time.Hour)}),
	"count dead letters of an organization": func(ctx context.Context, s *manySite) (int, error) {
		n, err := s.Count(ctx, "ORG-3", []Status{StatusDeadLetter}, 100)
		return counting(n), err
	},
	"due retries": func(ctx context.Context, s *manySite) (int, error) {
		found, err := s.Due(ctx, s.Now(), []string{"type_1", "type_2"}, 100)
		return len(found), err
	},
	"stale jobs": func(ctx context.Context, s *manySite) (int, error) {
		found, err := s.Stale(ctx, Place{}, time.Minute, 100)
		return some(len(found), err)
	},
	"waiting jobs": func(ctx context.Context, s *manySite) (int, error) {
		found, err := s.Waiting(ctx, Place{}, time.Minute, 300)
		return some(len(found), err)
	},
	"jobs that somebody wrote": func(ctx context.Context, s *manySite) (int, error) {
		pending, err := s.Pending(ctx, Place{}, 1000)
		if err != nil {
			return 0, err
		}
		written, err := s.ChangedByHand(ctx, s.lately, manyJobsEnd, Place{}, 1000)
		return len(pending) + len(written), err
	},
	"jobs that ended, and that others wait for": func(ctx context.Context, s *manySite) (int, error) {
		ended, err := s.EndedParents(ctx, s.lately, manyJobsEnd, Place{}, 1000)
		return len(ended), err
	},
	"batches that run": func(ctx context.Context, s *manySite) (int, error) {
		open, err := s.OpenBatches(ctx, "", 50)
		return some(len(open), err)
	},
	"count and end a batch": func(ctx context.Context, s *manySite) (int, error) {
		b, err := s.Batch(ctx, "BATCH-9")
		if err != nil {
			return 0, err
		}
		if err := s.CountBatch(ctx, b); err != nil {
			return 0, err
		}
		b.Status = BatchCompleted
		_, err = s.EndBatch(ctx, b)
		return b.Total, err
	},
	"jobs that wait for one that ended": func(ctx context.Context, s *manySite) (int, error) {
		found, err := s.Dependents([]string{s.ended}, 100).Next(ctx)
		return len(found), err
	},
	"jobs that wait for a hundred that ended": func(ctx context.Context, s *manySite) (int, error) {
		var ended []string
		for i := range 100 {
			ended = append(ended, fmt.Sprint("JOB-", 40+20*i))
		}
		found, err := s.Dependents(ended, 100).Next(ctx)
		return len(found), err
	},
}

// fresh is a job like no other.
func (s *manySite) fresh(within time.Duration) NewJob {
	n := NewJob{JobType: "type_3", Organization: "ORG-0", OwnerUser: "user3@example.com", Status: StatusQueued, Within: within}
	n.JobHash = fmt.Sprint(time.Now().UnixNano())
	return n
}

// submit makes jobs as a submission does: if the organization's queue isn't full. So many are to be new.
func (s *manySite) submit(ctx context.Context, fresh int, ns ...NewJob) (answered int, err error) {
	waiting, err := s.Count(ctx, ns[0].Organization, []Status{StatusPending, StatusQueued}, 100_001)
	if err != nil {
		return 0, err
	}
	created, err := s.CreateUnlessThere(ctx, ns)
	for _, c := range created {
		if !c.There {
			fresh--
		}
	}
	if err == nil && fresh != 0 {
		err = fmt.Errorf("of %d jobs %d less than wanted were made", len(ns), fresh)
	}
	return counting(waiting), err
}

// counting is what it takes to count up to a limit: each is read in the index, and as a row of what is counted.
func counting(n int) int { return 2 * n }

// listed lists dead letters.
func listed(f ListFilter) func(ctx context.Context, s *manySite) (int, error) {
	f.Statuses = []Status{StatusDeadLetter}
	return func(ctx context.Context, s *manySite) (int, error) {
		list, total, err := s.ListChanged(ctx, f)
		return len(list) + counting(total), err
	}
}

func some(n int, err error) (int, error) {
	if n == 0 && err == nil {
		return 0, fmt.Errorf("found none")
	}
	return n, err
}

// manyJobsEnd is when the last of servertest.MakeJobs was made.
var manyJobsEnd = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
