package job

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// EncodeResult encodes what a handler returned for RQ's result stream. Anything that JSON can express is kept; the rest
// becomes RQ's own notice, beside an error that says why.
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
