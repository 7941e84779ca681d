package exitcode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/frappe/socketio"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

func TestExitCodes(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, OK},
		{errors.New("anything"), Failure},
		{Usagef("x"), Usage},
		{bridge.ErrBadRequest, Usage},
		{rows.ErrNoSuchJob, NotFound},
		{frappe.ErrNoSuchSite, NotFound},
		{rows.ErrNoSuchOrganization, NotFound},
		{bridge.ErrNoSuchJobType, NotFound},
		{rqcompat.ErrNoData, NotFound},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, NotFound},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, Failure},
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, Failure},
		{&net.OpError{Op: "dial", Net: "tcp", Err: syscall.EHOSTUNREACH}, Unavailable},
		{&bridge.TransitionError{}, Refused},
		{bridge.ErrJobTypeDisabled, Refused},
		{rqcompat.ErrDuplicateJob, Refused},
		{&rqcompat.NotRequeueableError{}, Refused},
		{&pickle.SyntaxError{}, Data},
		{&pickle.LimitError{}, Data},
		{rows.ErrUnavailable, Unavailable},
		{syscall.ECONNREFUSED, Unavailable},
		{context.DeadlineExceeded, Temporary},
		{errors.Join(rows.ErrUnavailable, context.DeadlineExceeded), Temporary},
		{errors.Join(context.Canceled, Silent(Refused)), Refused},
		{rows.ErrAccessDenied, Denied},
		{&socketio.ConnectError{Namespace: "s"}, Denied},
		{&frappe.ConfigError{}, Config},
		{rqcompat.ErrVersionUnknown, Config},
		{rows.ErrTableMissing, Config},
		{context.Canceled, Interrupted},
	} {
		err := tc.err
		if err != nil {
			err = fmt.Errorf("do it: %w", err)
		}
		if got := Of(err); got != tc.want {
			t.Errorf("exit code of %v is %d, want %d", err, got, tc.want)
		}
	}
}

func TestSilence(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {errors.New("anything"), false}, {Usagef("x"), false}, {Silent(Failure), true}, {fmt.Errorf("do it: %w", Silent(Failure)), true},
	} {
		if got := IsSilent(tc.err); got != tc.want {
			t.Errorf("is %v silent? %v, want %v", tc.err, got, tc.want)
		}
	}
}
