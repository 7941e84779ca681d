package rows

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// jobSeriesOption is the naming series of Background Job, as its field naming_series holds it.
var jobSeriesOption = "JOB-.YYYY.-"

// jobSeries is that with the counter that Frappe appends (model/naming.py make_autoname).
var jobSeries = parseSeries(jobSeriesOption + ".#####")

// series is a naming series taken apart: what stands before and after its counter, and the counter's width.
type series struct {
	before, after []string
	digits        int
}

// parseSeries splits a template at its dots. The first part made of # is the counter.
func parseSeries(template string) series {
	s := series{}
	for _, part := range strings.Split(template, ".") {
		switch {
		case part == "":
		case s.digits == 0 && strings.Trim(part, "#") == "":
			s.digits = len(part)
		case s.digits == 0:
			s.before = append(s.before, part)
		default:
			s.after = append(s.after, part)
		}
	}
	return s
}

// key is the counter's name in tabSeries: everything before the counter, with today's date in the site's zone.
func (s series) key(now time.Time) string { return expand(s.before, now) }

// name is the document's name for one value of the counter. Longer numbers aren't cut.
func (s series) name(now time.Time, counter int64) string {
	return fmt.Sprintf("%s%0*d%s", s.key(now), s.digits, counter, expand(s.after, now))
}

func expand(parts []string, now time.Time) string {
	var b strings.Builder
	for _, p := range parts {
		switch p {
		case "YYYY":
			p = now.Format("2006")
		case "YY":
			p = now.Format("06")
		case "MM":
			p = now.Format("01")
		case "DD":
			p = now.Format("02")
		}
		b.WriteString(p)
	}
	return b.String()
}

// nextNumbers draws n numbers of a counter and returns the first. It is one statement, which is safe against Frappe's
// SELECT … FOR UPDATE and UPDATE of the same row, and, unlike those, against another one that creates the same new key.
// In a transaction the counter's row stays locked until its end, and a rollback gives the numbers back.
func nextNumbers(ctx context.Context, q queryer, key string, n int) (first int64, err error) {
	var last int64
	err = q.QueryRowContext(ctx, "INSERT INTO `tabSeries` (`name`,`current`) VALUES (?,?) ON DUPLICATE KEY UPDATE `current`=`current`+VALUES(`current`) RETURNING `current`", key, n).Scan(&last)
	if err != nil {
		return 0, err
	}
	return last - int64(n) + 1, nil
}

// queryer is a pool or a transaction.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

const (
	hashAlphabet = "0123456789abcdefghijklmnopqrstuv" // base32hex in lower case, as Frappe's generate_hash
	hashLength   = 10
)

// hashNames draws n names for a DocType that is named by hash. They start with four characters of the time in tenths of
// a second, as Frappe's do, so that rows that are written together lie together; the rest is random in the first name
// and counts up in the others, so that names of one batch never collide.
func hashNames(now time.Time, n int) []string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand aborts the program instead
	tail := uint32(random[0])<<24 | uint32(random[1])<<16 | uint32(random[2])<<8 | uint32(random[3])
	head := uint32(now.UnixMilli() / 100)
	names := make([]string, n)
	for i := range names {
		names[i] = base32(head, 4) + base32(tail+uint32(i), hashLength-4)
	}
	return names
}

// base32 are the last digits of v.
func base32(v uint32, digits int) string {
	var b [hashLength]byte
	for i := digits - 1; i >= 0; i-- {
		b[i] = hashAlphabet[v&31]
		v >>= 5
	}
	return string(b[:digits])
}
