package intake

import (
	"context"
	"time"
	"unique"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
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
	// behind is what it waits for together with others.
	behind behind
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

// mostAlike is how many jobs are looked at again and again that wait for the same.
const mostAlike = 1000

// waitsFor is what an undecided job has in common with others.
func waitsFor(r route.Routed, u undecided) behind {
	if r.Verdict == route.Held {
		return behind{held: u.question}
	}
	// What one user enqueues must keep nobody else's.
	return behind{unread: whose{Tenant: job.Tenant{Site: r.Site}, user: r.User}, unready: true}
}

func (p *Poller) postpone(id string, u undecided) {
	p.undecided[id] = u
	p.next = earlier(p.next, u.again)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// due lists the undecided jobs whose time has come, but for those that policy still holds.
func (p *Poller) due(ctx context.Context, now time.Time) (ids []string) {
	if len(p.undecided) == 0 || now.Before(p.next) {
		return nil
	}
	p.next = now.Add(policy.Later)
	asking := asking{ask: p.Ask, now: now}
	for id, u := range p.undecided {
		switch {
		case now.Before(u.again):
			p.next = earlier(p.next, u.again)
		case asking.holds(ctx, &u):
			p.postpone(id, u)
		default:
			ids = append(ids, id)
		}
	}
	return ids
}

// putOff has an undecided job looked at again, or keeps its place only if enough others are that wait for the same.
func (p *Poller) putOff(r route.Routed, now time.Time) {
	u := undecidedAt(now, r)
	u.behind = waitsFor(r, u)
	if _, known := p.undecided[r.ID]; !known && p.alike[u.behind] >= p.mostAlike && p.keep(u.behind, r.Queued, p.recalled[r.ID].number) {
		return
	}
	p.decided(r.ID)
	p.alike[u.behind]++
	p.postpone(r.ID, u)
}

// decided forgets that a job was undecided.
func (p *Poller) decided(id string) {
	u, known := p.undecided[id]
	if !known {
		return
	}
	delete(p.undecided, id)
	if p.alike[u.behind]--; p.alike[u.behind] <= 0 {
		delete(p.alike, u.behind)
	}
}
