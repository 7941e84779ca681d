package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// unknownOwn is a decoder's complaint about the argument that the bridge itself reads, the tenant of frappe.enqueue. A
// strict handler need not have a field for it.
const unknownOwn = `json: unknown field "organization"`

// Params decodes a job's parameters for the handler of that name; none leave P's zero value. One that P has no field for
// is ignored, or an error if strict. An error is a *ParamsError that never shows a value, which may be a secret.
func Params[P any](handler string, params json.RawMessage, strict bool) (p P, err error) {
	if len(params) == 0 {
		return p, nil
	}
	p, err = decode[P](params, strict)
	if err != nil && err.Error() == unknownOwn {
		p, err = decode[P](without(params, "organization"), strict)
	}
	if err != nil {
		return p, &ParamsError{Handler: handler, Err: err}
	}
	return p, nil
}

// decode decodes exactly one JSON value.
func decode[P any](params json.RawMessage, strict bool) (p P, err error) {
	d := json.NewDecoder(bytes.NewReader(params))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(&p); err != nil {
		return p, withoutValue(err)
	}
	if _, more := d.Token(); !errors.Is(more, io.EOF) {
		return p, errors.New("more than one JSON value")
	}
	return p, nil
}

// without is an object without one of its keys.
func without(object json.RawMessage, key string) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil {
		return object
	}
	delete(fields, key)
	left, _ := json.Marshal(fields) // raw values that were decoded encode again
	return left
}

// withoutValue says what doesn't fit in words that name the field and not its value.
func withoutValue(err error) error {
	wrong, isWrong := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case isWrong:
		kind := wrong.Value
		if name, value, _ := strings.Cut(kind, " "); !strings.Contains(value, " ") {
			kind = name // "number 12.5" shows the number; more words are what package bridge says of its own types
		}
		field := "the whole"
		if wrong.Field != "" {
			field = fmt.Sprintf("%q", wrong.Field)
		}
		return fmt.Errorf("%s is a JSON %s, which a %s can't hold", field, kind, wrong.Type)
	case is[*time.ParseError](err):
		return errors.New("a string is not a time.Time such as 2024-02-29T23:59:59Z; what Python sends fits a bridge.Datetime")
	case strings.HasPrefix(err.Error(), "json: invalid use of ,string"):
		return errors.New(`a field with the tag option ",string" has a value of another kind`)
	}
	return err
}

// EncodeResult encodes a return value for RQ's result stream: what JSON can't express as RQ's own notice, with an error.
func EncodeResult(result any) (string, error) {
	if encoded, err := rqcompat.EncodeResult(result); err == nil {
		return encoded, nil
	}
	encoded, err := throughJSON(result)
	if err != nil {
		encoded, _ = rqcompat.EncodeResult("Unserializable return value")
	}
	return encoded, err
}

// throughJSON encodes what only encoding/json can express: structs, and types with a MarshalJSON, which may panic.
func throughJSON(result any) (encoded string, err error) {
	defer func() {
		if v := recover(); v != nil {
			encoded, err = "", fmt.Errorf("encoding it panicked: %v", v)
		}
	}()
	b, err := json.Marshal(result)
	if err != nil {
		return "", err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // an int must not become a float on its way
	var plain any
	if err := d.Decode(&plain); err != nil {
		return "", err
	}
	return rqcompat.EncodeResult(plain)
}
