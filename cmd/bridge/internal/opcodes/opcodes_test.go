package opcodes

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

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
