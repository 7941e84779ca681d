package output

import (
	"bytes"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestLogLooksAlikeThroughBothLibraries(t *testing.T) {
	clock := regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}|"time":"[^"]+",`)
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log, err := NewLog(&out, "info", format)
		if err != nil {
			t.Fatal(err)
		}
		wrong := errors.New("it broke")
		log.Zero.Debug().Msg("hidden")
		log.Debug("hidden")
		log.Zero.Warn().Str("job_id", "J 1").Int("attempt", 2).Dur("again_in", 250*time.Millisecond).Err(wrong).Msg("lost")
		log.Warn("lost", "job_id", "J 1", "attempt", 2, "again_in", 250*time.Millisecond, "error", wrong)
		lines := strings.Split(clock.ReplaceAllString(out.String(), ""), "\n")
		if len(lines) != 3 || lines[0] != lines[1] {
			t.Errorf("%s: zerolog and slog write %q, want the same twice", format, lines)
		}
		if !clock.MatchString(out.String()) || strings.Count(out.String(), `"time"`) > 2 {
			t.Errorf("%s: a line has its time once, but:\n%s", format, out.String())
		}
	}
}

func TestLogLevels(t *testing.T) {
	for flag, want := range map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError} {
		log, err := NewLog(&bytes.Buffer{}, flag, "")
		if err != nil {
			t.Fatal(err)
		}
		if !log.Enabled(t.Context(), want) || log.Enabled(t.Context(), want-1) {
			t.Errorf("--log-level %s: not exactly %s and above are written", flag, want)
		}
	}
	for _, tc := range []struct{ level, format, want string }{
		{"", "", `--log-level is "", want debug`}, {"loud", "", `--log-level is "loud"`}, {"info", "xml", `--log-format is "xml", want text or json`},
	} {
		if _, err := NewLog(&bytes.Buffer{}, tc.level, tc.format); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("level %q, format %q: error %v, want %q", tc.level, tc.format, err, tc.want)
		}
	}
}
