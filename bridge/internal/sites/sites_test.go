package sites

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

const site = "a.example.com"

// errAway is what a database that can't be reached says.
var errAway = fmt.Errorf("site a: %w", rows.ErrUnavailable)

// benchDir makes a bench of one site whose database isn't there.
func benchDir(t *testing.T) (*frappe.Bench, string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sites/common_site_config.json"), `{"bench_id": "b"}`)
	write(t, filepath.Join(dir, "apps/frappe/frappe/__init__.py"), `__version__ = "15.41.0"`)
	write(t, filepath.Join(dir, "sites", site, "site_config.json"), `{"db_name": "x", "db_password": "y", "db_socket": "`+filepath.Join(dir, "none.sock")+`"}`)
	b, err := frappe.OpenBench(dir, frappe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b, dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func logged() (*slog.Logger, *bytes.Buffer) {
	var log bytes.Buffer
	return slog.New(slog.NewTextHandler(&log, nil)), &log
}

// TestASiteThatIsAwayIsLeftAlone for three seconds, then one caller at a time sees whether it is back.
func TestASiteThatIsAwayIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, said := logged()
		s := New(Params{Log: log})
		if err := s.away(site); err != nil {
			t.Errorf("a site that nobody knows is away: %v", err)
		}
		s.note(site, errAway, false)
		if err := s.away(site); err != errAway || !s.IsNoted(site, err) || s.IsNoted(site, errors.New("x")) || s.IsNoted("b", err) {
			t.Errorf("away with %v, noted: %v, want the error that was noted", err, s.IsNoted(site, err))
		}
		time.Sleep(3*time.Second - 1)
		if s.away(site) == nil {
			t.Error("it is asked again before the three seconds are over")
		}
		if s.away("b.example.com") != nil {
			t.Error("another site is away as well")
		}
		time.Sleep(time.Nanosecond)
		first, second := s.away(site), s.away(site)
		if first != nil || second == nil {
			t.Errorf("after three seconds two callers get %v and %v, want that one is let through", first, second)
		}
		time.Sleep(2 * time.Second)
		if s.away(site) != nil {
			t.Error("the one who was let through has not answered for two seconds, and nobody else is")
		}
		s.note(site, errAway, false)
		s.note(site, nil, false)
		if s.away(site) != nil || s.IsNoted(site, errAway) {
			t.Error("it is back, and still left alone")
		}
		if got := said.String(); strings.Count(got, "can't be used; its jobs wait") != 1 || strings.Count(got, "can be used again") != 1 {
			t.Errorf("log:\n%s\nwant one line when it went and one when it is back", got)
		}
	})
}

func TestWhatCountsAsAway(t *testing.T) {
	for err, want := range map[error]bool{
		rows.ErrUnavailable: true, rows.ErrAccessDenied: true, rows.ErrNoDatabase: true,
		rows.ErrTableMissing: false, rows.ErrNoSuchJob: false, errors.New("x"): false, nil: false,
	} {
		log, _ := logged()
		s := New(Params{Log: log})
		s.note(site, err, false)
		if got := s.away(site) != nil; got != want {
			t.Errorf("after %v the site is away: %v, want %v", err, got, want)
		}
	}
}

