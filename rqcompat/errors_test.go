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

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want rqcompat.Judgement
	}{
		{"refused", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, rqcompat.Away},
		{"refused, without its operation", fmt.Errorf("dial: %w", syscall.ECONNREFUSED), rqcompat.Away},
		{"reset", fmt.Errorf("read: %w", syscall.ECONNRESET), rqcompat.Away},
		{"read timeout", &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}, rqcompat.Away},
		{"no such host", &net.DNSError{Name: "redis", IsNotFound: true}, rqcompat.Away},
		{"closed by the server", io.EOF, rqcompat.Away},
		{"closed in an answer", io.ErrUnexpectedEOF, rqcompat.Away},
		{"client closed", redis.ErrClosed, rqcompat.Away},
		{"no free connection", redis.ErrPoolTimeout, rqcompat.Away},
		{"wrapped", fmt.Errorf("claim 2 jobs: %w", io.EOF), rqcompat.Away},
		{"joined", errors.Join(errors.New("other"), io.EOF), rqcompat.Away},

		{"loading", serverError("LOADING Redis is loading the dataset in memory"), rqcompat.Refusing},
		{"no master", serverError("MASTERDOWN Link with MASTER is down"), rqcompat.Refusing},
		{"no memory", serverError("OOM command not allowed when used memory > 'maxmemory'."), rqcompat.Refusing},
		{"no memory, in a script", serverError("OOM command not allowed when used memory > 'maxmemory'. script: ab, on @user_script:5."), rqcompat.Refusing},
		{"no memory, in a script of Redis 6", serverError("ERR Error running script (call to f_ab): @user_script:5: @user_script: 5: -OOM command not allowed when used memory > 'maxmemory'."), rqcompat.Refusing},
		{"no snapshot", serverError("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."), rqcompat.Refusing},
		{"replica", serverError("READONLY You can't write against a read only replica."), rqcompat.Refusing},
		{"busy", serverError("BUSY Redis is busy running a script."), rqcompat.Refusing},
		{"a limit of the provider", serverError("ERR max requests limit exceeded. Limit: 500000"), rqcompat.Refusing},
		{"too many clients", serverError("ERR max number of clients reached"), rqcompat.Refusing},
		{"what nobody has heard of", serverError("ERR the moon is full"), rqcompat.Refusing},

		{"no permission", serverError("NOPERM this user has no permissions to run the 'hgetall' command"), rqcompat.Denied},
		{"no permission, in a script of Redis 7.0", serverError("ERR The user executing the script can't run this command or subcommand script: ab, on @user_script:12."), rqcompat.Denied},
		{"wrong password", fmt.Errorf("w: %w", serverError("WRONGPASS invalid username-password pair or user is disabled.")), rqcompat.Denied},
		{"no password", serverError("NOAUTH Authentication required."), rqcompat.Denied},

		{"wrong type", serverError("WRONGTYPE Operation against a key holding the wrong kind of value"), rqcompat.Final},
		{"wrong type, in a script", serverError("WRONGTYPE Operation against a key holding the wrong kind of value script: ab, on @user_script:9."), rqcompat.Final},
		{"no number", serverError("ERR value is not an integer or out of range"), rqcompat.Final},
		{"a script at a loss", serverError("ERR user_script:7: attempt to compare nil with number script: ab, on @user_script:7."), rqcompat.Final},
		{"no such job", rqcompat.ErrNoSuchJob, rqcompat.Final},
		{"a broken field", fmt.Errorf("w: %w", &rqcompat.FieldError{}), rqcompat.Final},
		{"a version nobody knows", &rqcompat.UnsupportedVersionError{}, rqcompat.Final},

		{"nothing", nil, rqcompat.Unknown},
		{"no such key", redis.Nil, rqcompat.Unknown},
		{"canceled", context.Canceled, rqcompat.Unknown},
		{"deadline", context.DeadlineExceeded, rqcompat.Unknown},
		{"something else", errors.New("x"), rqcompat.Unknown},
	} {
		if got := rqcompat.Judge(test.err); got != test.want {
			t.Errorf("%s: Judge(%v) is %d, want %d", test.name, test.err, got, test.want)
		}
	}
}

// TestJudgeAsSeen asks about errors that this package returns.
func TestJudgeAsSeen(t *testing.T) {
	p := newPeer(t, "2.6.1")
	p.do("SET", "rq:queue:q", "not a list")
	if _, err := p.QueueLen(p.ctx, "q"); rqcompat.Judge(err) != rqcompat.Final {
		t.Errorf("queue of the wrong type: %v is judged %d, want final", err, rqcompat.Judge(err))
	}
	_ = p.rdb.Close()
	if _, err := p.QueueLen(p.ctx, "q"); rqcompat.Judge(err) != rqcompat.Away {
		t.Errorf("closed client: %v is judged %d, want away", err, rqcompat.Judge(err))
	}
	nobody := redis.NewClient(&redis.Options{Addr: freeAddress(t), MaxRetries: -1, DialTimeout: time.Second})
	defer nobody.Close()
	if _, err := rqcompat.NewClient(nobody, p.Dialect()).QueueLen(p.ctx, "q"); rqcompat.Judge(err) != rqcompat.Away {
		t.Errorf("nobody listens: %v is judged %d, want away", err, rqcompat.Judge(err))
	}
}

// TestARefusalIsNoFactAboutAJob: a server that refuses says nothing of the jobs that were asked for, whether it refuses
// the command or the connection that it would have come by.
func TestARefusalIsNoFactAboutAJob(t *testing.T) {
	p := newPeer(t, "2.6.1")
	p.do("HSET", "rq:job:a", "status", "queued")
	p.do("SET", "rq:job:odd", "not a hash")
	p.do("ACL", "SETUSER", "u", "on", ">old", "~*", "&*", "+@all")
	address := p.rdb.Options().Addr
	as := func(password string) *rqcompat.Client {
		rdb := redis.NewClient(&redis.Options{Addr: address, Username: "u", Password: password, MaxRetries: -1})
		t.Cleanup(func() { _ = rdb.Close() })
		return rqcompat.NewClient(rdb, p.Dialect())
	}
	allowed, rotated := as("old"), as("new")
	jobs, err := allowed.FetchMany(p.ctx, []string{"a", "odd"})
	if err != nil || jobs[0].Job == nil || rqcompat.Judge(jobs[1].Err) != rqcompat.Final {
		t.Fatalf("with all rights: %v, %+v", err, jobs)
	}
	p.do("ACL", "SETUSER", "u", "-hgetall", "-hmget", "-evalsha")
	p.do("ZADD", "rq:wip:q", "1", "a:0123456789abcdef0123456789abcdef")
	for name, c := range map[string]*rqcompat.Client{"a command": allowed, "a connection": rotated} {
		if jobs, err := c.FetchMany(p.ctx, []string{"a", "b"}); rqcompat.Judge(err) != rqcompat.Denied {
			t.Errorf("FetchMany, %s refused: %v, %v, want an error and nothing about any job", name, jobs, err)
		}
		if lapsed, err := c.Lapsed(p.ctx, "q", 0); rqcompat.Judge(err) != rqcompat.Denied {
			t.Errorf("Lapsed, %s refused: %v, %v, want an error and nothing about any job", name, lapsed, err)
		}
		if results, err := c.Settle(p.ctx, []rqcompat.Outcome{{Kind: rqcompat.OutcomeGivenBack}}); rqcompat.Judge(err) != rqcompat.Denied {
			t.Errorf("Settle, %s refused: %v, %v, want an error", name, results, err)
		}
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
