package servers

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

// freePort picks a loopback port nobody listens on. It stays below the range from which the kernel takes ports for
// outgoing connections: a server that restarts must get its port back, and while it is down a client that dials the
// port again and again must not be connected to itself, which TCP does when source and destination port agree.
func freePort() (int, error) {
	const lowest = 10000
	highest := ephemeralStart() - 1
	if highest < lowest+1000 {
		return 0, fmt.Errorf("no room for server ports between %d and the outgoing range at %d", lowest, highest+1)
	}
	var lastErr error
	for range 50 {
		port := lowest + rand.IntN(highest-lowest)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			lastErr = err
			continue
		}
		l.Close()
		return port, nil
	}
	return 0, fmt.Errorf("find a free port: %w", lastErr)
}

func ephemeralStart() int {
	const linuxDefault = 32768
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return linuxDefault
	}
	var low int
	if _, err := fmt.Sscan(string(b), &low); err != nil {
		return linuxDefault
	}
	return low
}
