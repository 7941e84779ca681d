package output

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

// IsTerminal reports whether w shows what is written to a person.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// Log is one log in the forms of both libraries: what is written through either looks alike.
type Log struct {
	*slog.Logger
	Zero zerolog.Logger
}

// NewLog opens the log on w. The level is one of debug, info, warn and error; the format text or json, or "" for text
// on a terminal and else JSON. An error names the flag, --log-level or --log-format, that is wrong.
func NewLog(w io.Writer, level, format string) (Log, error) {
	least, err := zerolog.ParseLevel(level)
	if err != nil || least == zerolog.NoLevel {
		return Log{}, fmt.Errorf("--log-level is %q, want debug, info, warn or error", level)
	}
	switch format {
	case "", "text", "json":
	default:
		return Log{}, fmt.Errorf("--log-format is %q, want text or json", format)
	}
	to := w
	if format == "text" || format == "" && IsTerminal(w) {
		to = zerolog.ConsoleWriter{Out: w, NoColor: !IsTerminal(w), TimeFormat: "15:04:05.000"}
	}
	zero := zerolog.New(to).Level(least).With().Timestamp().Logger()
	return Log{slog.New(zerolog.NewSlogHandler(zero)), zero}, nil
}
