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

func TestLogLines(t *testing.T) {
	clock := regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}|"time":"[^"]+",`)
	for format, want := range map[string]string{
		"text": " WRN lost error=\"it broke\" again_in=250 attempt=2 job_id=\"J 1\"\n",
		"json": `{"level":"warn","job_id":"J 1","attempt":2,"again_in":250,"error":"it broke","message":"lost"}` + "\n",
	} {
		var out bytes.Buffer
		log, err := NewLog(&out, "info", format)
		if err != nil {
			t.Fatal(err)
		}
		wrong := errors.New("it broke")
		log.Debug("hidden")
		log.Warn("lost", "job_id", "J 1", "attempt", 2, "again_in", 250*time.Millisecond, "error", wrong)
		if got := clock.ReplaceAllString(out.String(), ""); got != want {
			t.Errorf("%s: the log has %q, want %q", format, got, want)
		}
		if !clock.MatchString(out.String()) || strings.Count(out.String(), `"time"`) > 1 {
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
