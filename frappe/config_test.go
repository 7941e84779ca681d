package frappe

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseConfigErrors(t *testing.T) {
	for _, tc := range []struct {
		name, text   string
		line, column int
		says         string
	}{
		{"comma too many", "{\n \"a\": 1,\n}", 3, 1, "remove the comma before it"},
		{"comma too many in a list", `{"a": [1,]}`, 1, 10, "remove the comma before it"},
		{"comma missing", "{\n \"a\": 1\n \"b\": 2}", 3, 2, "a comma is missing"},
		{"after umlauts", "{\"ä\": \"öö\" \"b\": 1}", 1, 12, "a comma is missing"},
		{"brace missing", "{\n \"a\": 1\n", 2, 8, "missing"},
		{"quote missing", "{\"a\": \"b", 1, 9, "missing"},
		{"single quotes", "{'a': 1}", 1, 2, "double quotes"},
		{"comment", "{\n  # no\n}", 2, 3, "no comments"},
		{"python value", `{"a": True}`, 1, 7, "true, false and null"},
		{"list", "[1]", 1, 1, "one JSON object"},
		{"null", "null", 1, 1, "one JSON object"},
		{"two objects", "{}\n {}", 2, 2, "text after the end"},
		{"empty", " \n", 0, 0, "empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parseConfig("sites/x.json", []byte(tc.text))
			var e *ConfigError
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *ConfigError", err)
			}
			if e.File != "sites/x.json" || e.Line != tc.line || e.Column != tc.column || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v (line %d, column %d), want line %d, column %d, %q", err, e.Line, e.Column, tc.line, tc.column, tc.says)
			}
		})
	}
}

func TestConfigValues(t *testing.T) {
	c, err := parseConfig("x", []byte(`{"s": "text", "n": 3306, "ns": " 3307 ", "f": 2.0, "half": 2.5, "yes": true, "one": 1, "zero": 0, "no": "0", "null": null,
		"list": ["a", "b", 3], "empty": "", "o": {"k": 1}, "big": 9007199254740993}`))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"n": 3306, "ns": 3307, "f": 2, "half": 7, "yes": 1, "null": 7, "absent": 7, "s": 7, "big": 9007199254740993} {
		if got := c.Int(key, 7); got != want {
			t.Errorf("Int(%s) = %d, want %d", key, got, want)
		}
	}
	for key, want := range map[string]bool{"yes": true, "one": true, "s": true, "zero": false, "no": false, "null": false, "absent": false, "empty": false, "list": true, "o": true} {
		if got := c.Bool(key); got != want {
			t.Errorf("Bool(%s) = %v, want %v", key, got, want)
		}
	}
	for key, want := range map[string]string{"s": "text", "n": "3306", "yes": "true", "empty": "def", "null": "def", "list": "def"} {
		if got := c.String(key, "def"); got != want {
			t.Errorf("String(%s) = %q, want %q", key, got, want)
		}
	}
	if got := c.Strings("list"); len(got) != 2 || got[1] != "b" {
		t.Errorf("Strings(list) = %q", got)
	}
	if got := c.Object("o").Int("k", 0); got != 1 {
		t.Errorf("Object(o).k = %d", got)
	}
	if _, ok := c["n"].(json.Number); !ok {
		t.Errorf("numbers are %T, want json.Number", c["n"])
	}
}

func TestMergeOrder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sites", commonFile), `{"db_host": "common", "redis_queue": "redis://common:1", "a": {"x": 1}, "b": 1, "rate": null}`)
	write(t, filepath.Join(dir, "sites", "s", siteFile), `{"db_name": "n", "db_host": "site", "db_port": 3310, "a": {"y": 2}, "rate": 1}`)
	t.Setenv("FRAPPE_REDIS_QUEUE", "redis://environment:1")
	t.Setenv("FRAPPE_DB_PORT", "3399")
	t.Setenv("FRAPPE_DB_USER", "environment")
	c := mustSite(t, dir, "s").Config()
	for key, want := range map[string]string{"db_host": "site", "redis_queue": "redis://environment:1", "redis_cache": "redis://127.0.0.1:13311",
		"db_port": "3399", "db_type": "mariadb", "b": "1", "rate": "1", "db_user": "environment"} {
		if got := c.String(key, ""); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	if _, deep := c.Object("a")["x"]; deep {
		t.Error("objects were merged deeply; Frappe's overlay is shallow")
	}
}

