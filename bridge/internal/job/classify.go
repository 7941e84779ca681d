package job

import (
	"database/sql"
	"errors"
	"io/fs"
	"net"
	"os/exec"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// permanentExceptions are Frappe's exception classes that no retry mends (frappe/exceptions.py, 15).
var permanentExceptions = []string{
	"ValidationError", "PermissionError", "DoesNotExistError", "MandatoryError",
	"LinkValidationError", "InvalidAuthorizationHeader", "AuthenticationError",
}

// permanentNumbers are MariaDB's errors that no retry mends (mysqld_error.h). A missing table or column isn't among them: it may
// be there once a migration has ended.
var permanentNumbers = []uint16{
	1044, 1045, 1698, 1142, 1143, 1227, 1370, // user, password, rights
	1048, 1118, 1153, 1264, 1265, 1292, 1300, 1364, 1366, 1367, 1406, 1411, 1441, 1690, // a value that a column or a function doesn't take
	1644, 3819, 4025, // a trigger's or a check's own refusal
}

// permanentErrors say that something isn't there, or isn't allowed.
var permanentErrors = []error{fs.ErrNotExist, fs.ErrPermission, exec.ErrNotFound, sql.ErrNoRows}

// Classify sorts an error into the two kinds of a Background Job. What a handler said wins; then what the error is;
// anything unknown is transient, since trying once too often costs less than giving up on a job.
func Classify(err error) ErrorType {
	if f, ok := err.(*Failure); ok {
		return f.Kind
	}
	return classify(err, err.Error())
}

// classify sorts an error whose text is known.
func classify(err error, text string) ErrorType {
	if said, ok := errors.AsType[*wish](err); ok {
		return said.kind
	}
	answer, isAnswer := errors.AsType[*HTTPError](err)
	number, isNumber := errors.AsType[*mysql.MySQLError](err)
	isOurs := is[*ParamsError](err) || is[*NoHandlerError](err) || is[*Refusal](err)
	switch {
	case isAnswer:
		return answer.kind()
	case isNumber:
		return permanentIf(slices.Contains(permanentNumbers, number.Number))
	case isOurs, rqcompat.Judge(err) == rqcompat.Denied, namesPermanentException(text):
		return Permanent
	case is[*net.OpError](err), is[*net.DNSError](err): // a socket that isn't there is a service that is away
		return Transient
	}
	return permanentIf(slices.ContainsFunc(permanentErrors, func(target error) bool { return errors.Is(err, target) }))
}

func permanentIf(so bool) ErrorType {
	if so {
		return Permanent
	}
	return Transient
}

// Classifier is a classification of the user's own; false says that it doesn't know the error.
type Classifier func(error) (ErrorType, bool)

// ClassifyBy marks err as the first of the classifiers says that knows it; what a handler said of it stands.
func ClassifyBy(err error, classifiers ...Classifier) error {
	if err == nil || len(classifiers) == 0 || !wrapsFew(err) || is[*wish](err) {
		return err
	}
	for _, classify := range classifiers {
		if kind, known := classify(err); known {
			return Mark(err, kind, 0)
		}
	}
	return err
}

// is reports whether err is or wraps an E.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// namesPermanentException looks for a text that starts with one of Frappe's permanent classes, bare or dotted
// ("frappe.exceptions.ValidationError: …"), as a handler relays it that talks to a site; of an exception without a text it is all.
func namesPermanentException(text string) bool {
	class, _, _ := strings.Cut(strings.TrimSpace(text), ":")
	if strings.ContainsAny(class, " \n") {
		return false
	}
	return slices.Contains(permanentExceptions, class[strings.LastIndexByte(class, '.')+1:])
}
