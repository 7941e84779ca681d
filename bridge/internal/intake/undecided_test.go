package intake

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/policy"
	"github.com/opensoft/dartwing-bridge/bridge/internal/route"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// hold has policy let n jobs of a site wait, and gives their ids.
func (l *queue) hold(site string, n int) (ids []string) {
	for i := range n {
		id := fmt.Sprint(site, " ", i)
		l.hashes[id] = &rqcompat.FetchResult{Job: &rqcompat.Job{ID: id, Origin: site}}
		l.verdict[id] = route.Routed{Verdict: route.Held, Again: policy.Later}
		ids = append(ids, id)
	}
	l.ids = append(l.ids, ids...)
	return ids
}

// mayGo decides that jobs are ours from now on.
func (l *queue) mayGo(ids []string) {
	for _, id := range ids {
		l.verdict[id] = route.Routed{Verdict: route.Ours}
	}
}

func (l *queue) reads() (n int) {
	for _, ids := range l.fetched {
		n += len(ids)
	}
	return n
}

// TestHeldJobsAreReadOnce, and asked about all together, until they may go; once a minute it is seen what they are by then.
func TestHeldJobsAreReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue()
		paused, other := l.hold("a", 150), l.hold("b", 50)
		open := map[string]bool{}
		l.answer = func(q policy.Question) policy.Answer {
			if open[q.Site] {
				return policy.Answer{}
			}
			return policy.Answer{Verdict: policy.Wait, Again: policy.Later}
		}
		p := l.poller(true)
		after := func(d time.Duration) (started []string) {
			t.Helper()
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				started = append(started, look(t, p)...)
			}
			return started
		}
		wantIDs(t, "while all are held", after(50*time.Second))
		if reads, asked := l.reads(), len(l.asked); reads != 200 || asked < 30 || asked > 2*17 {
			t.Fatalf("in 50 s 200 held jobs were read %d times and asked about %d times, want each read once, and both questions asked each 3 s", reads, asked)
		}
		if q := l.asked[0]; q.Moment != policy.AtClaim || q.Site != "a" && q.Site != "b" {
			t.Errorf("asked is %+v", q)
		}
		open["b"] = true
		l.mayGo(other)
		if got := after(4 * time.Second); len(got) != 50 || !slices.Contains(other, got[0]) {
			t.Errorf("%d jobs of the site that may go have started, want 50", len(got))
		}
		l.mayGo(paused) // they are others by now, and nothing says that
		if got := after(10 * time.Second); len(got) != 150 || l.reads() != 200+50+150 {
			t.Errorf("after a minute %d jobs are seen that may go by now, with %d reads", len(got), l.reads())
		}
	})
}

// TestOneOfTheHeldGoesForATrial, and the others wait for what comes of it, without being read.
func TestOneOfTheHeldGoesForATrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue()
		ids := l.hold("a", 30)
		l.answer = func(policy.Question) policy.Answer { return policy.Answer{Trial: "b1"} }
		p := l.poller(true)
		wantIDs(t, "while all are held", look(t, p))
		l.mayGo(ids)
		time.Sleep(policy.Later)
		if got := look(t, p); len(got) != 1 || l.reads() != 31 {
			t.Errorf("for a trial %d jobs start, with %d reads; want one", len(got), l.reads())
		}
		time.Sleep(nextTrial)
		if got := look(t, p); len(got) != 1 {
			t.Errorf("as nothing was heard of it %d jobs start, want one more", len(got))
		}
		l.answer = nil
		time.Sleep(nextTrial)
		if got := look(t, p); len(got) != 28 {
			t.Errorf("when it went well %d jobs start, want all", len(got))
		}
	})
}

// TestPoppedJobsThatAreHeld stay where they are, and aren't read each time.
func TestPoppedJobsThatAreHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue()
		ids := l.hold("a", 100)
		l.answer = func(policy.Question) policy.Answer { return policy.Answer{Verdict: policy.Wait, Again: policy.Later} }
		f := l.first(NewFairQueue(1_000_000, nil, plenty(), 0))
		judge := func() {
			t.Helper()
			if back, err := f.judge(t.Context(), ids); err != nil || len(back) > 0 {
				t.Errorf("back goes %v, %v", back, err)
			}
		}
		for range 100 {
			judge()
			time.Sleep(100 * time.Millisecond)
		}
		if l.reads() != 100 || len(l.asked) > 4 {
			t.Errorf("in 10 s 100 jobs were read %d times and asked about %d times", l.reads(), len(l.asked))
		}
		l.answer = nil
		l.mayGo(ids)
		time.Sleep(policy.Later)
		judge()
		if got := f.Fair.deal(1000); len(got) != 100 || l.reads() != 200 {
			t.Errorf("%d may start when they may go, with %d reads", len(got), l.reads())
		}
	})
}
