package pickle

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Plain converts a decoded value to map[string]any, []any, string, bool, int64, json.Number (integers beyond
// int64), float64 and nil, for display. It never fails and always returns a finite tree.
//
// Tuples become lists, and objects of a subclass of dict, list, tuple, str, bytes, int or float what Base says. Every
// change of meaning is named in lossy as "path: what happened", where the path starts with $; what happened within a
// shared value is named once:
//
//   - date, time, datetime, timedelta, Decimal and UUID are the text str() gives;
//     a time zone without a fixed offset follows in brackets
//   - a function or class is "module.name"
//   - an object of a subclass loses its class, but for frappe._dict and those of
//     module collections, and its attributes
//   - another object is {"__class__": "module.name"} with its attributes, and as
//     far as it has them __args__, __kwargs__, __state__, __items__, __entries__
//   - sets are lists; bytes are text when they are UTF-8, else base64
//   - nan, inf and -inf are text; lone surrogates are U+FFFD
//   - keys that aren't text are written as JSON would; equal ones get " (2)"
//   - "<cycle to PATH>", "<too deep>" and "<truncated>" stand where a cycle
//     closes, below 1000 levels, and where the JSON would get larger or would
//     take more work to write than the default Limits allow
//
// After 100 entries lossy ends with a count of the others.
func Plain(v any) (plain any, lossy []string) {
	b, lossy := JSON(v)
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	_ = d.Decode(&plain) // it is JSON
	return numbered(plain), lossy
}

// JSON is Plain written as JSON, with dicts in their order.
func JSON(v any) (b []byte, lossy []string) {
	c := newConverter(Limits{})
	c.value(v, 0)
	return c.b, c.named()
}

// JSON is the JSON of function JSON, but whole: what is beyond the limit Text, too deep, or takes too much work is a
// *LimitError.
func (l Limits) JSON(v any) (b []byte, lossy []string, err error) {
	defer failed(&err)
	size, err := l.Measure(v)
	if err != nil {
		return nil, nil, err
	}
	c := newConverter(l)
	c.most, c.whole, c.b = size, true, make([]byte, 0, size) // one that grows would take several times as much
	c.value(v, 0)
	return c.b, c.named(), nil
}

// Measure returns the size of what Limits.JSON would write, or its error, in the memory and time that v takes without
// what its shared parts add.
func (l Limits) Measure(v any) (size int, err error) {
	defer failed(&err)
	c := newConverter(l)
	c.whole, c.counting = true, true
	c.value(v, 0)
	c.fits(0)
	return c.counted, nil
}

// PythonJSON writes v, whatever Encode takes, as Python's json.dumps does by default. What that would refuse is an
// *UnsupportedError, what is too large a *LimitError.
func PythonJSON(v any) (b []byte, err error) {
	defer failed(&err)
	c := newConverter(Limits{})
	c.whole, c.python = true, true
	c.value(v, 0)
	c.fits(0)
	return c.b, nil
}

const (
	plainDepth = 1000
	plainLossy = 100
	// plainShared is from which size on the JSON of a shared value is remembered.
	plainShared = 64
)

// numbered gives the numbers of decoded JSON the types that Plain promises.
func numbered(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = numbered(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbered(v[k])
		}
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		if strings.ContainsAny(string(v), ".e") {
			f, _ := v.Float64()
			return f
		}
	}
	return v
}
