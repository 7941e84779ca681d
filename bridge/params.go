package bridge

import (
	"encoding/json"
	"reflect"
)

// misfit is the error of a JSON value that isn't a T. encoding/json adds the field; nothing of it shows the value.
func misfit[T any](value []byte, like string) error {
	kind := "number"
	switch value[0] {
	case '"':
		kind = "string"
	case '{':
		kind = "object"
	case '[':
		kind = "array"
	case 't', 'f':
		kind = "bool"
	}
	return &json.UnmarshalTypeError{Value: kind + " that isn't like " + like, Type: reflect.TypeFor[T]()}
}

// stringOf reads a JSON string; ok is false for another value.
func stringOf(value []byte) (s string, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(value, &s) == nil
}
