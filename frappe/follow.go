package frappe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Redis is one of a bench's Redis servers, or the service of one behind sentinels: how it is reached.
type Redis struct {
	*redis.UniversalOptions
	// Where says for people which server that is.
	Where string

	sentinels *sentinels // nil for a server that stays where it is
}

// Open returns a client, which connects when it is used and is the caller's to close. It follows the master: as soon as one
// of its connections learns that another server is master by now, or that its own has become a replica, all others that lead
// to the former one end as well, subscriptions and waiters among them. Otherwise one that asks for nothing would stay with a
// server that nobody else talks to.
func (r *Redis) Open() redis.UniversalClient {
	f := &follower{dial: r.Dialer, moves: r.sentinels != nil, open: map[*followedConn]struct{}{}}
	o := *r.UniversalOptions
	o.Dialer, o.OnConnect = quietDialer(f.connect), f.refuseReplica
	c := redis.NewUniversalClient(&o)
	c.AddHook(f)
	return c
}

// replicaError says that a server takes no writes. It reads as Redis's own refusal, which passes.
type replicaError string

func (e replicaError) Error() string { return string(e) }

// RedisError makes it a reply of the server's.
func (replicaError) RedisError() {}

// follower knows the connections of a client.
type follower struct {
	dial   dialer
	moves  bool        // the address of a connection tells whether the master is another by now
	mayNot atomic.Bool // the user has no right to ask for the server's role

	mu   sync.Mutex
	open map[*followedConn]struct{}
	at   string // where the last connection led
}

// refuseReplica keeps a client from beginning with a server that isn't the master, as happens for a moment after a failover.
// Who has no right to ask, or asks something that isn't quite Redis, learns it by the first write.
func (f *follower) refuseReplica(ctx context.Context, cn *redis.Conn) error {
	if f.mayNot.Load() {
		return nil
	}
	role, err := cn.Do(ctx, "ROLE").Slice()
	if reply, answered := errors.AsType[redis.Error](err); answered {
		f.mayNot.Store(strings.HasPrefix(reply.Error(), "NOPERM"))
		return nil
	}
	if err == nil && len(role) > 2 && role[0] == "slave" {
		err = replicaError(fmt.Sprintf("READONLY this server is a replica of %v:%v", role[1], role[2]))
	}
	return err
}

// followedConn takes itself off when it is closed.
type followedConn struct {
	net.Conn
	f *follower
}

// Close implements net.Conn.
func (c *followedConn) Close() error {
	c.f.mu.Lock()
	delete(c.f.open, c)
	c.f.mu.Unlock()
	return c.Conn.Close()
}

// followedSocket lets go-redis see that an idle connection was closed by the other side, which it can't behind TLS.
type followedSocket struct {
	*followedConn
	syscall.Conn
}

func (f *follower) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := f.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c, at := &followedConn{conn, f}, conn.RemoteAddr().String()
	f.mu.Lock()
	var former map[*followedConn]struct{}
	if f.moves && at != f.at {
		former, f.open = f.open, map[*followedConn]struct{}{}
	}
	f.open[c], f.at = struct{}{}, at
	f.mu.Unlock()
	end(former)
	if socket, ok := conn.(syscall.Conn); ok {
		return followedSocket{c, socket}, nil
	}
	return c, nil
}

// leave ends all connections.
func (f *follower) leave() {
	f.mu.Lock()
	former := f.open
	f.open = map[*followedConn]struct{}{}
	f.mu.Unlock()
	end(former)
}

func end(conns map[*followedConn]struct{}) {
	for c := range conns {
		_ = c.Conn.Close() // whoever uses it sees that it is closed
	}
}

// isReadOnly recognizes the refusal also in what Redis before 7 says of a script.
func isReadOnly(err error) bool {
	reply, answered := errors.AsType[redis.Error](err)
	return answered && strings.Contains(reply.Error(), "READONLY ")
}

// DialHook implements redis.Hook.
func (f *follower) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (f *follower) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if isReadOnly(err) {
			f.leave()
		}
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (f *follower) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			if isReadOnly(cmd.Err()) {
				f.leave()
				break
			}
		}
		return err
	}
}
