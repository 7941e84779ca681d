package frappe

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testSection is the key of common_site_config.json for whoever opens a test bench.
const testSection = "party"

func openBench(t testing.TB, dir string) (*Bench, error) {
	t.Helper()
	return OpenBench(dir, Options{Section: testSection})
}

func mustSite(t testing.TB, dir, name string) *Site {
	t.Helper()
	b, err := openBench(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Site(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
