package rows

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSpelled: what the database takes for the same name is given as it has it, and what can be no name is not asked for.
func TestSpelled(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, "INSERT INTO `tabOrganization` (name,org_name) VALUES ('ORG-1','One'),('Été & Söhne 株','Two'),(?,'Three')", strings.Repeat("x", maxName))
	got, err := d.Spelled(t.Context(), "Organization", []string{
		"ORG-1", "org-1", "ORG-1  ", "Org-1", "ORG-1", "ete & sohne 株", strings.Repeat("X", maxName),
		"", "ORG-2", " ORG-1", "ORG-1x", "ORG-1\xff", "x" + strings.Repeat("x", maxName), "ORG-1" + strings.Repeat(" ", 1<<20),
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{
		"ORG-1": "ORG-1", "org-1": "ORG-1", "ORG-1  ": "ORG-1", "Org-1": "ORG-1", "ete & sohne 株": "Été & Söhne 株",
		strings.Repeat("X", maxName): strings.Repeat("x", maxName),
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if nul, err := d.Spelled(t.Context(), "Organization", []string{"ORG-1\x00"}); err != nil || nul["ORG-1\x00"] != "" && nul["ORG-1\x00"] != "ORG-1" {
		t.Errorf("a name with NUL: %q, %v; want none, or the one that the database takes for it", nul, err)
	}
	if _, err := d.Spelled(t.Context(), "Invoice", []string{"x"}); !errors.Is(err, ErrTableMissing) {
		t.Errorf("a DocType that the site doesn't have: %v", err)
	}
}

// TestManyNamesThatDontExist become few queries, and the same ones none for a while.
func TestManyNamesThatDontExist(t *testing.T) {
	_, d := installed(t, testMajor)
	var names []string
	for i := range 3000 {
		names = append(names, fmt.Sprint("none-", i))
	}
	queries := func() (n int) {
		t.Helper()
		if err := d.x.GetContext(t.Context(), &n, "SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME='COM_SELECT'"); err != nil {
			t.Fatal(err)
		}
		return n
	}
	d.x.SetMaxOpenConns(1)
	before := queries()
	for range 3 {
		if got, err := d.Spelled(t.Context(), "Organization", names); err != nil || len(got) > 0 {
			t.Fatalf("%v, %v", got, err)
		}
	}
	if asked := queries() - before - 1; asked != 30 {
		t.Errorf("%d queries for 3000 names, three times, want 30", asked)
	}
}

// TestARowHoweverItIsSpelled is found by the name that was asked for, and has its own.
func TestARowHoweverItIsSpelled(t *testing.T) {
	_, d := installed(t, testMajor)
	jobs := newJobs(t, d, 2, StatusQueued)
	first, second := jobs[0].Name, jobs[1].Name
	asked := []string{strings.ToLower(first), first + " ", second, "JOB-0000-00000", "\xff", strings.Repeat("J", 1<<20)}
	got, err := d.BackgroundJobs(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for name, row := range got {
		names[name] = row.Name
	}
	if diff := cmp.Diff(map[string]string{asked[0]: first, asked[1]: first, second: second}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
