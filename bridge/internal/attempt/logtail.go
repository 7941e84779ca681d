package attempt

import (
	"context"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// What a row keeps of an attempt's log.
const (
	tailLines = 50
	tailBytes = 8 << 10
	// tailLine is how many bytes of one line are kept.
	tailLine = 500
)

// logTail has the last lines of a log. The zero value is empty.
type logTail struct {
	lines []string
	bytes int // of the lines, each with its end
}

// add takes a text of one or more lines.
func (t *logTail) add(text string) {
	for line := range strings.Lines(text) {
		if line = readable(line); line == "" {
			continue
		}
		t.lines, t.bytes = append(t.lines, line), t.bytes+len(line)+1
		for len(t.lines) > tailLines || t.bytes > tailBytes {
			t.bytes -= len(t.lines[0]) + 1
			t.lines[0] = ""
			t.lines = t.lines[1:]
		}
	}
}

func (t *logTail) String() string { return strings.Join(t.lines, "\n") }

// readable is a line as a page can show it: cut, and without what only a terminal understands.
func readable(line string) string {
	if len(line) > tailLine {
		end := tailLine - len("…")
		for end > 0 && !utf8.RuneStart(line[end]) {
			end--
		}
		line = line[:end] + "…"
	}
	line = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(line, "\uFFFD"))
	return strings.TrimRight(line, " \t")
}

// heard is the reporter of a handler: what it logs is kept for its row.
type heard struct{ *run }

// Log implements job.Reporter.
func (h heard) Log() *slog.Logger {
	log := slog.New(jobFields{h.loud.Handler(), h.run})
	if h.rowName() == "" {
		return log // nobody would see it
	}
	return slog.New(keeping{Handler: log.Handler(), run: h.run})
}

// keeping keeps the lines that it passes on.
type keeping struct {
	slog.Handler
	run *run
	// attrs are what WithAttrs and WithGroup have added, as text.
	attrs, group string
}

// Enabled implements slog.Handler: what a program says is kept even if the log doesn't want it.
func (k keeping) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= job.LevelOutput || k.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (k keeping) Handle(ctx context.Context, line slog.Record) error {
	wanted := k.Handler.Enabled(ctx, line.Level)
	switch {
	case line.Message == job.OutputLine:
		line.Attrs(func(a slog.Attr) bool {
			k.run.progress.logged(a.Value.String())
			return false
		})
	case wanted || line.Level >= slog.LevelInfo:
		k.run.progress.logged(k.text(line))
	}
	if !wanted {
		return nil
	}
	return k.Handler.Handle(ctx, line)
}

// text is a record as a line for people: level, unless it is the usual one, message, and what belongs to it.
func (k keeping) text(line slog.Record) string {
	var b strings.Builder
	if line.Level != slog.LevelInfo {
		b.WriteString(line.Level.String() + " ")
	}
	b.WriteString(line.Message + k.attrs)
	line.Attrs(func(a slog.Attr) bool {
		b.WriteString(k.attr(a))
		return b.Len() < tailLine
	})
	return b.String()
}

func (k keeping) attr(a slog.Attr) string {
	return " " + k.group + a.Key + "=" + a.Value.Resolve().String()
}

// WithAttrs implements slog.Handler.
func (k keeping) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		k.attrs += k.attr(a)
	}
	k.Handler = k.Handler.WithAttrs(attrs)
	return k
}

// WithGroup implements slog.Handler.
func (k keeping) WithGroup(name string) slog.Handler {
	if name != "" {
		k.group += name + "."
	}
	k.Handler = k.Handler.WithGroup(name)
	return k
}
