package rqcompat

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Judgement tells whether an error is about the job that a call was for, or only about the server.
type Judgement int

// The judgements. Only Final is about a job; after all others the call may be made again, and of the job nothing is known.
const (
	Unknown  Judgement = iota // nothing that is known of Redis or of this package
	Away                      // there was no answer; what was sent may have taken effect
	Refusing                  // the server answers and does nothing for now
	Denied                    // the server refuses this client, until somebody changes its user, password or rights
	Final                     // about the data: a key or an argument isn't what the call needs, today and tomorrow
)

// judgements are what replies say, wherever in them the text stands: a script puts its own words around. The first that
// fits decides. A reply that isn't here passes.
var judgements = []struct {
	text   string
	is     Judgement
	reason string
}{
	{"OOM command not allowed", Refusing, "no memory left (maxmemory)"},
	{"MISCONF ", Refusing, "a snapshot can't be written"},
	{"READONLY ", Refusing, "a replica, after a failover"},
	{"LOADING ", Refusing, "its data are being read"},
	{"BUSY Redis", Refusing, "a script keeps it"},
	{"MASTERDOWN ", Refusing, "a replica without its master"},
	{"NOREPLICAS ", Refusing, "too few replicas follow (min-replicas-to-write)"},
	{"UNBLOCKED ", Refusing, "it has become a replica"},
	{"max number of clients reached", Refusing, "as it says"},
	{"max requests limit exceeded", Refusing, "its provider's"},
	{"NOAUTH", Denied, "a password is needed"},
	{"WRONGPASS", Denied, "user or password are wrong, or the user was switched off"},
	{"invalid password", Denied, "WRONGPASS before Redis 6"},
	{"NOPERM", Denied, "the user has no right to the command, the key or the channel"},
	{"The user executing the script can't", Denied, "the same of a command in a script, before Redis 7.2"},
	{"WRONGTYPE Operation against a key", Final, "the key holds another type"},
	{"hash value is not", Final, "a field that is counted holds no number"},
	{"value is not", Final, "an argument or a score is no number"},
	{"would overflow", Final, "a counter is at its end"},
	{"string exceeds maximum allowed size", Final, "a value beyond proto-max-bulk-len"},
	{"Protocol error: invalid", Final, "an argument beyond what the server takes"},
	{"attempt to ", Final, "a script of this package met data that it can't work with"},
	{"bad argument #", Final, "as above"},
	{"NOSCRIPT", Final, "the script did nothing; runScripts loads it"},
}

// own are this package's errors about a job, a request or a configuration.
var own = []error{
	ErrBadRequest, ErrBadCall, ErrNoSuchJob, ErrDuplicateJob, ErrCanceled, ErrNotRequeueable, ErrNotRunning, ErrVersionUnknown,
}

// Judge judges an error of this package or of go-redis. What isn't known to be about the data passes: too many clients
// or requests, a server that is loading or busy with a script, a replica without its master.
func Judge(err error) Judgement {
	var (
		reply       redis.Error
		network     net.Error
		field       *FieldError
		unsupported *UnsupportedVersionError
		mixed       *MixedVersionsError
		dependency  *DependencyError
	)
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case errors.As(err, &field), errors.As(err, &unsupported), errors.As(err, &mixed), errors.As(err, &dependency), slices.ContainsFunc(own, is):
		return Final
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted), errors.Is(err, redis.ErrClosed):
		return Away
	case errors.As(err, &reply) && !errors.Is(err, redis.Nil):
		for _, j := range judgements {
			if strings.Contains(reply.Error(), j.text) {
				return j.is
			}
		}
		return Refusing
	case errors.As(err, &network) && !isErrno(network) && !errors.Is(err, context.DeadlineExceeded), slices.ContainsFunc([]error{
		io.EOF, io.ErrUnexpectedEOF, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE,
	}, is):
		return Away
	}
	return Unknown
}

// isErrno reports whether an error is an operating system's number, which has the methods of a net.Error wherever it comes
// from: of a file or a process too. What net makes of one is an error of its own.
func isErrno(err error) bool {
	_, is := err.(syscall.Errno)
	return is
}

// OfServer reports whether an error says that the server can't be used now, by whomever: it gives no answer, or refuses all, or all
// writes. What it may refuse one command for, a right or a name that it doesn't know, isn't among it.
func OfServer(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) || errors.Is(err, redis.Nil) {
		return Judge(err) == Away
	}
	for _, j := range judgements {
		if j.is == Refusing && strings.Contains(reply.Error(), j.text) {
			return true
		}
	}
	return false
}

// pipelined sends commands in one round trip. Errors about the data are left in their commands; any other is returned,
// also one that kept the commands from being sent: their replies are then empty, and not those of empty keys.
func pipelined(ctx context.Context, rdb redis.UniversalClient, fill func(p redis.Pipeliner)) ([]redis.Cmder, error) {
	cmds, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		fill(p)
		return nil
	})
	if err == nil {
		return cmds, nil
	}
	answered := false
	for _, cmd := range cmds {
		switch err := cmd.Err(); {
		case err == nil:
		case Judge(err) != Final:
			return nil, err
		default:
			answered = true
		}
	}
	if !answered {
		return nil, err
	}
	return cmds, nil
}