// TestLook at a database that isn't there.
func TestLook(t *testing.T) {
	b, _ := benchDir(t)
	log, said := logged()
	pool := rows.NewPool(b)
	defer pool.Close()
	s := New(Params{Bench: b, Pool: pool, Log: log})
	looked := false
	look := func(context.Context, *rows.DB) error {
		looked = true
		return nil
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Look(ended, site, look); err == nil || s.away(site) != nil {
		t.Errorf("a look whose context ended: %v, the site is away: %v; want an error that says nothing of the site", err, s.away(site))
	}
	err := s.Look(t.Context(), site, look)
	if !errors.Is(err, rows.ErrUnavailable) || looked || !s.IsNoted(site, err) || !strings.Contains(said.String(), site) {
		t.Errorf("a look without a database: %v, looked: %v, noted: %v", err, looked, s.IsNoted(site, err))
	}
	if again := s.Look(t.Context(), site, look); again != err {
		t.Errorf("the second look: %v, want the first one's error at once", again)
	}
	for what, read := range map[string]func() error{
		"Statuses": func() error { _, err := s.Statuses(t.Context(), site, nil); return err },
		"Row":      func() error { _, err := s.Row(t.Context(), site, "x"); return err },
		"Arrival":  func() error { _, err := s.RowOfArrival(t.Context(), site, Arrival{ID: "x"}); return err },
		"Stale":    func() error { _, err := s.Stale(t.Context(), site, rows.Place{}, 1, 1); return err },
		"JobTypes": func() error { _, err := s.JobTypes(t.Context(), site); return err },
		"Org":      func() error { _, err := s.Organization(t.Context(), site, "x"); return err },
		"Find":     func() error { return s.Find(t.Context(), map[string][]string{site: nil}, false)[site].Err },
	} {
		if got := read(); got != err {
			t.Errorf("%s of a site that is away: %v, want what is noted, at once", what, got)
		}
	}
	if _, err := s.DB(t.Context(), "b.example.com"); !errors.Is(err, frappe.ErrNoSuchSite) {
		t.Errorf("a site that isn't here: %v", err)
	}
	if now := s.Now(t.Context(), "b.example.com"); !strings.HasPrefix(now, time.Now().UTC().Format("2006-01-02 ")) || len(now) != 26 {
		t.Errorf("the time of a site that can't be asked is %q, want UTC with microseconds", now)
	}
}

// TestSitesAreLookedAtOnceASecond: their files, for changes.
func TestSitesAreLookedAtOnceASecond(t *testing.T) {
	b, dir := benchDir(t)
	synctest.Test(t, func(t *testing.T) {
		s := New(Params{Bench: b})
		first, err := s.Site(site)
		if err != nil || s.Maintenance(site) || s.Maintenance("b.example.com") {
			t.Fatalf("the site: %v, in maintenance: %v, %v", err, s.Maintenance(site), s.Maintenance("b.example.com"))
		}
		if err := os.RemoveAll(filepath.Join(dir, "sites", site)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second - 1)
		if again, err := s.Site(site); again != first || err != nil {
			t.Errorf("within the second: %v, want what was seen", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := s.Site(site); !errors.Is(err, frappe.ErrNoSuchSite) {
			t.Errorf("after a second: %v, want that the site is gone", err)
		}
		write(t, filepath.Join(dir, "sites", site, "site_config.json"), `{"db_name": "x", "maintenance_mode": 1}`)
		if s.Maintenance(site) {
			t.Error("a site that is gone is looked at within the second")
		}
		time.Sleep(time.Second)
		if !s.Maintenance(site) {
			t.Error("a second later its maintenance isn't seen")
		}
		if names, err := s.Names(); err != nil || !slices.Equal(names, []string{site}) {
			t.Errorf("the sites are %v, %v", names, err)
		}
	})
}

// TestSitesThatDontExistAreForgotten: jobs may name any number of them.
func TestSitesThatDontExistAreForgotten(t *testing.T) {
	b, _ := benchDir(t)
	s := New(Params{Bench: b})
	for i := range 2500 {
		_, _ = s.Site(fmt.Sprint("none-", i))
	}
	if n := len(s.known); n > 1001 {
		t.Errorf("%d sites that don't exist are remembered", n)
	}
	long := strings.Repeat("x", 1<<20)
	if _, err := s.Site(long); !errors.Is(err, frappe.ErrNoSuchSite) || len(err.Error()) > 1000 {
		t.Errorf("a site whose name is a MiB long: %.1000v", err)
	}
	if _, remembered := s.known[long]; remembered {
		t.Error("a name of a MiB is remembered")
	}
}

func TestEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range 100 {
			names = append(names, fmt.Sprint(i))
		}
		var now, most, done atomic.Int64
		Each(slices.Values(names), func(string) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			done.Add(1)
		})
		if done.Load() != 100 || most.Load() != sideBySide {
			t.Errorf("%d of 100 sites were done, %d at once, want all, %d at once", done.Load(), most.Load(), sideBySide)
		}
	})
}

