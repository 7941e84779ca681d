package servers_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

func TestPythonVenvHasThatRQ(t *testing.T) {
	for _, version := range servers.RQVersions() {
		t.Run(version, func(t *testing.T) {
			python := servertest.Python(t, version)
			const script = "import rq, redis, pymysql; print(rq.__version__ if hasattr(rq, '__version__') else rq.VERSION)"
			out, err := exec.CommandContext(t.Context(), python, "-c", script).CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != version {
				t.Errorf("rq version = %q, error %v; want %s", got, err, version)
			}
		})
	}
}

func TestPythonVenvUnknownVersion(t *testing.T) {
	_, err := servers.PythonVenv(t.Context(), "0.1")
	if err == nil || !strings.Contains(err.Error(), "2.10.0") {
		t.Errorf("error = %v, want one that lists the known versions", err)
	}
}
