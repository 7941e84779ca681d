package servers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
)

// ErrNoNetwork says that this machine lets us make no network namespaces: it isn't Linux, has no iproute2, or we may not, as in
// most containers.
var ErrNoNetwork = errors.New("no network namespaces here")

// Network is a network namespace with some wires to this one. What is sent through a wire that is cut is dropped, and nobody is
// told. A process that runs there reaches what listens on the near ends only.
type Network struct {
	name  string
	wires int
	nets  int // the second number of the addresses
}

// NewNetwork makes one. The error is ErrNoNetwork where that isn't possible.
func NewNetwork(wires int) (n *Network, err error) {
	n = &Network{nets: rand.IntN(250)}
	n.name = fmt.Sprintf("bridge%d", rand.IntN(100000))
	if err := ip("netns", "add", n.name); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoNetwork, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%w: %w", ErrNoNetwork, err), n.Close())
		}
	}()
	if err := ip("-n", n.name, "link", "set", "lo", "up"); err != nil {
		return n, err
	}
	for ; n.wires < wires; n.wires++ {
		near, far := fmt.Sprintf("%s-%d", n.name, n.wires), fmt.Sprintf("far%d", n.wires)
		for _, args := range [][]string{
			{"link", "add", near, "type", "veth", "peer", "name", far, "netns", n.name},
			{"addr", "add", n.Addr(n.wires) + "/30", "dev", near},
			{"link", "set", near, "up"},
			{"-n", n.name, "addr", "add", n.far(n.wires) + "/30", "dev", far},
			{"-n", n.name, "link", "set", far, "up"},
		} {
			if err := ip(args...); err != nil {
				return n, err
			}
		}
		// What comes from where no way leads back to is dropped: so a wire is cut in both directions.
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+near+"/rp_filter", []byte("1"), 0o644); err != nil {
			return n, err
		}
	}
	return n, nil
}

// Addr is the near end of a wire: servers that are to be reached through it listen there.
func (n *Network) Addr(wire int) string { return fmt.Sprintf("10.%d.%d.1", n.nets, wire) }

func (n *Network) far(wire int) string { return fmt.Sprintf("10.%d.%d.2", n.nets, wire) }

// Under is the program with its arguments that runs a command there.
func (n *Network) Under() []string { return []string{"ip", "netns", "exec", n.name} }

// Cut cuts a wire.
func (n *Network) Cut(wire int) error { return ip("route", "add", "blackhole", n.far(wire)+"/32") }

// Mend mends a wire that was cut.
func (n *Network) Mend(wire int) error { return ip("route", "del", "blackhole", n.far(wire)+"/32") }

// Close takes the namespace away with its wires, mended or not.
func (n *Network) Close() error {
	for wire := range n.wires {
		_ = n.Mend(wire) // most aren't cut
	}
	return ip("netns", "del", n.name)
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
