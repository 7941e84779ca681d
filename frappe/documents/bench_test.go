package documents

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/opensoft/dartwing-bridge/frappe"
)

// newBench is a bench whose Python finds testdata's frappe, with the sites good, broken and closed.
func newBench(t *testing.T) *frappe.Bench {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 here")
	}
	stub, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PYTHONPATH", stub)
	t.Setenv("PYTHONDONTWRITEBYTECODE", "1")
	dir := t.TempDir()
	for file, text := range map[string]string{
		"sites/common_site_config.json": "{}", "sites/good/site_config.json": "{}", "sites/broken/site_config.json": "{}",
		"sites/closed/site_config.json": `{"maintenance_mode": 1}`,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "env/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(python, filepath.Join(dir, "env/bin/python")); err != nil {
		t.Fatal(err)
	}
	b, err := frappe.OpenBench(dir, frappe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t *testing.T, b *frappe.Bench, site string) Site {
	t.Helper()
	s, err := OnBench(t.Context(), b, site, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestOnBench(t *testing.T) {
	ctx, s := t.Context(), open(t, newBench(t), "good")
	if got, err := s.Get(ctx, "Client Script", "Try"); got != nil || err != nil {
		t.Errorf("what isn't there is %v, %v", got, err)
	}
	if got, err := s.Get(ctx, "Missing", "Try"); got != nil || err != nil {
		t.Errorf("what has no DocType is %v, %v", got, err)
	}
	fields := map[string]any{"doctype": "Client Script", "name": "Try", "script": "ä\n\"'"}
	got, err := s.Bring(ctx, fields)
	if err != nil {
		t.Fatal(err)
	}
	fields["modified"] = "now"
	if diff := cmp.Diff(fields, got); diff != "" {
		t.Errorf("what was brought (-want +got):\n%s", diff)
	}
	if _, err := s.Save(ctx, "Client Script", "Try", map[string]any{"enabled": 1}); err != nil {
		t.Error(err)
	}
	if got, err := s.Get(ctx, "Client Script", "Try"); err != nil || got["enabled"] != 1.0 {
		t.Errorf("after Save it is %v, %v", got, err)
	}
	if n, err := s.Count(ctx, "Client Script"); n != 1 || err != nil {
		t.Errorf("counted %d, %v", n, err)
	}
	if err := s.Delete(ctx, "Client Script", "Try"); err != nil {
		t.Error(err)
	}
	if got, err := s.Get(ctx, "Client Script", "Try"); got != nil || err != nil {
		t.Errorf("what was deleted is %v, %v", got, err)
	}
}

// TestAnErrorLeavesNothing, and the next request is answered all the same.
func TestAnErrorLeavesNothing(t *testing.T) {
	ctx, s := t.Context(), open(t, newBench(t), "good")
	_, err := s.Bring(ctx, map[string]any{"doctype": "Report", "name": "A", "bad": 1})
	if err == nil || err.Error() != "ValidationError: Mandatory field:  title" {
		t.Errorf("error is %v", err)
	}
	if got, err := s.Get(ctx, "Report", "A"); got != nil || err != nil {
		t.Errorf("it is there: %v, %v", got, err)
	}
}

func TestPythonThatDies(t *testing.T) {
	ctx, s := t.Context(), open(t, newBench(t), "good")
	for range 2 {
		if err := s.Forget(ctx); err == nil || !strings.Contains(err.Error(), "the bench's Python ended") {
			t.Errorf("error is %v", err)
		}
	}
}

func TestInterruptedPython(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := open(t, newBench(t), "good")
	cancel()
	if _, err := s.Get(ctx, "Report", "A"); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestSitesThatCantBeOpened(t *testing.T) {
	b := newBench(t)
	for site, want := range map[string]string{
		"broken": "open site broken in the bench's Python: ValidationError: the  database  is away",
		"closed": "in maintenance mode",
		"other":  "no such site",
	} {
		if _, err := OnBench(t.Context(), b, site, true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("site %s: error is %v, want one with %q", site, err, want)
		}
	}
	if err := os.Remove(filepath.Join(b.Dir, "env/bin/python")); err != nil {
		t.Fatal(err)
	}
	if _, err := OnBench(t.Context(), b, "good", true); !errors.Is(err, ErrNoBench) {
		t.Errorf("without a Python the error is %v", err)
	}
}

func TestBenchUser(t *testing.T) {
	if as, err := benchUser(t.TempDir()); as != nil || err != nil {
		t.Errorf("in one's own directory: %v, %v", as, err)
	}
	if os.Geteuid() != 0 {
		if _, err := benchUser("/"); !errors.Is(err, ErrNoBench) || !strings.Contains(err.Error(), "belongs to root") {
			t.Errorf("in root's directory the error is %v", err)
		}
		return
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 12345, 54321); err != nil {
		t.Fatal(err)
	}
	if as, err := benchUser(dir); err != nil || as == nil || as.Uid != 12345 || as.Gid != 54321 {
		t.Errorf("root becomes %+v, %v", as, err)
	}
}
