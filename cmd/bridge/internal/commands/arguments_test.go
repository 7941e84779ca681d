package commands

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
)

func TestJobArguments(t *testing.T) {
	got, err := jobArguments(`{"a": 1, "b": {"c": null}}`, []string{"a=2", "text=hello world", `code="42"`, "list=[1,2.50]", "empty=", "eq=x=y", "on=true", "big=1180591620717411303424"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"a": json.Number("2"), "b": map[string]any{"c": nil}, "text": "hello world", "code": "42", "list": []any{json.Number("1"), json.Number("2.50")},
		"empty": "", "eq": "x=y", "on": true, "big": json.Number("1180591620717411303424"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	for _, bad := range []struct {
		object string
		words  []string
	}{{"[1]", nil}, {"{}x", nil}, {"{", nil}, {"", []string{"word"}}, {"", []string{"=v"}}} {
		if _, err := jobArguments(bad.object, bad.words); exitcode.Of(err) != exitcode.Usage {
			t.Errorf("arguments %q %q: error %v, want a usage error", bad.object, bad.words, err)
		}
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"":                     {},
		"10m":                  now.Add(10 * time.Minute),
		"+10m":                 now.Add(10 * time.Minute),
		"-24h":                 now.Add(-24 * time.Hour),
		"2026-01-30":           time.Date(2026, 1, 30, 0, 0, 0, 0, time.Local),
		"2026-01-30 15:04":     time.Date(2026, 1, 30, 15, 4, 0, 0, time.Local),
		"2026-01-30T15:04:05Z": time.Date(2026, 1, 30, 15, 4, 5, 0, time.UTC),
	} {
		got, err := moment(text, now)
		if err != nil || !got.Equal(want) {
			t.Errorf("moment(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}
