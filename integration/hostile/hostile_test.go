package main

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// TestNobodyHarmsANeighbour is a short version of `make hostile`. Times are judged mildly here, since other tests may be
// under way; memory, and who runs at all, are not. What waits in great numbers is looked at in package bridge.
func TestNobodyHarmsANeighbour(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	const version = "2.6.1"
	servertest.Redis(t)
	servertest.MariaDB(t)
	servertest.Python(t, version)
	o := &options{
		bridge: buildBridge(t), testdata: "../../testdata", versions: []string{version}, kinds: []string{shared},
		every: 50, slack: 10, out: t.Output(),
	}
	figures, err := run(t.Context(), o, []string{"beside"})
	if err != nil {
		t.Error(err)
	}
	for _, f := range figures {
		if !f.OK {
			t.Errorf("%s: %s: %.4g %s, want at most %.4g; %s", f.Show, f.What, f.Value, f.Unit, f.Limit, f.Note)
		}
	}
}

// buildBridge builds the program that is attacked, without the race detector, whose memory would be measured.
func buildBridge(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "bridge")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/bridge").CombinedOutput(); err != nil {
		t.Fatalf("build the bridge: %v\n%s", err, out)
	}
	return program
}

func TestFigures(t *testing.T) {
	o := &options{slack: 2}
	for _, tc := range []struct {
		f    figure
		want bool
	}{
		{atMost("", "", 3, 3, "MB", ""), true},
		{atMost("", "", 4, 3, "MB", ""), false},
		{o.inTime("", "", 2*time.Second, time.Second, ""), true},
		{o.inTime("", "", 3*time.Second, time.Second, ""), false},
		{atMost("", "", 3, 3, "MB", "").unless(""), true},
		{atMost("", "", 3, 3, "MB", "").unless("killed"), false},
	} {
		if tc.f.OK != tc.want {
			t.Errorf("%+v is fine: %v, want %v", tc.f, tc.f.OK, tc.want)
		}
	}
	var w waits
	for i := range 200 {
		w.waits = append(w.waits, time.Duration(200-i))
	}
	if w.at(99) != 198 || w.at(50) != 100 || (waits{}).at(99) != 0 {
		t.Errorf("of 1 to 200 the p99 is %d and the median %d, want 198 and 100", w.at(99), w.at(50))
	}
}
