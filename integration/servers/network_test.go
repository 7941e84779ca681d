package servers_test

import (
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// TestNetwork: a wire that is cut passes nothing, in neither direction, until it is mended.
func TestNetwork(t *testing.T) {
	n, err := servers.NewNetwork(1)
	if errors.Is(err, servers.ErrNoNetwork) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	near, err := net.ListenPacket("udp", net.JoinHostPort(n.Addr(0), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	_, port, _ := net.SplitHostPort(near.LocalAddr().String())
	far := exec.Command(n.Under()[0], append(n.Under()[1:], "bash", "-c", "while sleep 0.02; do echo x > /dev/udp/"+n.Addr(0)+"/"+port+"; done")...)
	if err := far.Start(); err != nil {
		t.Fatal(err)
	}
	defer far.Wait()
	defer far.Process.Kill()
	hears := func(within time.Duration) bool {
		_ = near.SetReadDeadline(time.Now().Add(within))
		buf := make([]byte, 10)
		k, _, err := near.ReadFrom(buf)
		return err == nil && strings.HasPrefix(string(buf[:k]), "x")
	}
	if !hears(10 * time.Second) {
		t.Fatal("nothing comes through a wire that is not cut")
	}
	if err := n.Cut(0); err != nil {
		t.Fatal(err)
	}
	for hears(time.Millisecond) { // what was on its way
	}
	if hears(300 * time.Millisecond) {
		t.Error("something comes through a wire that is cut")
	}
	if err := n.Mend(0); err != nil {
		t.Fatal(err)
	}
	if !hears(10 * time.Second) {
		t.Error("nothing comes through a wire that is mended")
	}
}
