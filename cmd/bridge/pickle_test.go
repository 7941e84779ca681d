package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

func TestPickleFromStdinAndFile(t *testing.T) {
	data, err := rqcompat.EncodeCall(rqcompat.Call{Func: "app.run", Args: []any{pickle.Bytes("raw")}, Kwargs: &pickle.Dict{Items: []pickle.Pair{{Key: "n", Value: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	want := `["app.run",null,["raw"],{"n":1}]`
	file := filepath.Join(t.TempDir(), "call")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string]result{"stdin": bridgeWithInput(t, string(data), "pickle", "-"), "file": bridgeCommand(t, "pickle", "--file", file)} {
		if got.code != exitOK || compact(t, got.out) != want {
			t.Errorf("%s: %+v, want %s", what, got, want)
		}
	}
	view := decode[struct {
		Value   json.RawMessage
		Lossy   []string
		Opcodes []opcodeLine
	}](t, bridgeWithInput(t, string(data), "pickle", "-", "--json", "--opcodes").out)
	if compact(t, string(view.Value)) != want || len(view.Opcodes) < 8 || view.Opcodes[0].Name != "PROTO" || view.Opcodes[len(view.Opcodes)-1].Name != "STOP" {
		t.Errorf("pickle --json --opcodes: %+v", view)
	}
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return b.String()
}

func TestPickleShowsWhatItLoses(t *testing.T) {
	got := bridgeWithInput(t, "cos\nsystem\n(S'rm -rf /'\ntR.", "pickle", "-", "--opcodes")
	if got.code != exitOK || !strings.Contains(got.out, "os.system") || !strings.Contains(got.out, "GLOBAL") || !strings.Contains(got.err, "lossy: $") {
		t.Errorf("a pickle with a call: %+v", got)
	}
}

func TestPickleThatIsNone(t *testing.T) {
	for _, tc := range []struct {
		input string
		code  int
	}{{"", exitData}, {"\xff\xfe", exitData}, {"(lp0", exitData}, {"P1\n.", exitData}} {
		if got := bridgeWithInput(t, tc.input, "pickle", "-", "--opcodes"); got.code != tc.code || got.err == "" {
			t.Errorf("input %q: %+v, want code %d", tc.input, got, tc.code)
		}
	}
	if got := bridgeCommand(t, "pickle", "--file", "/nowhere/x"); got.code != exitNotFound {
		t.Errorf("a file that isn't there: %+v", got)
	}
}

func TestPickleOfAJob(t *testing.T) {
	newBed(t, servers.BenchConfig{})
	must(t, "enqueue", "some.method", "--id", "one", "n=1")
	for _, id := range []string{"one", testSite + "::one"} {
		if got := must(t, "pickle", id); !strings.Contains(got, `"method": "some.method"`) {
			t.Errorf("pickle %s prints %s", id, got)
		}
	}
	if got := bridgeCommand(t, "pickle", "two"); got.code != exitNotFound {
		t.Errorf("pickle of no job: %+v", got)
	}
}

// genops prints the opcodes of each pickle on stdin (base64, a line each) as
// Python lists them, or null: pickletools can't read names beyond ASCII, which
// pickle writes.
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
	file, err := os.Open("../../testdata/pickle/vectors.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var pickles [][]byte
	var input bytes.Buffer
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		for _, text := range decode[struct{ Pickles []string }](t, lines.Text()).Pickles {
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
		listing, err := disassemble(pickles[i])
		if err != nil {
			t.Errorf("pickle %d: %v", i, err)
		}
		got := [][]any{}
		for _, l := range listing {
			got = append(got, []any{float64(l.Offset), l.Name})
		}
		if diff := cmp.Diff(decode[[][]any](t, line), got); diff != "" {
			t.Errorf("pickle %d (-pickletools +got):\n%s", i, diff)
		}
	}
	if skipped > len(pickles)/50 {
		t.Errorf("Python listed all but %d of %d pickles", skipped, len(pickles))
	}
}
