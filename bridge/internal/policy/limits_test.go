package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// ledger is what Limits ask: sliding windows without time, and an organization of which so many wait.
type ledger struct {
	*Limits
	windows map[string][]string
	waits   int
	counted int
	away    error
}

func newLedger(queueLimit int) *ledger {
	l := &ledger{windows: map[string][]string{}}
	l.Limits = &Limits{
		Places: l, QueueLimit: queueLimit,
		IsManager: func(_ context.Context, _, user string) (bool, error) { return user == "sue", l.away },
		Count: func(_ context.Context, _, _ string, most int) (int, error) {
			l.counted++
			return min(l.waits, most), l.away
		},
	}
	return l
}

func (l *ledger) TakePlaces(_ context.Context, window string, _ time.Duration, limit int, who []string) (taken []bool, next time.Duration, err error) {
	for _, id := range who {
		got := l.windows[window]
		if !slices.Contains(got, id) && len(got) < limit {
			got = append(got, id)
		}
		l.windows[window] = got
		taken = append(taken, slices.Contains(got, id))
	}
	return taken, 1500 * time.Millisecond, l.away
}

func (l *ledger) LeavePlaces(_ context.Context, window string, who []string) error {
	l.windows[window] = slices.DeleteFunc(l.windows[window], func(id string) bool { return slices.Contains(who, id) })
	return nil
}

// take submits n jobs, and tells which were refused, and why.
func (l *ledger) take(t *testing.T, user, jobType string, n int, isRow bool) (all []*Submission, refused string) {
	t.Helper()
	for i := range n {
		all = append(all, &Submission{JobType: jobType, Organization: "ORG-A", User: user, ID: fmt.Sprint(len(l.windows), time.Now(), i), IsRow: isRow})
	}
	types := map[string]*rows.JobType{"export": {TypeName: "export", RateLimit: 2, RateLimitWindow: 60}, "mail": {TypeName: "mail"}}
	if err := l.Take(t.Context(), "a", types, all); err != nil {
		return all, "error " + err.Error()
	}
	var said []string
	for i, s := range all {
		if s.Err != nil {
			said = append(said, fmt.Sprintf("%d: %v", i, s.Err))
		}
	}
	return all, strings.Join(said, "; ")
}

// TestRateLimit: so many jobs of a type for each user, of all but System Managers.
func TestRateLimit(t *testing.T) {
	l := newLedger(0)
	const limited = "rate limit reached: jane may submit 2 jobs of Job Type export within 1m0s; try again in 1.5s"
	first, refused := l.take(t, "jane", "export", 3, false)
	if want := "2: " + limited; refused != want {
		t.Errorf("of three: %q, want %q", refused, want)
	}
	var limit *RateLimitError
	if err := first[2].Err; !errors.Is(err, ErrRateLimited) || !errors.As(err, &limit) || limit.RetryAfter != 1500*time.Millisecond {
		t.Errorf("the refusal is %#v", err)
	}
	if err := l.GiveBack(t.Context(), "a", first[1:]); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, user, jobType string
		n                   int
		refused             string
	}{
		{"what one gave back", "jane", "export", 2, "1: " + limited},
		{"a row", "jane", "export", 1, "0: " + limited},
		{"another user", "joe", "export", 2, ""},
		{"a type without limit", "jane", "mail", 9, ""},
		{"a System Manager", "sue", "export", 9, ""},
		{"Administrator", "Administrator", "export", 9, ""},
	} {
		if _, refused := l.take(t, tc.user, tc.jobType, tc.n, tc.name == "a row"); refused != tc.refused {
			t.Errorf("%s: %q, want %q", tc.name, refused, tc.refused)
		}
	}
	if l.away = errors.New("Redis is away"); true {
		if _, refused := l.take(t, "jane", "export", 1, false); refused != "error Redis is away" {
			t.Errorf("what can't be known: %q", refused)
		}
	}
	if window("a", "b:c", "d") == window("a:b", "c", "d") {
		t.Error("two users share a window")
	}
}

// TestCapacity: so many jobs of an organization may wait; they are counted once a second, and a full queue more often.
func TestCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(5)
		l.waits = 2
		const full = ": site a: queue full: 5 jobs of organization ORG-A wait already, which is bridge.queue_limit; try again when some have ended"
		some, refused := l.take(t, "jane", "mail", 4, false)
		if want := "3" + full; refused != want || !errors.Is(some[3].Err, ErrQueueFull) {
			t.Errorf("of four, where three are free: %q, want %q", refused, want)
		}
		if err := l.GiveBack(t.Context(), "a", some[:1]); err != nil {
			t.Fatal(err)
		}
		if _, refused := l.take(t, "jane", "mail", 2, false); refused != "1"+full {
			t.Errorf("of two, where one was given back: %q", refused)
		}
		if l.counted != 1 {
			t.Errorf("counted %d times within a moment, want once", l.counted)
		}
		l.waits = 0 // all have run
		if time.Sleep(200 * time.Millisecond); l.counted != 1 {
			t.Error("it was counted without being asked")
		}
		if _, refused := l.take(t, "jane", "mail", 6, false); refused != "5"+full {
			t.Errorf("after all have run: %q", refused)
		}
		// A row that is there is counted already.
		l.waits = 5
		time.Sleep(2 * time.Second)
		if _, refused := l.take(t, "jane", "mail", 1, true); refused != "" {
			t.Errorf("the fifth row: %q", refused)
		}
		l.waits = 6
		time.Sleep(2 * time.Second)
		if _, refused := l.take(t, "jane", "mail", 1, true); refused != "0"+full {
			t.Errorf("the sixth row: %q", refused)
		}
		l.QueueLimit, l.counted = -1, 0
		if _, refused := l.take(t, "jane", "mail", 100, false); refused != "" || l.counted != 0 {
			t.Errorf("without a limit: %q, counted %d times", refused, l.counted)
		}
	})
}

// TestDuplicateHash: what Frappe's as_json makes of the parameters, in whatever way they are written.
func TestDuplicateHash(t *testing.T) {
	hash := func(parameters string) string {
		h, err := DuplicateHash("echo_job", "ORG-1", json.RawMessage(parameters))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	// python3: hashlib.sha256(b'echo_job:ORG-1:{\n "a": [\n  1.5\n ],\n "b": "\\u00fc"\n}').hexdigest()[:16]
	if got, want := hash(`{"b": "ü", "a":[1.5]}`), "3cc23b1823190990"; got != want {
		t.Errorf("hash %s, want Python's %s", got, want)
	}
	for _, none := range []string{"", "null", "{ }"} {
		if hash(none) != hash("{}") {
			t.Errorf("parameters %q are others than none", none)
		}
	}
}
