package job

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
)

// redisError is a reply of Redis.
type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

func dial(err syscall.Errno) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
}

func TestClassify(t *testing.T) {
	base := errors.New("boom")
	tests := []struct {
		name string
		err  error
		want ErrorType
	}{
		{"plain", base, Transient},
		{"permanent", Mark(base, Permanent, 0), Permanent},
		{"wrapped permanent", fmt.Errorf("export: %w", Mark(base, Permanent, 0)), Permanent},
		{"transient around a permanent one", Mark(Mark(base, Permanent, 0), Transient, 0), Transient},
		{"transient around refused parameters", Mark(&ParamsError{Handler: "h", Err: base}, Transient, 0), Transient},
		{"retry after", Mark(base, Transient, time.Second), Transient},
		{"parameters", &ParamsError{Handler: "h", Err: base}, Permanent},
		{"no handler", fmt.Errorf("w: %w", &NoHandlerError{Method: "m", Queue: "go"}), Permanent},
		{"refusal", Refuse("RowError", "no"), Permanent},
		{"panic", recovered("oops"), Transient},
		{"http 400", &HTTPError{Status: 400}, Permanent},
		{"http 404", &HTTPError{Status: 404}, Permanent},
		{"http 408", &HTTPError{Status: 408}, Transient},
		{"http 425", &HTTPError{Status: 425}, Transient},
		{"http 429", &HTTPError{Status: 429}, Transient},
		{"http 499", &HTTPError{Status: 499}, Permanent},
		{"http 500", &HTTPError{Status: 500}, Transient},
		{"http 503", fmt.Errorf("call: %w", &HTTPError{Status: 503}), Transient},
		{"http 399", &HTTPError{Status: 399}, Transient},
		{"http 503 with a permanent class in its text", &HTTPError{Status: 503, Message: "ValidationError: x"}, Transient},
		{"frappe validation", errors.New("frappe.exceptions.ValidationError: bad"), Permanent},
		{"bare class", errors.New("PermissionError: no"), Permanent},
		{"another class", errors.New("TimestampMismatchError: reload"), Transient},
		{"class alone", errors.New("frappe.exceptions.PermissionError\n"), Permanent},
		{"class in the middle", errors.New("server said ValidationError: x"), Transient},
		{"class on a later line", errors.New("x\nValidationError: y"), Transient},
		{"timeout", ErrTimeout, Transient},

		{"deadline of the handler's own", fmt.Errorf("call: %w", context.DeadlineExceeded), Transient},
		{"canceled by the handler", context.Canceled, Transient},
		{"end of a stream", io.ErrUnexpectedEOF, Transient},
		{"refused", dial(syscall.ECONNREFUSED), Transient},
		{"reset", &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, Transient},
		{"broken pipe", syscall.EPIPE, Transient},
		{"no route", dial(syscall.EHOSTUNREACH), Transient},
		{"timeout of the network", &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}, Transient},
		{"a socket that isn't there", dial(syscall.ENOENT), Transient},
		{"a socket that may not be opened", dial(syscall.EACCES), Transient},
		{"no such host", &url.Error{Op: "Get", URL: "http://h", Err: &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}}}, Transient},
		{"name server away", &net.DNSError{Err: "i/o timeout", Name: "h", IsTimeout: true}, Transient},
		{"certificate of nobody's", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, Transient},
		{"certificate that has expired", x509.CertificateInvalidError{Reason: x509.Expired}, Transient},
		{"no TLS on the other side", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, Transient},

		{"disk full", &fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}, Transient},
		{"no memory", os.NewSyscallError("fork", syscall.ENOMEM), Transient},
		{"too many files", &fs.PathError{Op: "open", Path: "/x", Err: syscall.EMFILE}, Transient},
		{"no such file", &fs.PathError{Op: "open", Path: "/x", Err: syscall.ENOENT}, Permanent},
		{"no right to a file", &fs.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}, Permanent},
		{"no such program", &exec.Error{Name: "x", Err: exec.ErrNotFound}, Permanent},
		{"no such row", fmt.Errorf("invoice: %w", sql.ErrNoRows), Permanent},
		{"bad connection", driver.ErrBadConn, Transient},

		{"mysql deadlock", &mysql.MySQLError{Number: 1213}, Transient},
		{"mysql lock wait", &mysql.MySQLError{Number: 1205}, Transient},
		{"mysql too many connections", &mysql.MySQLError{Number: 1040}, Transient},
		{"mysql connections of a user", &mysql.MySQLError{Number: 1226}, Transient},
		{"mysql gone away", &mysql.MySQLError{Number: 2006}, Transient},
		{"mysql lost", &mysql.MySQLError{Number: 2013}, Transient},
		{"mysql connection", mysql.ErrInvalidConn, Transient},
		{"mysql shuts down", &mysql.MySQLError{Number: 1053}, Transient},
		{"mysql is read-only", &mysql.MySQLError{Number: 1290}, Transient},
		{"mysql has no disk", &mysql.MySQLError{Number: 1114}, Transient},
		{"mysql statement too long", &mysql.MySQLError{Number: 1969}, Transient},
		{"mysql duplicate", &mysql.MySQLError{Number: 1062}, Transient},
		{"mysql no such table", &mysql.MySQLError{Number: 1146}, Transient},
		{"mysql access denied", fmt.Errorf("open: %w", &mysql.MySQLError{Number: 1045}), Permanent},
		{"mysql no right", &mysql.MySQLError{Number: 1142}, Permanent},
		{"mysql value too long", &mysql.MySQLError{Number: 1406}, Permanent},
		{"mysql no value", &mysql.MySQLError{Number: 1048}, Permanent},

		{"redis loading", redisError("LOADING Redis is loading the dataset in memory"), Transient},
		{"redis busy", redisError("BUSY Redis is busy running a script"), Transient},
		{"redis cluster down", redisError("CLUSTERDOWN The cluster is down"), Transient},
		{"redis replica", redisError("READONLY You can't write against a read only replica."), Transient},
		{"redis has no memory", redisError("OOM command not allowed when used memory > 'maxmemory'."), Transient},
		{"redis clients", redisError("ERR max number of clients reached"), Transient},
		{"redis pool", redis.ErrPoolTimeout, Transient},
		{"redis no password", redisError("NOAUTH Authentication required."), Permanent},
		{"redis wrong password", redisError("WRONGPASS invalid username-password pair or user is disabled."), Permanent},
		{"redis no right", redisError("NOPERM this user has no permissions to run the 'get' command"), Permanent},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := Classify(tc.err); got != tc.want {
				t.Errorf("Classify(%v) = %s, want %s", tc.err, got, tc.want)
			}
		})
	}
	for status := 400; status < 600; status++ {
		want := Permanent
		if status >= 500 || slices.Contains([]int{408, 425, 429}, status) {
			want = Transient
		}
		if got := Classify(&HTTPError{Status: status}); got != want {
			t.Errorf("HTTP %d is %s, want %s", status, got, want)
		}
	}
	for _, class := range permanentExceptions {
		if got := Classify(errors.New(class + ": x")); got != Permanent {
			t.Errorf("Classify(%s) = %s, want permanent", class, got)
		}
	}
}

