package foreign

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A bridge that is killed must take its programs with it: their jobs are about to run elsewhere.
func TestExecDiesWithTheBridge(t *testing.T) {
	if dir := os.Getenv("TEST_EXEC_DIR"); dir != "" {
		var h heard
		_, _ = shell(t, Exec{Dir: dir}, "echo $$ >child; exec sleep 60")(t.Context(), attempt, json.RawMessage("{}"), &h)
		return
	}
	dir := t.TempDir()
	bridge := exec.Command(os.Args[0], "-test.run=^TestExecDiesWithTheBridge$")
	bridge.Env = append(os.Environ(), "TEST_EXEC_DIR="+dir)
	if err := bridge.Start(); err != nil {
		t.Fatal(err)
	}
	child := pidFile(t, filepath.Join(dir, "child"))
	if err := bridge.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = bridge.Wait() // it was killed, which is its error
	wantDead(t, "program", child)
}