func TestDatabaseEnvironmentIsForSixteen(t *testing.T) {
	t.Setenv("FRAPPE_DB_NAME", "environment")
	for major, want := range map[int]string{15: "file", 16: "environment", 0: "environment"} {
		if got := (Config{"db_name": "file"}).withEnvironment(major).String("db_name", ""); got != want {
			t.Errorf("Frappe %d: db_name = %q, want %q", major, got, want)
		}
	}
}

func TestConfigIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	common, site := filepath.Join(dir, "sites", commonFile), filepath.Join(dir, "sites", "s", siteFile)
	write(t, common, `{"v": 1}`)
	write(t, site, `{"db_name": "n", "w": 1}`)
	s := mustSite(t, dir, "s")
	b := s.Bench
	touch := func(path, text string) {
		write(t, path, text)
		at := time.Now().Add(time.Duration(len(text)) * time.Second) // another mtime even on a coarse clock
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	check := func(v, w int) {
		t.Helper()
		again, err := b.Site("s")
		if err != nil {
			t.Fatal(err)
		}
		if again != s {
			t.Error("another Site value for the same site")
		}
		if gv, gw := s.Config().Int("v", 0), s.Config().Int("w", 0); gv != v || gw != w {
			t.Errorf("v=%d w=%d, want %d and %d", gv, gw, v, w)
		}
	}
	check(1, 1)
	touch(common, `{"v":  2}`)
	check(2, 1)
	touch(site, `{"db_name": "n", "w":   2}`)
	check(2, 2)
	touch(common, `{"v": 3,}`)
	check(2, 2)
	if w := b.Warnings(); len(w) != 1 || !strings.Contains(w[0], commonFile+":1:9") {
		t.Errorf("warnings: %q, want one that names the place", w)
	}
	touch(common, `{"v": 4    }`)
	check(4, 2)
	if w := b.Warnings(); len(w) != 0 {
		t.Errorf("warnings after the repair: %q", w)
	}
	if err := os.Remove(site); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Site("s"); !errors.Is(err, ErrNoSuchSite) {
		t.Errorf("site without its file: %v, want ErrNoSuchSite", err)
	}
}

func TestExtraConfigIsReported(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sites", commonFile), `{"extra_config": ["vault.load"]}`)
	write(t, filepath.Join(dir, "sites", "s", siteFile), `{"db_name": "n", "extra_config": "site.load", "db_type": "postgres"}`)
	s := mustSite(t, dir, "s")
	if w := s.Bench.Warnings(); len(w) != 1 || !strings.Contains(w[0], "vault.load") {
		t.Errorf("bench: %q", w)
	}
	if w := strings.Join(s.Warnings(), "\n"); !strings.Contains(w, "site.load") || !strings.Contains(w, "postgres") {
		t.Errorf("site: %q", w)
	}
}

// What is wrong while the bench is open is told once, to the log of its options.
func TestBrokenConfigurationIsLogged(t *testing.T) {
	dir := t.TempDir()
	common := filepath.Join(dir, "sites", commonFile)
	write(t, common, `{"v": 1}`)
	var log strings.Builder
	b, err := OpenBench(dir, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	write(t, common, `{"v": 22,}`)
	for range 3 {
		if v := b.Config().Int("v", 0); v != 1 {
			t.Errorf("v = %d while the file is broken, want the last good one, 1", v)
		}
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "configuration unreadable") || !strings.Contains(text, commonFile+":1:10") {
		t.Errorf("a file broken and asked for three times left in the log:\n%s", text)
	}
}
