package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// TestInTheSmall is a short version of `make chaos`: every scenario at once, since they mostly wait. Times are judged mildly here,
// since other tests may be under way; what becomes of jobs is not.
func TestInTheSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	// Where there is no server nothing can be tried.
	servertest.Redis(t)
	servertest.MariaDB(t)
	versions := []string{"2.6.1", "1.15.1"}
	for _, version := range versions {
		servertest.Python(t, version)
	}
	bridge := filepath.Join(t.TempDir(), "bridge")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", bridge, "./cmd/bridge").CombinedOutput(); err != nil {
		t.Fatalf("build the bridge: %v\n%s", err, out)
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			o := &options{bridge: bridge, testdata: "../../testdata", versions: versions, short: true, slack: 10, seed: uint64(time.Now().UnixNano()), out: t.Output()}
			reports, err := run(t.Context(), o, []string{s.name})
			if err != nil {
				t.Error(err)
			}
			if !kept(reports) {
				t.Errorf("with the seed %d a promise wasn't kept", o.seed)
			}
			printReports(t.Output(), reports, false)
		})
	}
}

// TestCertificate is of scenarios in full, and keeps what it says of others.
func TestCertificate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "CERTIFICATE.md")
	of := func(scenario string, kills int) []report {
		return []report{{
			Scenario: scenario, What: "bridges killed", Took: 3, Lines: []line{{Who: "bridge", Version: "2.6.1", Kills: kills, Jobs: 10, Rescues: durations{time.Second, 3 * time.Second}}},
			Figures: []figure{atMost("lost", 1, 0, "jobs", "a|b"), atLeast("kills", 2, 2, "", "")},
		}}
	}
	if err := certify(path, &options{short: true}, of("kills", 2)); err == nil {
		t.Error("a short run is certified")
	}
	for seed, reports := range [][]report{of("soak", 3), of("kills", 1), of("kills", 2)} {
		if err := certify(path, &options{versions: []string{"2.6.1"}, seed: uint64(seed + 40)}, reports); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rest := string(text)
	for _, want := range []string{
		"# What became of the jobs\n",
		"\n\n## kills\n\n", "the seed 42", "\n\n**Not every promise was kept.**\n\n",
		"| who | version | kills | jobs | lost | stuck | failed | run twice | rescued | p50 | p99 | slowest |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
		"| bridge | 2.6.1 | 2 | 10 | 0 | 0 | 0 | 0 | 2 | 1.00 s | 3.00 s | 3.00 s |\n",
		"| lost | 1 jobs | at most 0 jobs | NOT OK | a/b |\n", "| kills | 2  | at least 2  | ok |  |\n",
		"\n\n## soak\n\n", "the seed 40", "| bridge | 2.6.1 | 3 |",
	} {
		_, after, ok := strings.Cut("\n"+rest, want)
		if !ok {
			t.Fatalf("the certificate lacks %q, in this order:\n%s", want, text)
		}
		rest = after
	}
	if strings.Contains(string(text), "the seed 41") || strings.Count(string(text), "\n# ")+strings.Count(string(text), heading) != 2 {
		t.Errorf("the certificate says more than the last word on each scenario:\n%s", text)
	}
}

// TestHistory reads what a ledger says of jobs that were cut short, run without need, and begun again.
func TestHistory(t *testing.T) {
	l, err := newLedger(filepath.Join(t.TempDir(), "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	const second = "000000000"
	for _, text := range []string{
		"began cut 1 1" + second, "began well 1 1" + second, "ended well 1 2" + second, "began unsettled 1 2" + second, "ended unsettled 1 8" + second,
		"killed - 1 9" + second, "began cut 2 11" + second, "ended cut 2 12" + second, "began unsettled 2 11" + second, "began needless 2 12" + second,
		"began needless 3 13" + second, "began well 3 13" + second,
	} {
		if _, err := l.file.WriteString(text + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	h, err := l.history()
	if err != nil {
		t.Fatal(err)
	}
	if want := (durations{2 * time.Second}); h.kills != 1 || !slices.Equal(h.rescues, want) {
		t.Errorf("%d kills and rescues after %v, want 1 and %v", h.kills, h.rescues, want)
	}
	for key, want := range map[string]int{"cut": 1, "well": 0, "unsettled": 1, "needless": 0} {
		if got := h.deaths(key); got != want {
			t.Errorf("%s died %d times, want %d", key, got, want)
		}
	}
	got := h.needless()
	slices.Sort(got)
	if want := []string{
		"needless: its run 2 began in process 3 1s after the one before in process 2 (which ended after -, and died after -)",
		"well: its run 2 began in process 3 12s after the one before in process 1 (which ended after 1s, and died after 8s)",
	}; !slices.Equal(got, want) {
		t.Errorf("without need began %q, want %q", got, want)
	}
}

// TestWire reads commands off the wire, whole and with their kind.
func TestWire(t *testing.T) {
	redis := "*3\r\n$4\r\nHSET\r\n$12\r\nrq:job:a\r\nbc\r\n$1\r\nx\r\n" + "*2\r\n$7\r\nEVALSHA\r\n$12\r\n0123456789ab\r\n" + "*1\r\n$4\r\nexec\r\n"
	packet := func(sequence byte, text string) string { return string([]byte{byte(len(text)), 0, 0, sequence}) + text }
	mysql := packet(1, "hello, I am a client") + packet(0, "\x03UPDATE `tabBackground Job` SET status=1") + packet(0, "\x03COMMIT") + packet(0, "\x01")
	for _, tc := range []struct {
		name, wire string
		read       reader
		want       []string
	}{
		{"Redis", redis, redisReader(), []string{"HSET rq:job", "", "EXEC"}},
		{"MariaDB", mysql, mysqlReader(), []string{"", "UPDATE tabBackground Job", "COMMIT", ""}},
	} {
		var kinds []string
		var passed bytes.Buffer
		from := bufio.NewReader(strings.NewReader(tc.wire))
		for {
			raw, kind, err := tc.read(from)
			if err != nil {
				break
			}
			passed.Write(raw)
			kinds = append(kinds, kind)
		}
		if !slices.Equal(kinds, tc.want) || passed.String() != tc.wire {
			t.Errorf("%s: %q with %d bytes, want %q with %d", tc.name, kinds, passed.Len(), tc.want, len(tc.wire))
		}
	}
}
