package attempt

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// returnValue encodes what a handler returned for RQ's result stream. Anything that JSON can express is kept; the rest
// becomes RQ's own notice.
func returnValue(r *run, result any) string {
	if result == nil {
		return ""
	}
	if encoded, err := rqcompat.EncodeResult(result); err == nil {
		return encoded
	}
	encoded, err := throughJSON(result)
	if err == nil {
		return encoded
	}
	r.Log().Warn("return value can't be expressed for Python", "error", err)
	encoded, _ = rqcompat.EncodeResult("Unserializable return value")
	return encoded
}

// throughJSON encodes what only encoding/json knows to express: structs, and types with a MarshalJSON of their own,
// which may panic.
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
