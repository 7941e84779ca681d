package pickle

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
)

// goValue writes the Go types that Decode never returns. Nothing can refer to such a container a second time: it is
// not remembered.
func (e *encoder) goValue(v any, depth int) {
	switch n := fromGo(v).(type) {
	case int64:
		e.int(n)
	case float64:
		e.float(n)
	case *big.Int:
		e.bigInt(n)
	case Bytes:
		e.bytes(n)
	case json.Number:
		e.number(n)
	case *List:
		e.b = append(e.b, opEmptyList)
		e.appends(n.Items, e.below(depth))
	case *Dict:
		e.b = append(e.b, opEmptyDict)
		e.setItems(n.Items, e.below(depth))
	default:
		panic(unsupported(fmt.Sprintf("a value of Go type %T has no pickle", v)))
	}
}

func (e *encoder) number(n json.Number) {
	if i, err := n.Int64(); err == nil {
		e.int(i)
		return
	}
	if len(n) <= e.lim.IntDigits+1 {
		if i, ok := new(big.Int).SetString(string(n), 10); ok {
			e.bigInt(i)
			return
		}
	}
	f, err := n.Float64()
	if err != nil {
		panic(unsupported("a json.Number is neither an integer nor a float in range"))
	}
	e.float(f)
}

// fromNumber gives what Python reads of a JSON number: without point and exponent an int of any size.
func fromNumber(n json.Number) any {
	if i, ok := new(big.Int).SetString(string(n), 10); ok {
		return i
	}
	f, _ := n.Float64() // out of range gives an infinity, as in Python
	return f
}

// fromGo gives a value of a Go type that Decode never returns the form in which it would, and a map the order of its
// keys. A json.Number stays one; nil is for all that has no such form.
func fromGo(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case int32:
		return int64(v)
	case int16:
		return int64(v)
	case int8:
		return int64(v)
	case uint8:
		return int64(v)
	case uint16:
		return int64(v)
	case uint32:
		return int64(v)
	case uint:
		return new(big.Int).SetUint64(uint64(v))
	case uint64:
		return new(big.Int).SetUint64(v)
	case float32:
		return float64(v)
	case json.Number:
		return v
	case []byte:
		return Bytes(v)
	case []any:
		return &List{v}
	case []string:
		items := make([]any, len(v))
		for i, s := range v {
			items[i] = s
		}
		return &List{items}
	case map[string]any:
		pairs := make([]Pair, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			pairs = append(pairs, Pair{k, v[k]})
		}
		return &Dict{pairs}
	}
	return nil
}
