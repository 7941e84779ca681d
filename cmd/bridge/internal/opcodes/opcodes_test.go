package opcodes

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

func TestArgumentsAreShown(t *testing.T) {
	for input, want := range map[string]string{
		"J\xfe\xff\xff\xff.":                    "-2",
		"M\x01\x02.":                            "513",
		"r\xfe\xff\xff\xff.":                    "4294967294",
		"G\xbf\xf8\x00\x00\x00\x00\x00\x00.":    "-1.5",
		"cos\nsystem\n.":                        `"os.system"`,
		"\x8c\x02\xc3\xbc.":                     `"\u00fc"`,
		"C\x02\x00\xff.":                        `b"\x00\xff"`,
		"\x8a\x02\x01\x00.":                     "2 bytes of an integer",
		"U\x46" + strings.Repeat("x", 70) + ".": `b"` + strings.Repeat("x", 60) + `"… (70 bytes)`,
	} {
		lines, err := List([]byte(input))
		if err != nil || len(lines) != 2 || lines[0].Argument != want {
			t.Errorf("%q is listed as %+v (%v), want the argument %s", input, lines, err, want)
		}
	}
	for _, broken := range []string{"", "N", "J\xfe", "C\x03ab", "\xff.", "cos\nsystem"} {
		var syntax *pickle.SyntaxError
		if _, err := List([]byte(broken)); !errors.As(err, &syntax) {
			t.Errorf("%q: error %v, want a SyntaxError", broken, err)
		}
	}
}

// genops prints the opcodes of each pickle on stdin (base64, a line each) as Python lists them, or null: pickletools
// can't read names beyond ASCII, which pickle writes.
const genops = `
import base64, json, pickletools, sys
for line in sys.stdin:
    try:
        print(json.dumps([[at, op.name] for op, arg, at in pickletools.genops(base64.b64decode(line))]))
    except UnicodeDecodeError:
        print("null")
`

func TestOpcodesAreThoseOfPickletools(t *testing.T) {
	python := servertest.Python(t, "2.6.1")
	file, err := os.Open("../../../../testdata/pickle/vectors.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var pickles [][]byte
	var input bytes.Buffer
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		for _, text := range decode[struct{ Pickles []string }](t, lines.Bytes()).Pickles {
			if text == "" {
				continue // this protocol has no form of the value
			}
			b, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			pickles = append(pickles, b)
			input.WriteString(text + "\n")
		}
	}
	if len(pickles) < 400 {
		t.Fatalf("only %d vectors", len(pickles))
	}
	cmd := exec.Command(python, "-c", genops)
	cmd.Stdin, cmd.Stderr = &input, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	skipped := 0
	for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		if line == "null" {
			skipped++
			continue
		}
		listing, err := List(pickles[i])
		if err != nil {
			t.Errorf("pickle %d: %v", i, err)
		}
		got := [][]any{}
		for _, l := range listing {
			got = append(got, []any{float64(l.Offset), l.Name})
		}
		if diff := cmp.Diff(decode[[][]any](t, []byte(line)), got); diff != "" {
			t.Errorf("pickle %d (-pickletools +got):\n%s", i, diff)
		}
	}
	if skipped > len(pickles)/50 {
		t.Errorf("Python listed all but %d of %d pickles", skipped, len(pickles))
	}
}

func decode[T any](t *testing.T, text []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}
