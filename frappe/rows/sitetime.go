package rows

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // sites name zones that a slim container doesn't have
)

const (
	// defaultZone is what Frappe takes when System Settings has no time zone (utils/data.py get_system_timezone).
	defaultZone    = "Asia/Kolkata"
	datetimeLayout = "2006-01-02 15:04:05.000000"
	// farthestZone is how far a zone's clocks may be from UTC; the farthest today is 14 hours ahead.
	farthestZone = 24 * time.Hour
)

// siteNow never returns a full second: Python prints one without fraction, and the desk compares strings.
func siteNow(loc *time.Location) time.Time {
	now := time.Now().In(loc).Truncate(time.Microsecond)
	if now.Nanosecond() == 0 {
		now = now.Add(time.Microsecond)
	}
	return now
}

// formatTime is t as a datetime(6) column keeps it: naive, in the site's zone.
func formatTime(t time.Time, loc *time.Location) string {
	return t.In(loc).Format(datetimeLayout)
}

// earliestText is the least text that an instant from t on has: less than that of t where clocks go back soon.
func earliestText(t time.Time, loc *time.Location) string {
	text := formatTime(t, loc)
	if _, change := t.In(loc).ZoneBounds(); !change.IsZero() {
		text = min(text, formatTime(change, loc))
	}
	return text
}

// latestText is the greatest text that an instant before t has, or that of t.
func latestText(t time.Time, loc *time.Location) string {
	text := formatTime(t, loc)
	if change, _ := t.In(loc).ZoneBounds(); !change.IsZero() {
		text = max(text, formatTime(change.Add(-time.Microsecond), loc))
	}
	return text
}

// deskTime is Python's str(datetime), which is the string that the desk compares and that realtime events carry.
func deskTime(stored string) string {
	return strings.TrimSuffix(stored, ".000000")
}

// StartedAs reports whether a row's started_at is that of the attempt which began at t, whatever zone the site had then:
// the zones of the world differ by whole minutes, and no two attempts at a row begin at the same microsecond of a minute.
func (j *BackgroundJob) StartedAs(t time.Time) bool {
	wall, err := parseTime(j.StartedRaw, time.UTC)
	offset := wall.Sub(t.Truncate(time.Microsecond))
	return err == nil && !wall.IsZero() && offset.Abs() <= farthestZone && offset%time.Minute == 0
}

// parseTime reads a datetime column. In the hour that a zone repeats when summer time ends it may mean either instant.
func parseTime(text string, loc *time.Location) (time.Time, error) {
	if text == "" || strings.HasPrefix(text, "0000-00-00") {
		return time.Time{}, nil
	}
	t, err := time.ParseInLocation("2006-01-02 15:04:05", text, loc)
	if err != nil {
		return time.Time{}, fmt.Errorf("datetime %q: %w", text, err)
	}
	return t, nil
}