func TestFinal(t *testing.T) {
	for err, want := range map[error]bool{
		rows.ErrUnavailable: false, rows.ErrAccessDenied: false, rows.ErrNoDatabase: false, rows.ErrTableMissing: false, rows.ErrColumnMissing: false,
		rows.ErrBusy: false, errors.New("x"): false, context.Canceled: false,
		rows.ErrNoSuchJob: true, rows.ErrNoSuchOrganization: true, frappe.ErrNoSuchSite: true, rows.ErrValue: true, &moves.TransitionError{}: true,
	} {
		if got := Final(fmt.Errorf("w: %w", err)); got != want {
			t.Errorf("Final(%v) = %v, want %v", err, got, want)
		}
	}
}

func TestDeskTime(t *testing.T) {
	if got := DeskTime(time.Date(2026, 3, 1, 9, 5, 0, 1000, time.UTC)); got != "2026-03-01 09:05:00.000001" {
		t.Errorf("DeskTime = %q", got)
	}
}

func TestTheQueueOfARow(t *testing.T) {
	for priority, want := range map[string]string{"Critical": "short", "High": "short", "Normal": "default", "": "default", "Low": "long"} {
		if got := (Courier{}).queueOf(priority); got != want {
			t.Errorf("without a queue of its own a row of priority %q goes to %s, want %s", priority, got, want)
		}
		if got := NewCourier(CourierParams{OwnQueues: []string{"go", "fast"}}).queueOf(priority); got != "go" {
			t.Errorf("with queues of its own a row of priority %q goes to %s, want the first", priority, got)
		}
	}
}

// TestRequest is what frappe.enqueue would write.
func TestRequest(t *testing.T) {
	b, _ := benchDir(t)
	c := NewCourier(CourierParams{Bench: b})
	call := frappe.Call{Site: site, User: "jane@example.com", Method: "app.export", JobName: "export", IsAsync: true, Kwargs: map[string]any{"n": 1}}
	r, err := c.Request("long", "JOB-1", 0, call)
	if err != nil {
		t.Fatal(err)
	}
	if r.Queue != "b:long" || r.ID != site+"::JOB-1" || r.Call.Func != frappe.ExecuteJob || *r.Timeout != 1500 || r.Deduplicate {
		t.Errorf("request %+v, timeout %d", r, *r.Timeout)
	}
	if r.FailureCallback.Name == "" || *r.ResultTTL <= 0 || *r.FailureTTL <= 0 || r.FailureCallback.Timeout == nil {
		t.Errorf("the defaults of frappe.enqueue are missing: %+v", r)
	}
	var keys []string
	for _, key := range []string{"site", "user", "method", "event", "job_name", "is_async", "kwargs"} {
		if _, ok := r.Call.Kwargs.Get(key); ok {
			keys = append(keys, key)
		}
	}
	if diff := cmp.Diff([]string{"site", "user", "method", "event", "job_name", "is_async", "kwargs"}, keys); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if r, err := c.Request("short", "x", 77, call); err != nil || *r.Timeout != 77 {
		t.Errorf("a timeout that is asked for: %v, %v", r.Timeout, err)
	}
	if _, err := c.Request("none", "x", 0, call); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), "short, default, long") {
		t.Errorf("a queue that isn't there: %v, want one that names those that are", err)
	}
	call.Site = "b.example.com"
	if _, err := c.Request("short", "x", 0, call); !errors.Is(err, frappe.ErrNoSuchSite) {
		t.Errorf("a site that isn't there: %v", err)
	}
}

// TestNames has the sites in use that Frappe leaves out of its list: what they wait for has to be looked after as well.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	for path, text := range map[string]string{"sites/common_site_config.json": "{}", "sites/a.test/site_config.json": `{"db_name": "a"}`} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755), os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "sites/a.test"), filepath.Join(dir, "sites/alias.test")); err != nil {
		t.Fatal(err)
	}
	bench, err := frappe.OpenBench(dir, frappe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Params{Bench: bench, Log: slog.New(slog.DiscardHandler)})
	if got, err := s.Names(); err != nil || !slices.Equal(got, []string{"a.test"}) {
		t.Errorf("the sites are %v, %v, want those of Frappe's list", got, err)
	}
	s.writers["alias.test"], s.writers["dropped.test"] = &writer{}, &writer{}
	if got, err := s.Names(); err != nil || !slices.Equal(got, []string{"a.test", "alias.test"}) {
		t.Errorf("with a symlink and a dropped site in use: %v, %v, want the symlink beside the list", got, err)
	}
}
