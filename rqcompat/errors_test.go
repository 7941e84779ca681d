package rqcompat_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// serverError is how go-redis returns an error of the server.
type serverError string

func (e serverError) Error() string { return string(e) }
func (serverError) RedisError()     {}

func TestIsAway(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"refused", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, true},
		{"refused, without its operation", fmt.Errorf("dial: %w", syscall.ECONNREFUSED), true},
		{"reset", fmt.Errorf("read: %w", syscall.ECONNRESET), true},
		{"read timeout", &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}, true},
		{"closed by the server", io.EOF, true},
		{"closed in an answer", io.ErrUnexpectedEOF, true},
		{"client closed", redis.ErrClosed, true},
		{"no free connection", redis.ErrPoolTimeout, true},
		{"loading", serverError("LOADING Redis is loading the dataset in memory"), true},
		{"no master", serverError("MASTERDOWN Link with MASTER is down"), true},
		{"wrapped", fmt.Errorf("claim 2 jobs: %w", io.EOF), true},
		{"joined", errors.Join(errors.New("other"), io.EOF), true},
		{"nothing", nil, false},
		{"no such key", redis.Nil, false},
		{"wrong type", serverError("WRONGTYPE Operation against a key"), false},
		{"no permission", serverError("NOPERM this user has no permissions"), false},
		{"no memory", serverError("OOM command not allowed"), false},
		{"canceled", context.Canceled, false},
		{"deadline", context.DeadlineExceeded, false},
		{"no such job", rqcompat.ErrNoSuchJob, false},
	} {
		if got := rqcompat.IsAway(test.err); got != test.want {
			t.Errorf("%s: IsAway(%v) is %v, want %v", test.name, test.err, got, test.want)
		}
	}
}

// TestIsAwayAsSeen asks about errors that this package returns.
func TestIsAwayAsSeen(t *testing.T) {
	p := newPeer(t, "2.6.1")
	p.do("SET", "rq:queue:q", "not a list")
	if _, err := p.QueueLen(p.ctx, "q"); err == nil || rqcompat.IsAway(err) {
		t.Errorf("queue of the wrong type: %v is taken for a Redis that is away", err)
	}
	_ = p.rdb.Close()
	if _, err := p.QueueLen(p.ctx, "q"); !rqcompat.IsAway(err) {
		t.Errorf("closed client: %v is not taken for a Redis that is away", err)
	}
	nobody := redis.NewClient(&redis.Options{Addr: freeAddress(t), MaxRetries: -1, DialTimeout: time.Second})
	defer nobody.Close()
	if _, err := rqcompat.NewClient(nobody, p.Dialect()).QueueLen(p.ctx, "q"); !rqcompat.IsAway(err) {
		t.Errorf("nobody listens: %v is not taken for a Redis that is away", err)
	}
}

// freeAddress is one on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
