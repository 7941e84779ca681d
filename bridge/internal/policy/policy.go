// Package policy says whether a job may be submitted and whether it may start: a chain of rules, one file each, of
// which the first that doesn't say Go decides. Each explains itself to a person who asks why a job waits.
package policy

import (
	"context"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// Moment is when a question is asked.
type Moment int

// The moments in a job's life at which the chain is asked.
const (
	// AtSubmission: may a row be made?
	AtSubmission Moment = iota
	// AtDelivery: may a Pending row leave for its queue? One that has to wait stays Pending, without a delivery.
	AtDelivery
	// AtClaim: may the job be taken from its queue now? Refusals are left to AtStart, where the row can tell.
	AtClaim
	// AtStart: may the row become Running?
	AtStart
)

// Question is about one job.
type Question struct {
	Moment Moment
	Site   string
	// Queue is the type of the queue that brings it, as short; empty where that isn't known.
	Queue string
	// JobType and Organization are empty for a job without a row.
	JobType, Organization string
	// User is who submits, or owns the row, as the site's database spells him; empty where nobody is asked about.
	User string
	// Row is the row that is asked about, as it will be created AtSubmission; nil where there is none.
	Row *rows.BackgroundJob
	// Limits are those of a job that is asked about by somebody who wants to know what it waits for; nil for none.
	Limits *job.Limits
	// Parents are what it depends on, where whoever asks has read that for many rows at once; nil has the rule read it.
	Parents *[]rows.Parent
}

// About asks of a site's row.
func About(at Moment, site string, row *rows.BackgroundJob) Question {
	return Question{Moment: at, Site: site, JobType: row.JobType, Organization: row.Organization, User: row.OwnerUser, Row: row}
}

// Brief is as much of a question AtClaim as the rules ask for, so that it can be kept and asked again: questions about jobs that
// wait for the same are equal then. Of a row it has what is asked of one that depends on others.
func (q Question) Brief() Question {
	q.User, q.Limits, q.Parents = "", nil, nil
	if row := q.Row; row != nil {
		q.Row = nil
		if row.DependsOn != "" {
			q.Row = &rows.BackgroundJob{Name: row.Name, Organization: row.Organization, Status: row.Status, DependsOn: row.DependsOn}
		}
	}
	return q
}

// Verdict is what a rule says.
type Verdict int

// The verdicts.
const (
	Go Verdict = iota
	Wait
	Refuse
)

// Answer is a verdict with its reason.
type Answer struct {
	Verdict Verdict
	// Rule names the rule that decided; empty for Go.
	Rule string
	// Again is when to ask again, for Wait.
	Again time.Duration
	// Why tells a person what is waited for.
	Why string
	// Stuck says that the waiting has no end of its own: somebody has to do something.
	Stuck bool
	// Trial is set for Go where only one job may: the circuit breaker whose trial it would be. Who starts it has to win that first.
	Trial string
	// Err says why it is refused, or, for Wait, why it can't be known.
	Err error
}

func waitFor(again time.Duration, why string) Answer {
	return Answer{Verdict: Wait, Again: again, Why: why}
}

// unknown holds a job while a site can't be asked about it.
func unknown(q Question, err error) Answer {
	return Answer{Verdict: Wait, Again: time.Second, Why: "site " + q.Site + " can't be asked: " + err.Error(), Err: err}
}

// stuck waits for somebody to do something.
func stuck(why string) Answer {
	a := waitFor(Later, why)
	a.Stuck = true
	return a
}
func refuse(err error) Answer { return Answer{Verdict: Refuse, Err: err, Why: err.Error()} }

// Later is when to ask again about what a person has to change: maintenance, a suspended organization.
const Later = 3 * time.Second

// Facts are what the rules want to know of a site. An error means that it can't be known now.
type Facts interface {
	Maintenance(site string) bool
	JobTypes(ctx context.Context, site string) (map[string]*rows.JobType, error)
	Organization(ctx context.Context, site, name string) (*rows.Organization, error)
	MayCreate(ctx context.Context, site, user, doctype string) (bool, error)
	Standing(ctx context.Context, site, user, organization string) (access.Standing, error)
	LimitUses(ctx context.Context, limits []rqcompat.Limit) ([]rqcompat.LimitUse, error)
	Pauses(ctx context.Context, site string) (*rows.Pauses, error)
	// Breakers are the site's circuit breakers that aren't closed, Clock is the time by which jobs are due and breakers open.
	Breakers(ctx context.Context, site string) ([]*rows.Breaker, error)
	Clock(ctx context.Context) time.Time
	// Parents are what a row depends on; Cycle is the way from it back to itself, nil if there is none.
	Parents(ctx context.Context, site string, row *rows.BackgroundJob) ([]rows.Parent, error)
	Cycle(ctx context.Context, site string, row *rows.BackgroundJob) ([]string, error)
	Batch(ctx context.Context, site, name string) (*rows.Batch, error)
}

// Rule is one reason for which a job may have to wait or be refused.
type Rule struct {
	Name string
	Ask  func(ctx context.Context, f Facts, q Question) Answer
}

// Options are what the configuration says.
type Options struct {
	// TrustEnqueuer says that nobody is asked whether he belongs to an organization, Open for which organizations nobody is.
	TrustEnqueuer bool
	Open          []string
	// NoBreakers says that no circuit breaker holds anything.
	NoBreakers bool
}
