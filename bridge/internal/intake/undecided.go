package intake

import (
	"context"
	"time"
	"unique"

	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
)

// undecided is a job that is looked at again.
type undecided struct {
	// seen is when its id was first seen, again when it is looked at next.
	seen, again time.Time
	// question is what policy was asked of a job that it holds, and read when that was read; zero of one that isn't held.
	question unique.Handle[policy.Question]
	read     time.Time
}

// heldFor is how long it counts what was read of a job that is held: who enqueues chooses the id, and may have made another job of
// it.
const heldFor = time.Minute

// nextTrial is when another job may go for a trial of which nobody tells that it has begun.
const nextTrial = time.Second

// undecidedAt is what is kept of a job that was routed at now, and can't be decided about yet.
func undecidedAt(now time.Time, r route.Routed) undecided {
	u := undecided{seen: r.Seen, again: now.Add(r.Again)}
	if r.Verdict == route.Held {
		u.question, u.read = unique.Make(route.Question(r.Queued, policy.AtClaim).Brief()), now
	}
	return u
}

// asking asks the policy about jobs that are held, each question once however many jobs it is about.
type asking struct {
	ask     func(context.Context, policy.Question) policy.Answer
	now     time.Time
	answers map[unique.Handle[policy.Question]]policy.Answer
}

// holds reports whether a job that is looked at again is still held, and goes on waiting then without being read.
func (a *asking) holds(ctx context.Context, u *undecided) bool {
	if u.read.IsZero() || a.now.Sub(u.read) >= heldFor {
		return false
	}
	answer, known := a.answers[u.question]
	if !known {
		answer = a.ask(ctx, u.question.Value())
		if a.answers == nil {
			a.answers = map[unique.Handle[policy.Question]]policy.Answer{}
		}
		if a.answers[u.question] = answer; answer.Trial != "" { // one may go, this one
			a.answers[u.question] = policy.Answer{Verdict: policy.Wait, Again: nextTrial}
		}
	}
	if answer.Verdict != policy.Wait {
		return false
	}
	u.again = a.now.Add(answer.Again)
	return true
}
