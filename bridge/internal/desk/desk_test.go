package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

const site = "a.example.com"

var subject = sites.Subject{Site: site, Name: "JOB-1", JobType: "export", Organization: "ORG-A", Owner: "jane@example.com"}

// TestAMoveIsTold to the organization, to open forms, to the owner and the members, and to the stock desk.
func TestAMoveIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{}
		d, _, stop := open(t, p, []string{"anna@example.com", "jane@example.com"}, nil)
		d.Moved(moved(rows.StatusQueued, rows.StatusRunning, rows.BackgroundJob{}))
		synctest.Wait()
		stop()
		want := []string{"org:ORG-A", "doc:Company/ORG-A", "user:anna@example.com", "doc:Background Job/JOB-1", "user:jane@example.com"}
		if diff := cmp.Diff(want, p.rooms(EventStatusChanged)); diff != "" {
			t.Errorf("rooms (-want +got):\n%s", diff)
		}
		if n := len(p.events); n != 2 {
			t.Errorf("%d messages, want one for those who may read the document and one for others", n)
		}
		for _, e := range p.events {
			wantMessage := map[string]any{"job_id": "JOB-1", "from_status": "Queued", "to_status": "Running", "updated_at": "2026-03-01 10:00:00.000001"}
			if diff := cmp.Diff(wantMessage, message(t, e)); diff != "" || e.Site != site {
				t.Errorf("rooms %s of site %s (-want +got):\n%s", e.Rooms, e.Site, diff)
			}
		}
		if want := []string{"doc " + site + " Background Job JOB-1 2026-03-01 10:00:00.000001", "list " + site + " Background Job JOB-1"}; !slices.Equal(p.hints, want) {
			t.Errorf("hints for the stock desk %v, want %v", p.hints, want)
		}
		if !p.closed {
			t.Error("the publisher isn't closed at the end")
		}
	})
}

// TestWhatAMoveWrote is for those only who may read the document.
func TestWhatAMoveWrote(t *testing.T) {
	for name, tc := range map[string]struct {
		to      rows.Status
		written rows.BackgroundJob
		extra   map[string]any
	}{
		"an output":                  {rows.StatusCompleted, rows.BackgroundJob{OutputReference: "/files/out.txt"}, map[string]any{"output_reference": "/files/out.txt"}},
		"an output of several lines": {rows.StatusCompleted, rows.BackgroundJob{OutputReference: "{\n \"a\": 1\n}"}, map[string]any{"output_reference": "{\n \"a\": 1\n}"}},
		"an output that a row cuts":  {rows.StatusCompleted, rows.BackgroundJob{OutputReference: strings.Repeat("ä", 141)}, map[string]any{"output_reference": strings.Repeat("ä", 139) + "…"}},
		"an output that fits":        {rows.StatusCompleted, rows.BackgroundJob{OutputReference: strings.Repeat("ä", 140)}, map[string]any{"output_reference": strings.Repeat("ä", 140)}},
		"an error":                   {rows.StatusDeadLetter, rows.BackgroundJob{ErrorMessage: "boom\nsecond line"}, map[string]any{"error_message": "boom\nsecond line"}},
		"nothing":                    {rows.StatusCanceled, rows.BackgroundJob{}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &publisher{}
			d, _, stop := open(t, p, []string{"anna@example.com"}, nil)
			d.Moved(moved(rows.StatusRunning, tc.to, tc.written))
			stop()
			for room, extra := range map[string]map[string]any{
				"user:jane@example.com": tc.extra, "doc:Background Job/JOB-1": tc.extra,
				"user:anna@example.com": nil, "org:ORG-A": nil, "doc:Company/ORG-A": nil,
			} {
				got := message(t, p.to(room)[0])
				for _, field := range []string{"output_reference", "error_message", "progress_message"} {
					if got[field] != extra[field] {
						t.Errorf("%s: %s hears %s as %v, want %v", name, room, field, got[field], extra[field])
					}
				}
				if got["to_status"] != string(tc.to) {
					t.Errorf("%s: %s hears of %v", name, room, got)
				}
			}
		})
	}
}

