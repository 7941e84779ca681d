package pickle

import (
	"cmp"
	"fmt"
)

// SyntaxError says where and why a stream is not a pickle, or JSON of Python's, that this package reads. It never contains data of the
// stream.
type SyntaxError struct {
	Offset int    // of the opcode, in bytes from the start
	Opcode byte   // 0 when the stream ends where an opcode should be
	JSON   bool   // it was read as JSON, which has no opcodes
	Msg    string // what is wrong
}

// LimitError says which limit a pickle or a value exceeds.
type LimitError struct {
	Limit string // what is limited: "work", "memory", "time", or in words such as "input bytes", "levels of depth"
	Max   int    // the limit that was in force: units of work, bytes of memory, milliseconds of time
}

var limitUnits = map[string]string{"work": "units of work", "memory": "bytes of memory", "time": "milliseconds"}

func (e *LimitError) Error() string {
	return fmt.Sprintf("pickle: limit exceeded: more than %d %s", e.Max, cmp.Or(limitUnits[e.Limit], e.Limit))
}

// UnsupportedError says why a Go value can't be written as a pickle.
type UnsupportedError struct {
	Msg string
}

func (e *UnsupportedError) Error() string { return "pickle: " + e.Msg }

// failure is what reading and writing panic with when they can't go on, so that none of their many steps has to
// pass an error on.
type failure struct{ error }

// failed makes a failure the error of the exported function that defers it.
func failed(err *error) { recovered(recover(), err) }

func recovered(r any, err *error) {
	switch r := r.(type) {
	case nil:
	case failure:
		*err = r.error
	default:
		panic(r)
	}
}

func beyond(limit string, most int) failure { return failure{&LimitError{limit, most}} }
