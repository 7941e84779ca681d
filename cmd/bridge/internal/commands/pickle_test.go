package commands

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/integration/servers"
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
		if got.code != exitcode.OK || compact(t, got.out) != want {
			t.Errorf("%s: %+v, want %s", what, got, want)
		}
	}
	view := decode[struct {
		Value   json.RawMessage
		Lossy   []string
		Opcodes []pickle.Instruction
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
	if got.code != exitcode.OK || !strings.Contains(got.out, "os.system") || !strings.Contains(got.out, "GLOBAL") || !strings.Contains(got.err, "lossy: $") {
		t.Errorf("a pickle with a call: %+v", got)
	}
}

func TestPickleThatIsNone(t *testing.T) {
	for _, tc := range []struct {
		input string
		code  int
	}{{"", exitcode.Data}, {"\xff\xfe", exitcode.Data}, {"(lp0", exitcode.Data}, {"P1\n.", exitcode.Data}} {
		if got := bridgeWithInput(t, tc.input, "pickle", "-", "--opcodes"); got.code != tc.code || got.err == "" {
			t.Errorf("input %q: %+v, want code %d", tc.input, got, tc.code)
		}
	}
	if got := bridgeCommand(t, "pickle", "--file", "/nowhere/x"); got.code != exitcode.NotFound {
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
	if got := bridgeCommand(t, "pickle", "two"); got.code != exitcode.NotFound {
		t.Errorf("pickle of no job: %+v", got)
	}
}
