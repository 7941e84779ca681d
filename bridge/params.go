// # Parameters from Python
//
// A handler's parameters are JSON: the keyword arguments that Python pickled, written as follows, or a row's
// input_parameters as they are. They are decoded into the handler's P as encoding/json does: a field needs its tag, since
// InvoiceYear doesn't match invoice_year; what is absent leaves its field zero, so a pointer tells absent from zero; what
// P has no field for is ignored, or with StrictParams an error.
//
//	Python                      JSON                                 Go
//	None                        null                                 leaves the field as it is; a pointer stays nil
//	bool, str                   true, "…"                            bool, string; lone surrogates have become U+FFFD
//	int                         a number of any length               int64, *big.Int, json.Number; a float64 and an any round
//	float                       a number                             float64
//	nan, inf, -inf              "nan", "inf", "-inf"                 string
//	datetime                    "2024-02-29 23:59:59.5+01:00"        Datetime; without a zone it is naive, a zone that has only
//	                                                                 a name follows in brackets: "…[Europe/Berlin]"
//	date                        "2024-02-29"                         Date
//	time                        "23:59:59.5"                         string, see time.TimeOnly
//	timedelta                   "-1 day, 23:59:59.5"                 Timedelta
//	Decimal                     "1.50", "1E+400", "NaN"              Decimal
//	UUID                        "12345678-1234-5678-1234-567812345678"  string
//	list, tuple                 an array                             a slice
//	set, frozenset              an array, in no order                a slice
//	dict, frappe._dict          an object; keys that aren't strings  a struct or a map
//	                            are written as JSON writes them
//	bytes, bytearray            a string where they are UTF-8,       string; nothing tells the two apart, so producers do
//	                            else base64                          better to send base64 that they made
//	a function or class         "module.name"                        string
//	any other object            {"__class__": "module.Name", …}      a struct or a map
//
// The pickle subcommand of the program shows what a waiting job holds. Encoded again, as parameters of another job or as
// a result, the types above give the same JSON.
package bridge

import (
	"encoding/json"
	"reflect"
)

// misfit is the error of a JSON value that isn't a T. encoding/json adds the field to an error of this type, and nothing
// of it shows the value.
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
