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

// NewLog opens the log on w. The level is one of debug, info, warn and error; the format text or json, or "" for text
// on a terminal and else JSON. An error names the flag, --log-level or --log-format, that is wrong.
func NewLog(w io.Writer, level, format string) (*slog.Logger, error) {
	least, err := zerolog.ParseLevel(level)
	if err != nil || least == zerolog.NoLevel {
		return nil, fmt.Errorf("--log-level is %q, want debug, info, warn or error", level)
	}
	switch format {
	case "", "text", "json":
	default:
		return nil, fmt.Errorf("--log-format is %q, want text or json", format)
	}
	to := w
	if format == "text" || format == "" && IsTerminal(w) {
		to = zerolog.ConsoleWriter{Out: w, NoColor: !IsTerminal(w), TimeFormat: "15:04:05.000"}
	}
	return slog.New(zerolog.NewSlogHandler(zerolog.New(to).Level(least).With().Timestamp().Logger())), nil
}
