package hostile

import "testing"

// TestCases are many, of names of their own, and small.
func TestCases(t *testing.T) {
	names := map[string]bool{}
	total := 0
	for _, c := range All("hostile.run") {
		if names[c.Name] {
			t.Errorf("two are called %q", c.Name)
		}
		if len(c.Data) > 2<<20 {
			t.Errorf("%s has %d bytes", c.Name, len(c.Data))
		}
		names[c.Name] = true
		total += len(c.Data)
	}
	if len(names) < 150 || total > 64<<20 {
		t.Errorf("%d cases of %d bytes, want at least 150 in 64 MiB", len(names), total)
	}
	t.Logf("%d cases, %d bytes", len(names), total)
}