// TestACompletedJobIsAtAHundredPercent: whoever follows its progress sees the end.
func TestACompletedJobIsAtAHundredPercent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{}
		d, _, stop := open(t, p, nil, nil)
		d.Moved(moved(rows.StatusRunning, rows.StatusCompleted, rows.BackgroundJob{ProgressMessage: "done"}))
		stop()
		if got, want := p.rooms(EventProgress), p.rooms(EventStatusChanged); len(got) != 4 || !slices.Equal(got, want) {
			t.Errorf("the end of the progress goes to %v, want %v", got, want)
		}
		last := p.events[len(p.events)-1]
		want := map[string]any{"job_id": "JOB-1", "status": "Completed", "progress": 100.0, "progress_message": "done", "updated_at": "2026-03-01 10:00:00.000001"}
		if diff := cmp.Diff(want, message(t, last)); diff != "" || last.Name != EventProgress {
			t.Errorf("the last event %s (-want +got):\n%s", last.Name, diff)
		}
		if len(p.hints) != 2 {
			t.Errorf("hints %v, want one of each kind", p.hints)
		}
	})
}

func TestProgressIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{}
		d, _, stop := open(t, p, nil, nil)
		d.Progressed(sites.Progressed{Subject: subject, Percent: 42.5, Message: "half\n" + strings.Repeat("x", 140), At: "at"})
		stop()
		if want := []string{"org:ORG-A", "doc:Company/ORG-A", "doc:Background Job/JOB-1", "user:jane@example.com"}; !slices.Equal(p.rooms(EventProgress), want) {
			t.Errorf("rooms %v, want %v", p.rooms(EventProgress), want)
		}
		want := map[string]any{"job_id": "JOB-1", "status": "Running", "progress": 42.5, "updated_at": "at"}
		if diff := cmp.Diff(want, message(t, p.to("org:ORG-A")[0])); diff != "" {
			t.Errorf("message to the organization (-want +got):\n%s", diff)
		}
		want["progress_message"] = "half\n" + strings.Repeat("x", 134) + "…"
		if diff := cmp.Diff(want, message(t, p.to("user:jane@example.com")[0])); diff != "" {
			t.Errorf("message to the owner (-want +got):\n%s", diff)
		}
		// A form that is open must not be told of a new version: `modified` stays as it is.
		if want := []string{"list " + site + " Background Job JOB-1"}; !slices.Equal(p.hints, want) {
			t.Errorf("hints %v, want %v", p.hints, want)
		}
	})
}

// TestPlainProgressIsItsUsersAlone, and there is no document to look at.
func TestPlainProgressIsItsUsersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{}
		d, _, stop := open(t, p, []string{"anna@example.com"}, nil)
		d.PlainProgress("", "jane@example.com", "id", 1, "of no site")
		d.PlainProgress(site, "", "id", 1, "of nobody")
		d.PlainProgress(site, "jane@example.com", "id", 42, "half")
		stop()
		if len(p.events) != 1 || !slices.Equal(p.events[0].Rooms, []string{"user:jane@example.com"}) || p.events[0].Name != EventProgress || p.events[0].Site != site || len(p.hints) > 0 {
			t.Fatalf("events %+v, hints %v, want one event for jane", p.events, p.hints)
		}
		want := map[string]any{"job_id": "id", "status": "Running", "progress": 42.0, "progress_message": "half", "updated_at": "now on " + site}
		if diff := cmp.Diff(want, message(t, p.events[0])); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	})
}

// TestMembers: at most 50 beside the owner, each once; nobody while they can't be read.
func TestMembers(t *testing.T) {
	var many []string
	for i := range 60 {
		many = append(many, fmt.Sprintf("user%02d@example.com", i))
	}
	for name, tc := range map[string]struct {
		members []string
		err     error
		want    int
	}{
		"nobody else":       {nil, nil, 0},
		"the owner too":     {[]string{"anna@example.com", "jane@example.com"}, nil, 1},
		"as many as may be": {many[:50], nil, 50},
		"one too many":      {many[:51], nil, 50},
		"a crowd":           {many, nil, 50},
		"can't be read":     {many, errors.New("no database"), 0},
	} {
		d := New(Params{Members: func(context.Context, string, string) ([]string, error) { return tc.members, tc.err }})
		got := d.members(t.Context(), subject)
		if len(got) != tc.want || slices.Contains(got, "jane@example.com") {
			t.Errorf("%s: %d are told beside the owner: %v, want %d others", name, len(got), got, tc.want)
		}
	}
}

