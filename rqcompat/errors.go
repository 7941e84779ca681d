package rqcompat

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// IsAway reports whether err says that Redis can't be reached now, as opposed to a server that answers and
// refuses: trying again later may help. A server that is loading its data, or a replica without its master, counts
// as away. The end of a context does not. What was sent before the error may have taken effect.
func IsAway(err error) bool {
	_, broken := errors.AsType[*net.OpError](err)
	return broken || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, redis.ErrClosed) || errors.Is(err, redis.ErrPoolTimeout) ||
		redis.HasErrorPrefix(err, "LOADING") || redis.HasErrorPrefix(err, "MASTERDOWN")
}

// isReplyError says that the server answered, if only with an error, as opposed to a broken connection.
func isReplyError(err error) bool {
	_, answered := errors.AsType[redis.Error](err)
	return answered
}

// wrap is err with what was being done, nil for nil. Where every allocation counts it is written out.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

// clip shortens a value that goes into an error message.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
