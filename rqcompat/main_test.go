package rqcompat

import (
	"flag"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("CI") == "" {
		// Tests skip themselves without the server; an example can't.
		_ = flag.Set("test.skip", "^Example(Client|Detect)")
	}
	goleak.VerifyTestMain(m)
}
