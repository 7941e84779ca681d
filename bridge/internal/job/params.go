package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
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
		return p, withoutValue(err, func() string { return refused[P](params) })
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
	left, _ := JSON(fields) // raw values that were decoded encode again
	return left
}

// withoutValue says what doesn't fit in words that name the field and not its value. What the types of a handler say of a
// value they refuse may quote it, so that it is not passed on; field finds which one it was.
func withoutValue(err error, field func() string) error {
	wrong, isWrong := errors.AsType[*json.UnmarshalTypeError](err)
	broken, isBroken := errors.AsType[*json.SyntaxError](err)
	switch {
	case isWrong:
		kind, more, _ := strings.Cut(wrong.Value, " ") // "number 12.5" shows the number, and "number KEY" the key of a map
		if ours(wrong.Type) && strings.HasPrefix(more, Unlike) {
			kind += " " + more
		}
		field := "the whole"
		if wrong.Field != "" {
			field = fmt.Sprintf("%q", wrong.Field)
		}
		return fmt.Errorf("%s is a JSON %s, which a %s can't hold", field, kind, wrong.Type)
	case isBroken:
		return fmt.Errorf("it is not JSON at byte %d", broken.Offset)
	case is[*time.ParseError](err):
		return errors.New("a string is not a time.Time such as 2024-02-29T23:59:59Z; what Python sends fits a bridge.Datetime")
	case strings.HasPrefix(err.Error(), "json: invalid use of ,string"):
		return errors.New(`a field with the tag option ",string" has a value of another kind`)
	case strings.HasPrefix(err.Error(), "json: unknown field "), err == io.ErrUnexpectedEOF, err == io.EOF:
		return err // one that only wraps them is a handler's
	}
	return fmt.Errorf("%s has a value that its type refuses", field())
}

// Unlike is what package bridge's types say of a value: what kind it is that isn't like one that they take.
const Unlike = "that isn't like "

// ours reports whether a type is one of package bridge, which says in more words what a value has to be like.
func ours(t reflect.Type) bool {
	return t != nil && t.PkgPath() == "github.com/opensoft/dartwing-bridge/bridge"
}

// refused finds the field of an object that P can't be decoded from.
func refused[P any](params json.RawMessage) string {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(params, &fields)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		var p P
		if one, err := JSON(map[string]json.RawMessage{name: fields[name]}); err == nil && json.Unmarshal(one, &p) != nil {
			return fmt.Sprintf("%q", name)
		}
	}
	return "the whole"
}

// mostResult is how large a result may be as RQ stores it, base64 included, in bytes.
const mostResult = 16 << 20

// ErrResultTooLarge is what the error is of a result that Redis should not have to hold; it names the limit. Permanent.
var ErrResultTooLarge = errors.New("the handler's result is too large to be kept")

var errLongResult = fmt.Errorf("%w: more than %d MiB", ErrResultTooLarge, mostResult>>20)

// EncodeResult encodes a return value for RQ's result stream as the job's serializer does: what JSON can't express as RQ's
// own notice, with an error. It runs methods of the value, whose panic becomes an error too; the error itself has none.
func EncodeResult(result any, s rqcompat.Serializer) (encoded string, err error) {
	if raw, ok := result.(json.RawMessage); ok && len(raw) > mostResult {
		return "", Mark(errLongResult, Permanent, 0) // before it is copied again and again
	}
	_, err = Protect(func() (any, error) {
		if encoded, err = rqcompat.EncodeResult(result, s); err != nil && !isLimit(err) {
			encoded, err = throughJSON(result, s)
		}
		switch {
		case err == nil && len(encoded) > mostResult:
			err = errLongResult
		case errors.Is(err, errLongResult):
		case isLimit(err):
			err = fmt.Errorf("%w: %w", ErrResultTooLarge, err)
		case err != nil:
			err = errors.New(Clip(err.Error()))
		}
		return nil, err
	})
	if panicked, ok := err.(*PanicError); ok {
		err = fmt.Errorf("encoding it panicked: %s", Clip(valueText(panicked.Value)))
	}
	switch {
	case errors.Is(err, ErrResultTooLarge):
		return "", Mark(err, Permanent, 0)
	case err != nil:
		encoded, _ = rqcompat.EncodeResult("Unserializable return value", s)
	}
	return encoded, err
}

func isLimit(err error) bool { return err != nil && is[*pickle.LimitError](err) }

// JSON is v as JSON in which <, > and & stand as they are: escaped, each would take six bytes.
func JSON(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// throughJSON encodes what only encoding/json can express: structs, and types with a MarshalJSON.
func throughJSON(result any, s rqcompat.Serializer) (string, error) {
	b, err := JSON(result)
	switch {
	case err != nil:
		return "", err
	case len(b) > mostResult:
		return "", errLongResult
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // an int must not become a float on its way
	var plain any
	if err := d.Decode(&plain); err != nil {
		return "", err
	}
	return rqcompat.EncodeResult(plain, s)
}