// TestEventsGoOutInOrder, although they are joined, and a slow site delays no other.
func TestEventsGoOutInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{slow: map[string]time.Duration{site: time.Minute}}
		d, _, stop := open(t, p, nil, nil)
		var want []string
		for i := range 20 {
			s := subject
			s.Name = fmt.Sprint("JOB-", i)
			d.Progressed(sites.Progressed{Subject: s})
			want = append(want, "doc:Background Job/"+s.Name)
		}
		other := subject
		other.Site, other.Name = "b.example.com", "JOB-b"
		d.Progressed(sites.Progressed{Subject: other})
		synctest.Wait()
		if sent := p.sent(); len(sent) != 2 || sent[0].Site != "b.example.com" {
			t.Errorf("while one site's events are slow %d others went out, want the 2 of the other site", len(sent))
		}
		time.Sleep(time.Hour)
		stop()
		var got []string
		for _, room := range p.rooms(EventProgress) {
			if strings.HasPrefix(room, "doc:Background Job/") && room != "doc:Background Job/JOB-b" {
				got = append(got, room)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("events went out as %v, want %v", got, want)
		}
		if p.calls > 4 {
			t.Errorf("21 events went out in %d calls, want them joined", p.calls)
		}
	})
}

// TestAPublisherThatFails harms nothing: the failure is logged and the next event goes out.
func TestAPublisherThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{err: realtime.ErrAway}
		d, log, stop := open(t, p, nil, nil)
		d.Moved(moved(rows.StatusQueued, rows.StatusRunning, rows.BackgroundJob{}))
		synctest.Wait()
		if got := log.String(); !strings.Contains(got, "realtime events not published") || !strings.Contains(got, "site="+site) || !strings.Contains(got, "events=2") {
			t.Errorf("the log says %q, want that 2 events of the site are lost", got)
		}
		p.err = nil
		d.Moved(moved(rows.StatusRunning, rows.StatusCanceled, rows.BackgroundJob{}))
		synctest.Wait()
		if len(p.events) != 2 {
			t.Errorf("%d events went out when Redis is back, want those of the second move", len(p.events))
		}
		p.err = realtime.ErrAway
		stop()
		if !strings.Contains(log.String(), "last realtime events not sent") {
			t.Errorf("the log lacks what couldn't be sent at the end:\n%s", log.String())
		}
	})
}

// TestTooMuchIsDropped, and said.
func TestTooMuchIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{slow: map[string]time.Duration{site: time.Hour}}
		d, log, stop := open(t, p, nil, nil)
		d.PlainProgress(site, "jane@example.com", "id", 1, "x")
		synctest.Wait()
		shared := news{about: sites.Subject{Site: site, Owner: "jane@example.com"}, message: map[string]any{}}
		for range maxWaiting + 1 {
			d.lanes.Add(site, shared)
		}
		if want := fmt.Sprint("events=", maxWaiting); !strings.Contains(log.String(), "realtime events dropped: Redis was away too long") || !strings.Contains(log.String(), want) {
			t.Errorf("the log says %q, want %s", log.String(), want)
		}
		time.Sleep(3 * time.Hour)
		stop()
	})
}

func TestBrief(t *testing.T) {
	_, panicked := job.Protect(func() (any, error) { panic(strings.Repeat("ä", 600)) })
	long := panicked.Error()
	for given, want := range map[string]string{
		"short": "short", "first\nsecond": "first\nsecond", strings.Repeat("ä", 500): strings.Repeat("ä", 500), "": "",
		strings.Repeat("ä", 501): strings.Repeat("ä", 499) + "…",
	} {
		if got := brief(given); got != want {
			t.Errorf("brief(%q) = %q, want %q", given, got, want)
		}
	}
	if got := brief(long); len([]rune(got)) != 500 || !strings.HasSuffix(got, "…") {
		t.Errorf("a panic becomes %d letters: %q, want 500 of them", len([]rune(got)), got)
	}
}
