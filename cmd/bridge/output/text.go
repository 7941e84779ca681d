// Package output writes what people and programs read: tables, JSON, text that is safe for a terminal, and the log.
// It is shared by the program and its demo.
package output

import (
	"fmt"
	"strings"
	"time"
)

// OneLine makes text safe for a terminal: what jobs carry may hold line breaks and escape sequences.
func OneLine(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return '\uFFFD'
		}
		return r
	}, text)
}

// Lines is [OneLine] for text of several lines.
func Lines(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(OneLine(strings.ReplaceAll(line, "\t", "    ")), " ")
	}
	return strings.Join(lines, "\n")
}

// Squeezed is [OneLine] with runs of spaces made one.
func Squeezed(text string) string { return strings.Join(strings.Fields(OneLine(text)), " ") }

// Clip cuts text to n characters, the last of which says so.
func Clip(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return string(runes[:n-1]) + "…"
}

// ShortID is a job's name, or the first letters of the last part of an RQ id.
func ShortID(id string) string {
	if i := strings.LastIndexAny(id, ":|"); i >= 0 && i < len(id)-1 {
		return "…" + Clip(OneLine(id[i+1:]), 12)
	}
	return Clip(OneLine(id), 40)
}

// Clock is a moment for people, in its own time zone; "" if it is unset.
func Clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01-02 15:04:05")
}

// Plural is "1 job", "2 jobs".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
