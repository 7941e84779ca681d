package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startAttempts is how many ports are tried when another process wins the race for the chosen one.
const startAttempts = 5

// Redis is a private redis-server. Its data are in memory only, unless WithAppendOnly was given.
type Redis struct {
	Addr     string // "127.0.0.1:port", or the path of the socket with WithUnixSocket
	Network  string // "tcp" or "unix"
	Password string // of the user default; "" = none

	p *process
}

// Option changes how StartRedis starts its server.
type Option func(*redisOptions)

type redisOptions struct {
	unix       bool
	appendOnly bool
	password   string
	config     []string
}

// WithUnixSocket makes the server listen on a socket file only.
func WithUnixSocket() Option { return func(o *redisOptions) { o.unix = true } }

// WithAppendOnly keeps what was acknowledged through Kill and Restart (appendfsync always).
func WithAppendOnly() Option { return func(o *redisOptions) { o.appendOnly = true } }

// WithPassword sets the password of the user default.
func WithPassword(password string) Option { return func(o *redisOptions) { o.password = password } }

// WithConfig adds a directive of redis.conf, such as WithConfig("user", "bridge", "on", ">pw", "~*", "&*", "+@all").
func WithConfig(name string, values ...string) Option {
	return func(o *redisOptions) { o.config = append(append(o.config, "--"+name), values...) }
}

// StartRedis starts redis-server on a free loopback port and returns when it answers, after about 30 ms.
func StartRedis(ctx context.Context, opts ...Option) (*Redis, error) {
	var o redisOptions
	for _, opt := range opts {
		opt(&o)
	}
	path, err := lookPath("redis-server")
	if err != nil {
		return nil, err
	}
	var lastErr error
	for range startAttempts {
		r, err := startRedisOnce(ctx, path, o)
		if err == nil {
			return r, nil
		}
		lastErr = err
		if ctx.Err() != nil || !strings.Contains(err.Error(), "Address already in use") {
			break
		}
	}
	return nil, lastErr
}

func startRedisOnce(ctx context.Context, path string, o redisOptions) (*Redis, error) {
	p, err := newProcess("redis-server", path)
	if err != nil {
		return nil, err
	}
	r := &Redis{Network: "tcp", Password: o.password, p: p}
	port := 0
	if o.unix {
		r.Network, r.Addr = "unix", filepath.Join(p.dir, "redis.sock")
	} else {
		if port, err = freePort(); err != nil {
			return nil, errors.Join(err, p.remove())
		}
		r.Addr = fmt.Sprintf("127.0.0.1:%d", port)
	}
	p.args = redisArguments(p.dir, port, r.Addr, o)
	if err := p.start(ctx, r.ready); err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return r, nil
}

func redisArguments(dir string, port int, addr string, o redisOptions) []string {
	args := []string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no",
		"--save", "", "--loglevel", "notice", "--logfile", "", "--databases", "16",
	}
	if o.unix {
		args = append(args, "--unixsocket", addr, "--unixsocketperm", "700")
	}
	if o.appendOnly {
		args = append(args, "--appendonly", "yes", "--appendfsync", "always")
	}
	if o.password != "" {
		args = append(args, "--requirepass", o.password)
	}
	return append(args, o.config...)
}

// ready asks PING. That the answer is our child's is known from its log: it says so only after it got the port.
func (r *Redis) ready(ctx context.Context) error {
	log, err := os.ReadFile(r.p.logPath())
	if err != nil {
		return err
	}
	// After a restart the file also has the lines of the earlier run.
	own := log[lastIndex(log, "Redis version="):]
	if !strings.Contains(string(own), "eady to accept connections") {
		return errors.New("not ready by its log")
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, r.Network, r.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	// With a password the server refuses to say more, but it is there. LOADING reads the append-only file.
	if !strings.HasPrefix(answer, "+PONG") && !strings.HasPrefix(answer, "-NOAUTH") {
		return fmt.Errorf("answers %q", strings.TrimSpace(answer))
	}
	return nil
}

func lastIndex(b []byte, mark string) int {
	return max(strings.LastIndex(string(b), mark), 0)
}

// URL is the server's address as a bench configuration writes it.
func (r *Redis) URL() string {
	u := url.URL{Scheme: "redis", Host: r.Addr}
	if r.Network == "unix" {
		u = url.URL{Scheme: "unix", Path: r.Addr}
	}
	if r.Password != "" {
		u.User = url.UserPassword("", r.Password)
	}
	return u.String()
}

// Stop ends the server and removes its files. Calling it again does nothing.
func (r *Redis) Stop() error { return r.p.remove() }

// Kill ends the server at once, as a crash would. Restart brings it back.
func (r *Redis) Kill() { r.p.kill() }

// Restart ends the server in order if it runs, and starts it again on the same address.
func (r *Redis) Restart(ctx context.Context) error {
	r.p.terminate(ctx)
	return r.p.start(ctx, r.ready)
}

// Pause freezes the server: connections stay open and nobody answers, as behind a broken network. Resume thaws it.
func (r *Redis) Pause() error { return r.p.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (r *Redis) Resume() error { return r.p.signal(syscall.SIGCONT) }
