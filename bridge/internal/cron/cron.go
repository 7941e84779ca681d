// Package cron reads the schedules of Job Schedules and finds the next time of each, in a site's zone.
//
// Where the clocks are changed, a schedule of every hour or of parts of an hour goes on as time does: it skips the hour that
// isn't there, and runs in both of those that bear the same name. One that names hours runs once on each of its days: at the
// end of the hour that isn't there, and in the first of the two.
package cron

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// named are the schedules that have a name, as cron(8) has them.
var named = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// shortest and longest bound the pause of @every.
const (
	shortest = time.Second
	longest  = 366 * 24 * time.Hour
)

// Schedule is when something is done again and again.
type Schedule struct {
	fields string
	every  time.Duration // of @every
	// hours says that it names hours.
	hours bool
}

// Parse reads the five fields of cron (minute, hour, day of the month, month, day of the week), a name such as @daily, or
// @every and a duration of Go's, as "@every 10m". The error says what is wrong, for a person.
func Parse(text string) (Schedule, error) {
	text = strings.Join(strings.Fields(text), " ")
	if pause, ok := strings.CutPrefix(text, "@every "); ok {
		d, err := time.ParseDuration(pause)
		if err != nil || d < shortest || d > longest || d%time.Second != 0 {
			return Schedule{}, fmt.Errorf("%q: after @every a duration is expected, of whole seconds, such as 90s, 10m or 1h30m", text)
		}
		return Schedule{every: d}, nil
	}
	fields := text
	if strings.HasPrefix(text, "@") {
		if fields = named[strings.ToLower(text)]; fields == "" {
			return Schedule{}, fmt.Errorf("%q is none of @hourly, @daily, @weekly, @monthly, @yearly and @every with a duration", text)
		}
	}
	if n := len(strings.Fields(fields)); n != 5 {
		return Schedule{}, fmt.Errorf("%q has %d fields; five are expected: minute, hour, day of the month, month, day of the week, such as 30 8 * * 1-5", text, n)
	}
	if !gronx.IsValid(fields) {
		return Schedule{}, fmt.Errorf("%q: a field can't be read; they are minute (0-59), hour (0-23), day of the month (1-31), month (1-12) and day of the week (0-6)", text)
	}
	s := Schedule{fields: fields, hours: !strings.HasPrefix(strings.Fields(fields)[1], "*")}
	if _, err := s.Next(time.Now()); err != nil {
		return Schedule{}, fmt.Errorf("%q: %w", text, err)
	}
	return s, nil
}

var errNever = errors.New("it has no time in the years to come")

// Next is the first time after another one, in its zone.
func (s Schedule) Next(after time.Time) (time.Time, error) {
	if s.every > 0 {
		return after.Truncate(time.Second).Add(s.every), nil
	}
	at, including := after, false
	for range 1000 {
		// Within a stretch in which nobody changes the clocks.
		begin, end := at.ZoneBounds()
		_, offset := at.Zone()
		tick, err := gronx.NextTickAfter(s.fields, at.In(time.FixedZone("", offset)), including)
		if err != nil {
			return time.Time{}, errNever
		}
		tick, including = tick.In(after.Location()), false
		switch gap := shift(end); {
		case !end.IsZero() && !tick.Before(end) && s.hours && tick.Sub(end) < gap:
			return end, nil // its hour isn't there
		case !end.IsZero() && !tick.Before(end):
			at, including = end, true
		case s.hours && tick.Sub(begin) < -shift(begin):
			at = tick // it came in the first of the two hours
		default:
			return tick, nil
		}
	}
	return time.Time{}, errNever
}

// shift is by how much the clocks are put forward at an instant; the zero time is none.
func shift(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	_, before := at.Add(-time.Nanosecond).Zone()
	_, then := at.Zone()
	return time.Duration(then-before) * time.Second
}

// Following is the time after one that was planned, later than now: of those that were missed none comes again.
func (s Schedule) Following(planned, now time.Time) (time.Time, error) {
	if s.every > 0 {
		missed := max(now.Sub(planned), 0) / s.every
		return planned.Add((missed + 1) * s.every), nil
	}
	if now.Before(planned) {
		now = planned
	}
	return s.Next(now)
}
