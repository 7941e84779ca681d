package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// addSchedule is what Frappe does for an insert of a Job Schedule.
func (b *bed) addSchedule(name, user, owner, schedule string) {
	b.t.Helper()
	b.exec("INSERT INTO `tabJob Schedule` (name,creation,modified,owner,modified_by,schedule_name,job_type,organization,owner_user,schedule,is_enabled,parameters)"+
		" VALUES (?,?,?,?,?,?,'count','ORG-A',?,?,1,'{\"n\": 1}')", name, b.now(), b.now(), user, user, name, owner, schedule)
	b.tellSchedule(name)
}

// tellSchedule is what Frappe publishes after a save.
func (b *bed) tellSchedule(name string) {
	b.t.Helper()
	text, err := json.Marshal(map[string]any{"event": "list_update", "message": map[string]any{"doctype": "Job Schedule", "name": name}, "namespace": testSite, "room": "doctype:Job Schedule"})
	if err == nil {
		err = b.rdb.Publish(b.t.Context(), "events", text).Err()
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// schedule reads a Job Schedule.
func (b *bed) schedule(name string) *rows.JobSchedule {
	b.t.Helper()
	all, err := b.client().Schedules(b.t.Context(), testSite)
	if err != nil {
		b.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(s *rows.JobSchedule) bool { return s.Name == name })
	if i < 0 {
		b.t.Fatalf("there is no schedule %s", name)
	}
	return all[i]
}

// waitSchedule waits until a Job Schedule says something.
func (b *bed) waitSchedule(name, what string, does func(*rows.JobSchedule) bool) (s *rows.JobSchedule) {
	b.t.Helper()
	b.eventually("the schedule "+name+" "+what, func() bool { s = b.schedule(name); return does(s) }, func() string { return fmt.Sprintf("%+v", s) })
	return s
}

// TestACronOfEverySecond on three bridges: each second has one job, which starts at once. BRIDGE_TEST_CRON is for how long.
func TestACronOfEverySecond(t *testing.T) {
	t.Parallel()
	lasts := 12 * time.Second
	if d, err := time.ParseDuration(os.Getenv("BRIDGE_TEST_CRON")); err == nil {
		lasts = d
	}
	b := newBed(t, nil)
	b.countTypes()
	c := &startTimes{}
	for range 3 {
		b.start(c.register)
	}
	b.hears()
	b.addSchedule("each second", "jane@example.com", "jane@example.com", "@every 1s")
	first := b.waitSchedule("each second", "is planned", func(s *rows.JobSchedule) bool { return !s.NextRunAt.IsZero() }).NextRunAt
	time.Sleep(time.Until(first.Add(lasts - 500*time.Millisecond)))
	b.exec("UPDATE `tabJob Schedule` SET is_enabled=0")
	b.tellSchedule("each second")
	b.waitSchedule("each second", "has ended", func(s *rows.JobSchedule) bool { return s.NextRunAt.IsZero() })
	time.Sleep(1500 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	late, seconds := []time.Duration{}, map[int64]int{}
	for _, at := range c.at {
		late = append(late, at.Sub(first)%time.Second)
		seconds[int64(at.Sub(first)/time.Second)]++
	}
	var jobs int
	if err := b.sql.Get(&jobs, "SELECT COUNT(*) FROM `tabBackground Job`"); err != nil {
		t.Fatal(err)
	}
	slices.Sort(late)
	n := int(lasts / time.Second)
	t.Logf("%d jobs in %s, median %s late, p99 %s", jobs, lasts, late[len(late)/2], late[len(late)*99/100])
	// A second that went by while all three were held up is missed; the last may have begun as the schedule was disabled.
	if jobs > n+1 || jobs < n-1-n/20 || len(c.at) != jobs {
		t.Errorf("%d jobs in %s, of which %d ran, want %d", jobs, lasts, len(c.at), n)
	}
}

// TestSchedules: what is said in the desk counts within seconds, and what is wrong is said there.
func TestSchedules(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.countTypes()
	b.addUser("joe@example.com")
	b.zone("Europe/Berlin")
	var mu sync.Mutex
	var ran []string
	register := func(e *Engine) {
		Register(e, "count", func(_ context.Context, job *Job[map[string]any]) (any, error) {
			mu.Lock()
			defer mu.Unlock()
			ran = append(ran, fmt.Sprint(job.User, job.Organization, job.Params))
			return nil, nil
		})
	}
	first := b.start(register)
	b.hears()
	b.addSchedule("nightly", "jane@example.com", "jane@example.com", "30 2 * * *")
	s := b.waitSchedule("nightly", "is planned", func(s *rows.JobSchedule) bool { return s.NextRuns != "" })
	if lines := strings.Split(s.NextRuns, "\n"); len(lines) != 5 || !strings.Contains(lines[0], " 02:30:00 CE") || s.NextRunAt.IsZero() {
		t.Errorf("the next times are %q", s.NextRuns)
	}
	b.exec("UPDATE `tabJob Schedule` SET schedule='61 * * * *' WHERE name='nightly'")
	b.tellSchedule("nightly")
	s = b.waitSchedule("nightly", "says what is wrong", func(s *rows.JobSchedule) bool { return s.Error != "" })
	if !strings.Contains(s.Error, "minute (0-59)") || !s.NextRunAt.IsZero() || s.NextRuns != "" {
		t.Errorf("of a wrong schedule it says %q, and it is next %s", s.Error, s.NextRunAt)
	}
	b.exec("UPDATE `tabJob Schedule` SET schedule='@daily' WHERE name='nightly'")
	b.tellSchedule("nightly")
	b.waitSchedule("nightly", "is planned anew", func(s *rows.JobSchedule) bool { return s.Error == "" && strings.Contains(s.NextRuns, " 00:00:00 CE") })

	// It is missed while no bridge runs, several times.
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	b.exec("UPDATE `tabJob Schedule` SET planned=CONCAT(?, SUBSTRING(planned, 21)) WHERE name='nightly'", time.Now().Add(-75*time.Hour).UTC().Format(time.RFC3339))
	b.start(register)
	b.hears()
	s = b.waitSchedule("nightly", "was made up for", func(s *rows.JobSchedule) bool { return s.LastJob != "" })
	b.waitRow(s.LastJob, rows.StatusCompleted)
	if time.Until(s.NextRunAt) > 25*time.Hour || time.Until(s.NextRunAt) < 0 || time.Since(s.LastRunAt).Abs() > time.Minute {
		t.Errorf("it ran %s, and is next %s", s.LastRunAt, s.NextRunAt)
	}

	// Joe belongs to no organization, and may not submit for Jane.
	for name, owner := range map[string]string{"joe's": "joe@example.com", "jane's": "jane@example.com"} {
		b.addSchedule(name, "joe@example.com", owner, "@every 1s")
	}
	for name, want := range map[string]string{"joe's": "joe@example.com doesn't belong to organization ORG-A", "jane's": "joe@example.com saved it for jane@example.com"} {
		s := b.waitSchedule(name, "is refused", func(s *rows.JobSchedule) bool { return s.Error != "" })
		if !strings.Contains(s.Error, want) || s.LastJob != "" || s.NextRunAt.IsZero() {
			t.Errorf("%s: %q, last job %q; want %q", name, s.Error, s.LastJob, want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"jane@example.comORG-Amap[n:1]"}; !slices.Equal(ran, want) {
		t.Errorf("there ran %q, want %q", ran, want)
	}
}
