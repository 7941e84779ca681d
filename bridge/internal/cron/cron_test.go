package cron

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

func TestNext(t *testing.T) {
	for name, tc := range map[string]struct {
		schedule, zone, after string
		want                  []string
	}{
		"every five minutes":       {"*/5 * * * *", "UTC", "2026-03-01 10:02:30", []string{"10:05:00", "10:10:00"}},
		"exactly then is later":    {"*/5 * * * *", "UTC", "2026-03-01 10:05:00", []string{"10:10:00"}},
		"working days":             {"30 8 * * 1-5", "Asia/Kolkata", "2026-02-27 09:00:00", []string{"2026-03-02 08:30:00", "2026-03-03 08:30:00"}},
		"by a name":                {"@daily", "America/New_York", "2026-03-01 10:02:30", []string{"2026-03-02 00:00:00"}},
		"every hour":               {"@hourly", "UTC", "2026-12-31 23:30:00", []string{"2027-01-01 00:00:00"}},
		"once a year":              {"@yearly", "UTC", "2026-03-01 10:02:30", []string{"2027-01-01 00:00:00"}},
		"a leap day":               {"0 0 29 2 *", "UTC", "2026-03-01 10:02:30", []string{"2028-02-29 00:00:00"}},
		"every so often":           {"@every 90m", "Europe/Berlin", "2026-03-01 10:02:30.5", []string{"11:32:30", "13:02:30"}},
		"any blanks":               {"  0   6  *  * * ", "UTC", "2026-03-01 10:02:30", []string{"2026-03-02 06:00:00"}},
		"the hour that is skipped": {"30 2 * * *", "Europe/Berlin", "2026-03-28 12:00:00", []string{"2026-03-29 03:00:00 CEST", "2026-03-30 02:30:00 CEST"}},
		"before the skipped one":   {"30 1 * * *", "Europe/Berlin", "2026-03-28 12:00:00", []string{"2026-03-29 01:30:00 CET", "2026-03-30 01:30:00 CEST"}},
		"through the skipped one":  {"*/30 * * * *", "Europe/Berlin", "2026-03-29 01:20:00", []string{"01:30:00 CET", "03:00:00 CEST", "03:30:00 CEST"}},
		"the hour that comes twice": {"30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00", []string{
			"2026-10-25 02:30:00 CEST", "2026-10-26 02:30:00 CET"}},
		"through both": {"*/30 * * * *", "Europe/Berlin", "2026-10-25 01:50:00", []string{
			"02:00:00 CEST", "02:30:00 CEST", "02:00:00 CET", "02:30:00 CET", "03:00:00 CET"}},
		"half an hour":      {"45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00:00", []string{"2026-04-05 01:45:00 +11", "2026-04-06 01:45:00 +1030"}},
		"midnight is gone":  {"0 0 * * *", "America/Asuncion", "2023-09-30 12:00:00", []string{"2023-10-01 01:00:00 -03", "2023-10-02 00:00:00 -03"}},
		"one of two places": {"0 2,4 * * *", "Europe/Berlin", "2026-03-29 00:00:00", []string{"03:00:00 CEST", "04:00:00 CEST"}},
	} {
		loc, err := time.LoadLocation(tc.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.ParseInLocation(time.DateTime, tc.after, loc)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(tc.schedule)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range tc.want {
			if at, err = s.Next(at); err != nil || !strings.Contains(at.Format("2006-01-02 15:04:05 MST"), want) {
				t.Errorf("%s: next is %s, %v, want %s", name, at, err, want)
				break
			}
		}
	}
}

// TestParse says what is wrong.
func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "has 0 fields; five are expected",
		"* * * *":          "has 4 fields",
		"* * * * * *":      "has 6 fields",
		"61 * * * *":       "minute (0-59)",
		"x * * * *":        "can't be read",
		"0 0 30 2 *":       "no time in the years to come",
		"@fortnightly":     "is none of @hourly",
		"@every":           "is none of @hourly",
		"@every 10":        "a duration is expected",
		"@every 0.5s":      "a duration is expected",
		"@every -1m":       "a duration is expected",
		"@every 1.5s":      "a duration is expected",
		"@every 90000000h": "a duration is expected",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestFollowing: of the times that were missed none comes again, and @every keeps its step.
func TestFollowing(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string][3]time.Duration{
		"@every 10m":   {10 * time.Minute, 10 * time.Minute, 40 * time.Minute},
		"*/10 * * * *": {10 * time.Minute, 10 * time.Minute, 40 * time.Minute},
	} {
		s, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		for i, late := range []time.Duration{-time.Second, 3 * time.Second, 35 * time.Minute} {
			if next, err := s.Following(at, at.Add(late)); err != nil || next.Sub(at) != want[i] {
				t.Errorf("%s, done %s after its time: next is %s after it, %v, want %s", text, late, next.Sub(at), err, want[i])
			}
		}
	}
}