// TestClassifyBy: the first that knows an error decides, unless the handler said what it is.
func TestClassifyBy(t *testing.T) {
	quota, other := errors.New("quota"), errors.New("other")
	permanent := func(err error) (ErrorType, bool) { return Permanent, errors.Is(err, quota) }
	transient := func(err error) (ErrorType, bool) { return Transient, true }
	for _, tc := range []struct {
		name string
		err  error
		by   []Classifier
		want ErrorType
	}{
		{"known", fmt.Errorf("w: %w", quota), []Classifier{permanent, transient}, Permanent},
		{"known to the second", fs.ErrNotExist, []Classifier{permanent, transient}, Transient},
		{"unknown", fs.ErrNotExist, []Classifier{permanent}, Permanent},
		{"said by the handler", Mark(quota, Transient, time.Minute), []Classifier{permanent}, Transient},
		{"none", other, nil, Transient},
	} {
		if got := ClassifyBy(tc.err, tc.by...); Classify(got) != tc.want || !errors.Is(got, tc.err) {
			t.Errorf("%s: %s (%v), want %s", tc.name, Classify(got), got, tc.want)
		}
	}
	if ReadError(ClassifyBy(Mark(quota, Transient, time.Minute), permanent)).After != time.Minute {
		t.Error("the pause that the handler asked for is gone")
	}
	if ClassifyBy(nil, permanent) != nil {
		t.Error("no error became one")
	}
	if endless := new(chain); ClassifyBy(endless, permanent) != error(endless) {
		t.Error("an error without end was looked through")
	}
}
