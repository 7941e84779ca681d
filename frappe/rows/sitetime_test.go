package rows

import (
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
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

// The fence holds in the hour that is repeated when summer time ends, where the same text stands for two instants, and
// when the site gets another zone meanwhile, after which the same instant would have another text.
func TestTheFenceIsTheTextOfTheRow(t *testing.T) {
	_, d := installed(t, testMajor)
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	summer := time.Date(2026, 11, 1, 5, 30, 0, 123456000, time.UTC) // 01:30 EDT
	winter := summer.Add(time.Hour)                                 // 01:30 EST
	if a, b := formatTime(summer, zone), formatTime(winter, zone); a != b || a != "2026-11-01 01:30:00.123456" {
		t.Fatalf("%s and %s", a, b)
	}
	for _, at := range []time.Time{summer, winter} {
		for _, later := range []*time.Location{zone, time.FixedZone("Kolkata", 5.5*3600), time.UTC} {
			d.loc.Store(zone)
			j := newJobs(t, d, 1, StatusQueued)[0]
			own := transit(t, d, start(j.Name, at)).StartedRaw
			d.loc.Store(later)
			read := row(t, d, j.Name)
			if own != "2026-11-01 01:30:00.123456" || read.StartedRaw != own || !read.StartedAs(at) {
				t.Errorf("%v, %v later: the start says %q, the row %q and is this attempt's: %v", at, later, own, read.StartedRaw, read.StartedAs(at))
			}
			if ok, err := d.SetProgress(t.Context(), []Progress{{Name: j.Name, Fence: own, Percent: 5, Message: ""}}); err != nil || !ok[0] {
				t.Errorf("%v, %v later: progress is fenced off: %v, %v", at, later, ok, err)
			}
			if r := transit(t, d, Transition{Name: j.Name, From: StatusRunning, To: StatusCompleted, Fence: own}); !r.Applied {
				t.Errorf("%v, %v later: %+v", at, later, r)
			}
		}
	}
}

func TestStartedAs(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 123456789, time.UTC)
	for text, want := range map[string]bool{
		"2026-03-01 10:00:00.123456": true,                                                                         // UTC
		"2026-03-01 15:30:00.123456": true, "2026-03-01 05:00:00.123456": true, "2026-03-02 00:00:00.123456": true, // Kolkata, New York, Kiritimati
		"2026-03-01 10:00:00.123457": false, "2026-03-01 10:00:01.123456": false, "2026-03-03 10:00:00.123456": false, "": false, "0000-00-00 00:00:00.000000": false,
	} {
		if got := (&BackgroundJob{StartedRaw: text}).StartedAs(at); got != want {
			t.Errorf("a row with started_at %q is that of the attempt of %s: %v, want %v", text, at, got, want)
		}
	}
}

// A log is in the order in which it was written, whatever the site's clocks and zone did meanwhile.
func TestHistoryWhenTheClockChanges(t *testing.T) {
	_, d := installed(t, testMajor)
	for _, jump := range []time.Duration{-13 * time.Hour, -time.Hour, 0, time.Hour, 13 * time.Hour} {
		change := time.Now().Truncate(time.Second).Add(2 * time.Second)
		d.loc.Store(servertest.Zone(t, change, 30*time.Minute, 30*time.Minute+jump))
		name := newJobs(t, d, 1, StatusQueued)[0].Name
		at := d.Now()
		transit(t, d, start(name, at))
		time.Sleep(time.Until(change))
		r := transit(t, d, Transition{Name: name, From: StatusRunning, To: StatusCompleted})
		d.loc.Store(time.FixedZone("later", int((30*time.Minute + jump).Seconds()))) // knows nothing of the change
		entries, err := d.History(t.Context(), name)
		if err != nil || len(entries) != 4 || entries[3].ToStatus != StatusCompleted || !r.Applied {
			t.Fatalf("%s: %+v, %v", jump, entries, err)
		}
		if took := entries[3].Timestamp.Sub(entries[0].Timestamp); took < 0 || took > 10*time.Second || time.Since(entries[3].Timestamp) > 10*time.Second {
			t.Errorf("the clocks went by %s: the log is from %s to %s, want the seconds that it took", jump, entries[0].Timestamp, entries[3].Timestamp)
		}
	}
}

func TestLogNamesTellTheTime(t *testing.T) {
	at := time.Date(2026, 11, 1, 6, 30, 0, 123456000, time.UTC)
	for off, want := range map[time.Duration]time.Duration{0: 0, time.Hour: time.Hour, -13 * time.Hour: -13 * time.Hour, 5*time.Hour + 30*time.Minute: 5*time.Hour + 30*time.Minute,
		time.Minute: 0, 7 * time.Minute: 0} {
		e := LogEntry{Name: hashNames(at.Add(off), 1)[0], Timestamp: at}
		if got := e.written(); !got.Equal(at.Add(want)) {
			t.Errorf("a name of %s later: the entry is moved by %s, want %s", off, got.Sub(at), want)
		}
	}
	for _, name := range []string{"", "x", "LOG-0001", "ÄÖ"} {
		if got := (&LogEntry{Name: name, Timestamp: at}).written(); !got.Equal(at) {
			t.Errorf("a name %q, of another kind, moves the entry by %s", name, got.Sub(at))
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
