// Package dial connects to a bench's servers in a way that a peer which has gone silent is noticed within seconds.
package dial

import (
	"net"
	"time"
)

// Silence is how long a peer whose host answers nothing keeps a connection: its host is gone, or packets to it get lost. A
// server that is slow, stopped or busy keeps it as long as its kernel answers for it.
const Silence = 6 * time.Second

// Dialer makes connections that end when their peer has been silent, whether or not somebody waits for an answer: without it,
// a statement under way would wait for as long as the packets that carry it are sent again, ever less often, for a quarter of
// an hour. timeout is for the connecting.
func Dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout: timeout,
		// While nothing is under way; what is sent and not acknowledged ends by limit.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: Silence / 2, Interval: time.Second, Count: 3},
		Control:         limit,
	}
}
