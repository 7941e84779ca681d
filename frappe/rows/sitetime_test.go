package rows

import (
	"strings"
	"testing"
	"time"
)

func TestTimeZone(t *testing.T) {
	s, _ := installed(t, testMajor)
	p := newPool(t, s.Bench)
	d := poolDB(t, p, s.Name)
	if got := d.Location().String(); got != "Asia/Kolkata" {
		t.Errorf("default zone %s", got)
	}
	mustExec(t, d, "INSERT INTO tabSingles (doctype,field,value) VALUES ('System Settings','time_zone','America/New_York')")
	d.zoneRead.Store(0)
	if loc := poolDB(t, p, s.Name).Location(); loc.String() != "America/New_York" {
		t.Fatalf("after a minute the zone is %v", loc)
	}
	j := newJobs(t, d, 1, StatusQueued)[0]
	var stored string
	if err := d.x.Get(&stored, "SELECT created_at FROM `tabBackground Job`"); err != nil {
		t.Fatal(err)
	}
	zone, _ := time.LoadLocation("America/New_York")
	if want := j.CreatedAt.In(zone).Format(datetimeLayout); stored != want || time.Since(j.CreatedAt).Abs() > time.Minute {
		t.Errorf("stored %q, want the wall clock of the site, %q", stored, want)
	}
	mustExec(t, d, "UPDATE tabSingles SET value='Mars/Olympus'")
	d.zoneRead.Store(0)
	if loc := poolDB(t, p, s.Name).Location(); loc.String() != "America/New_York" {
		t.Errorf("while running, an unknown zone replaced the good one: %v", loc)
	}
	if _, err := Open(t.Context(), s); err == nil || !strings.Contains(err.Error(), `"Mars/Olympus" is not a time zone`) {
		t.Errorf("an unknown zone at start: %v", err)
	}
}

// In the hour that is repeated when summer time ends, the same text stands for two instants. The fence, which is text
// to the microsecond, holds for both.
func TestFenceInTheRepeatedHour(t *testing.T) {
	_, d := installed(t, testMajor)
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	d.loc.Store(zone)
	summer := time.Date(2026, 11, 1, 5, 30, 0, 123456000, time.UTC) // 01:30 EDT
	winter := summer.Add(time.Hour)                                 // 01:30 EST
	if a, b := formatTime(summer, zone), formatTime(winter, zone); a != b || a != "2026-11-01 01:30:00.123456" {
		t.Fatalf("%s and %s", a, b)
	}
	for _, at := range []time.Time{summer, winter} {
		j := newJobs(t, d, 1, StatusQueued)[0]
		transit(t, d, start(j.Name, at))
		fence := row(t, d, j.Name).StartedAt // may be the other instant
		if ok, err := d.SetProgress(t.Context(), []Progress{{j.Name, fence, 5, ""}, {j.Name, at, 5, ""}}); err != nil || !ok[0] || !ok[1] {
			t.Errorf("%v: progress is fenced off: %v, %v", at, ok, err)
		}
		if r := transit(t, d, Transition{Name: j.Name, From: StatusRunning, To: StatusCompleted, StartedAt: fence}); !r.Applied {
			t.Errorf("%v: %+v", at, r)
		}
	}
}

func TestNowIsNeverAFullSecond(t *testing.T) {
	for range 1000 {
		if now := siteNow(time.UTC); now.Nanosecond() == 0 || now.Nanosecond()%1000 != 0 {
			t.Fatalf("%v", now)
		}
	}
	c := ticker{time.Date(2026, 1, 1, 0, 0, 0, 999_999_000, time.UTC)}
	if got := c.next().Nanosecond(); got != 1000 {
		t.Errorf("after .999999 came .%09d", got)
	}
	if got := deskTime("2026-01-01 00:00:00.000000"); got != "2026-01-01 00:00:00" {
		t.Errorf("deskTime = %q, which Python would not print", got)
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]time.Time{"": {}, "0000-00-00 00:00:00.000000": {}, "2026-01-02 03:04:05.000006": time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		"2026-01-02 03:04:05": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} {
		if got, err := parseTime(text, time.UTC); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := parseTime("yesterday", time.UTC); err == nil {
		t.Error("no error for nonsense")
	}
}

func TestFit(t *testing.T) {
	data := columnInfo{Kind: "varchar", Chars: 5, Bytes: 20}
	text := columnInfo{Kind: "text", Chars: 10, Bytes: 10}
	for _, tc := range []struct {
		column   columnInfo
		in, want string
		cut      bool
	}{
		{data, "12345", "12345", false}, {data, "123456", "1234…", true}, {data, "äöüßé", "äöüßé", false}, {data, "äöüßéa", "äöüß…", true}, {data, "a\xffb", "a\uFFFDb", false},
		{text, "1234567890", "1234567890", false}, {text, "12345678901", "1234567…", true}, {text, "日本日本", "日本…", true}, {columnInfo{Kind: "int"}, "123456", "123456", false},
	} {
		if got, cut := tc.column.fit(tc.in); got != tc.want || cut != tc.cut {
			t.Errorf("%s(%d): %q became %q, %v, want %q, %v", tc.column.Kind, tc.column.Chars, tc.in, got, cut, tc.want, tc.cut)
		}
	}
}
