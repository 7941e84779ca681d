package servers_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// actAsParent makes the test binary a process that starts servers and waits to be killed.
const actAsParent = "BRIDGE_TEST_ACT_AS_PARENT"

func TestServersDieWithTheirParent(t *testing.T) {
	servertest.MariaDB(t) // skips where there is none, and fills the cache
	tmp := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), actAsParent+"=1", "TMPDIR="+tmp)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addresses := strings.Fields(line)
	if len(addresses) != 2 || entries(t, tmp) != 2 {
		t.Fatalf("parent started %v with %d directories, want 2 servers", addresses, entries(t, tmp))
	}
	cmd.Process.Kill()
	cmd.Wait()
	for _, addr := range addresses {
		within(t, "server at "+addr+" is gone", func() bool {
			conn, err := net.Dial("tcp", addr)
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
	}
	within(t, "directories are gone", func() bool { return entries(t, tmp) == 0 })
}

// within fails the test unless ok becomes true in five seconds: the kernel and the reaper act on their own time.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("after 5 s not true: %s", what)
			return
		}
	}
}

func parent() {
	r, err := servers.StartRedis(context.Background())
	if err != nil {
		panic(err)
	}
	m, err := servers.StartMariaDB(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Addr, m.Addr)
	time.Sleep(time.Minute)
}
