package output

import (
	"bytes"
	"testing"
	"time"
)

func TestTextIsSafeForATerminal(t *testing.T) {
	for _, tc := range []struct{ what, got, want string }{
		{"OneLine", OneLine("a\tb\r\nc\x1b[2J\u009bd\x7f ü"), "a b  c\uFFFD[2J\uFFFDd\uFFFD ü"},
		{"Lines", Lines("one\t1 \ntwo\x1b\n\n"), "one    1\ntwo\uFFFD"},
		{"Squeezed", Squeezed("  a \n\n b "), "a b"},
		{"Clip of what fits", Clip("fünf!", 5), "fünf!"},
		{"Clip", Clip("fünf!!", 5), "fünf…"},
		{"ShortID of a row", ShortID("JOB-2026-00001"), "JOB-2026-00001"},
		{"ShortID", ShortID("site1||3f8e7a44-5a0e-4d4e"), "…3f8e7a44-5a…"},
		{"ShortID of a site alone", ShortID("site1:"), "site1:"},
		{"Clock", Clock(time.Date(2026, 1, 31, 4, 5, 6, 7, time.UTC)), "2026-01-31 04:05:06"},
		{"Clock of nothing", Clock(time.Time{}), ""},
		{"Plural", Plural(0, "job") + Plural(1, "job") + Plural(2, "job"), "0 jobs1 job2 jobs"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s is %q, want %q", tc.what, tc.got, tc.want)
		}
	}
}

func TestTables(t *testing.T) {
	var out bytes.Buffer
	if err := Table(&out, []string{"NAME", "X"}, [][]string{{"a\tb", "1"}, {"c\nd", "22"}}); err != nil {
		t.Fatal(err)
	}
	if err := Fields(&out, "name", " a  b", "none", "", "long name", "2"); err != nil {
		t.Fatal(err)
	}
	if err := JSON(&out, map[string]string{"k": "<&>"}); err != nil {
		t.Fatal(err)
	}
	want := "NAME  X\na b   1\nc d   22\n  name       a b\n  long name  2\n{\n  \"k\": \"<&>\"\n}\n"
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}
