package pickle

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// genops lists the opcodes of each pickle on stdin (base64, a line each) as Python does, with the arguments that
// are numbers of fixed size, or null: pickletools can't read names beyond ASCII, which pickle writes.
const genops = `
import base64, pickletools, sys
fixed = "uint1 uint2 uint4 uint8 int4".split()
for line in sys.stdin:
    try:
        print(*(f'{at} {op.name} {arg if op.arg and op.arg.name in fixed else ""}'
                for op, arg, at in pickletools.genops(base64.b64decode(line))), sep=";")
    except UnicodeDecodeError:
        print("null")
`

func TestInstructionsAreThoseOfPickletools(t *testing.T) {
	var pickles [][]byte
	var input bytes.Buffer
	for _, v := range readVectors(t) {
		for _, b := range v.Pickles {
			if b != nil {
				pickles = append(pickles, b)
				input.WriteString(base64.StdEncoding.EncodeToString(b) + "\n")
			}
		}
	}
	cmd := exec.Command(python(t), "-c", genops)
	cmd.Stdin, cmd.Stderr = &input, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	skipped := 0
	for i, line := range strings.Split(strings.Trim(string(out), "\n"), "\n") {
		if line == "null" {
			skipped++
			continue
		}
		var got []string
		for in, err := range Instructions(pickles[i]) {
			if err != nil {
				t.Fatalf("pickle %d: %v", i, err)
			}
			argument := ""
			if f := opcodes[pickles[i][in.Offset]].form; f == unsigned || f == signed {
				argument = in.Argument
			}
			got = append(got, fmt.Sprint(in.Offset, " ", in.Name, " ", argument))
		}
		want := strings.Split(line, ";")
		for n := range want {
			if n >= len(got) || got[n] != want[n] {
				t.Fatalf("pickle %d differs at instruction %d of pickletools, %q; listed were %q", i, n, want[n], got)
			}
		}
	}
	if len(pickles) < 400 || skipped > len(pickles)/50 {
		t.Errorf("Python listed all but %d of %d pickles, want at least 98 %% of 400", skipped, len(pickles))
	}
}

func TestInstructionArguments(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"K\x07.", "7"},
		{"M\x00\x01.", "256"},
		{"J\xff\xff\xff\xff.", "-1"},
		{"r\xff\xff\xff\xff.", "4294967295"},
		{"G\x3f\xf8\x00\x00\x00\x00\x00\x00.", "1.5"},
		{"I42\n.", `"42"`},
		{"cos\nsystem\n.", `"os.system"`},
		{"\x8c\x02\xc3\xa4.", `"\u00e4"`},
		{"C\x01\xff.", `b"\xff"`},
		{"\x8a\x02\x01\x00.", "2 bytes of an integer"},
		{"X\x3d\x00\x00\x00" + strings.Repeat("x", 61) + ".", `"` + strings.Repeat("x", 60) + `"… (61 bytes)`},
		{"N.", ""},
	} {
		for in, err := range Instructions([]byte(tt.in)) {
			if err != nil || in.Argument != tt.want {
				t.Errorf("%q: argument %s, %v; want %s", tt.in, in.Argument, err, tt.want)
			}
			break
		}
	}
}

// TestInstructionsOfBrokenPickles: what comes before the fault is listed, then the fault.
func TestInstructionsOfBrokenPickles(t *testing.T) {
	for _, tt := range []struct {
		in     string
		before int
		offset int
	}{
		{"", 0, 0}, {"NN", 2, 2}, {"N\xff.", 1, 1}, {"NK", 1, 1}, {"N\x8c\x05ab.", 1, 1}, {"NI42", 1, 1}, {"Ncos\n", 1, 1}, {"NG\x00.", 1, 1},
		{"NX\xff\xff\xff\xff.", 1, 1}, {"N\x8d\x00", 1, 1},
	} {
		before := 0
		var fault error
		for _, err := range Instructions([]byte(tt.in)) {
			if fault != nil {
				t.Fatalf("%q: something follows the fault %v", tt.in, fault)
			}
			if fault = err; err == nil {
				before++
			}
		}
		var syntax *SyntaxError
		if !errors.As(fault, &syntax) || syntax.Offset != tt.offset || before != tt.before {
			t.Errorf("%q: %d instructions, then %v; want %d and a *SyntaxError at byte %d", tt.in, before, fault, tt.before, tt.offset)
		}
	}
	// Bytes after STOP are nobody's.
	n := 0
	for _, err := range Instructions([]byte("N.\xff\xff")) {
		if n++; err != nil {
			t.Errorf("after STOP: %v", err)
		}
	}
	if n != 2 {
		t.Errorf("%d instructions up to STOP, want 2", n)
	}
}
