package frappe

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/internal/dial"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// RedisQueue are the connection options of redis_queue, a URL and its options as redis-py takes them, with the bench's credentials in Frappe's order: the ACL user of
// use_rq_auth, else RQ_ADMIN_PASWORD (Frappe spells it so), else what the URL carries (redis_queue.py,
// background_jobs.py get_redis_conn). The client never repeats a command: an RPUSH without reply would run twice.
func (b *Bench) RedisQueue() (*Redis, error) {
	c := b.Config()
	o, err := b.redisServer(c, "redis_queue")
	if err != nil {
		return nil, err
	}
	switch {
	case c.Bool("use_rq_auth"):
		o.Username = c.String("rq_username", b.ID)
		o.Password = c.String("rq_password", "")
		if o.Password == "" {
			return nil, fmt.Errorf("redis_queue: use_rq_auth is on but rq_password is empty in %s; run: bench create-rq-users", commonFile)
		}
	case os.Getenv("RQ_ADMIN_PASWORD") != "":
		o.Username, o.Password = "default", os.Getenv("RQ_ADMIN_PASWORD")
	}
	return o, nil
}

// RedisRealtime are the options of the connection that publishes realtime events: redis_queue without the ACL user, who
// may not publish on the channel "events" (realtime.py get_redis_connection_without_auth).
func (b *Bench) RedisRealtime() (*Redis, error) {
	return b.redisServer(b.Config(), "redis_queue")
}

// RedisCache are the connection options of redis_cache. A command on it ends with its context: nobody has to wait for a
// cache.
func (b *Bench) RedisCache() (*Redis, error) {
	o, err := b.redisServer(b.Config(), "redis_cache")
	if err == nil {
		o.ContextTimeoutEnabled = true
	}
	return o, err
}

func (b *Bench) redisServer(c Config, key string) (r *Redis, err error) {
	if c.Bool(key + "_sentinel_enabled") {
		r, err = sentinelServer(c, key)
	} else {
		r, err = b.urlServer(c, key)
	}
	if err != nil {
		return nil, err
	}
	r.MaxRetries = -1
	// Only hosted clusters send these. In automatic mode go-redis 9.23 negotiates them, with a data race.
	r.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return r, nil
}

// dialTimeout is go-redis' own.
const dialTimeout = 5 * time.Second

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialTo returns how connections to a server are made.
func dialTo(timeout time.Duration, secure *tls.Config) dialer {
	d := dial.Dialer(timeout)
	if secure == nil {
		return d.DialContext
	}
	return (&tls.Dialer{NetDialer: d, Config: secure}).DialContext
}

// quietDialer returns connections that fail at their first use where dial fails. go-redis writes a dialer's failures to
// stderr, through a logger that all users of it in a process share, and dials five times; errors come back all the same.
func quietDialer(dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			// go-redis takes off one layer.
			return failedConn{err: fmt.Errorf("connect: %w", err)}, nil
		}
		return c, nil
	}
}

// failedConn is a connection that was never made.
type failedConn struct{ err error }

func (c failedConn) Read([]byte) (int, error)         { return 0, c.err }
func (c failedConn) Write([]byte) (int, error)        { return 0, c.err }
func (c failedConn) Close() error                     { return nil }
func (c failedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c failedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c failedConn) SetDeadline(time.Time) error      { return nil }
func (c failedConn) SetReadDeadline(time.Time) error  { return nil }
func (c failedConn) SetWriteDeadline(time.Time) error { return nil }

func (b *Bench) urlServer(c Config, key string) (*Redis, error) {
	u, ok := splitRedisURL(c.String(key, ""))
	if !ok {
		// Never quoted: it may hold a password.
		return nil, fmt.Errorf("%s is not a Redis URL; it must look like redis://127.0.0.1:11000, rediss://… or unix:///path", key)
	}
	o, err := u.connection(b.SitesDir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	o.Dialer = dialTo(cmp.Or(o.DialTimeout, dialTimeout), o.TLSConfig)
	return &Redis{UniversalOptions: o, Where: o.Addrs[0]}, nil
}

// ReservedEvent reports whether socket.io keeps an event's name for itself (4.x). One that is emitted all the same
// throws: in the realtime server, inside its subscriber's callback, which ends the realtime of all sites.
func ReservedEvent(name string) bool {
	return slices.Contains([]string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}, name)
}
