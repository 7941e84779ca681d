package policy

import (
	"context"
	"fmt"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// pause holds the jobs of an organization, of a Job Type and, for its own site only, of a queue that somebody has paused. What is
// submitted meanwhile waits on its queue.
var pause = Rule{Name: "pause", Ask: func(ctx context.Context, f Facts, q Question) Answer {
	if q.Moment < AtClaim || q.Site == "" {
		return Answer{}
	}
	all, err := f.Pauses(ctx, q.Site)
	if err != nil && q.JobType != "" {
		return unknown(q, err)
	}
	for _, p := range []*rows.Pause{
		all.Find(rows.PauseOrganization, q.Organization), all.Find(rows.PauseJobType, q.JobType), all.Find(rows.PauseQueue, q.Queue),
	} {
		if p != nil && p.Of() != "" {
			return stuck(Paused(p))
		}
	}
	return Answer{}
}}

// Paused tells a person who paused what, when and why.
func Paused(p *rows.Pause) string {
	what := p.Kind + " " + p.Of()
	switch p.Kind {
	case rows.PauseOrganization:
		what = "organization " + p.Of()
	case rows.PauseQueue:
		what = "for this site, queue " + p.Of()
	}
	why := ""
	if p.Reason != "" {
		why = ": " + p.Reason
	}
	return fmt.Sprintf("%s was paused by %s %s%s", what, p.PausedBy, job.At(p.Since), why)
}
