// Package output writes what people and programs read: tables, JSON, text that is safe for a terminal, and the log.
// It is shared by the program and its demo.
package output

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
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
	if strings.HasSuffix(noun, "ch") {
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// JSON writes v as one indented JSON document.
func JSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// Table prints rows in columns; a cell never breaks its line.
func Table(w io.Writer, header []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = OneLine(cell)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// Fields prints "name  value" lines and leaves out what is empty.
func Fields(w io.Writer, pairs ...string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(t, "  %s\t%s\n", pairs[i], Squeezed(pairs[i+1]))
		}
	}
	return t.Flush()
}

// IsTerminal reports whether w shows what is written to a person.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// NewLog opens the log on w. The level is one of debug, info, warn and error; the format text or json, or "" for text
// on a terminal and else JSON. An error names the flag, --log-level or --log-format, that is wrong.
func NewLog(w io.Writer, level, format string) (*slog.Logger, error) {
	least, err := zerolog.ParseLevel(level)
	if err != nil || least == zerolog.NoLevel {
		return nil, fmt.Errorf("--log-level is %q, want debug, info, warn or error", level)
	}
	if !slices.Contains([]string{"", "text", "json"}, format) {
		return nil, fmt.Errorf("--log-format is %q, want text or json", format)
	}
	to := w
	if format == "text" || format == "" && IsTerminal(w) {
		to = zerolog.ConsoleWriter{Out: w, NoColor: !IsTerminal(w), TimeFormat: "15:04:05.000"}
	}
	return slog.New(zerolog.NewSlogHandler(zerolog.New(to).Level(least).With().Timestamp().Logger())), nil
}
