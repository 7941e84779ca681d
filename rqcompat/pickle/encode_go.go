package pickle

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
)

// goValue writes the Go types that Decode never returns.
func (e *encoder) goValue(v any, depth int) error {
	switch v := v.(type) {
	case int:
		e.int(int64(v))
	case int32:
		e.int(int64(v))
	case int16:
		e.int(int64(v))
	case int8:
		e.int(int64(v))
	case uint8:
		e.int(int64(v))
	case uint16:
		e.int(int64(v))
	case uint32:
		e.int(int64(v))
	case uint:
		return e.bigInt(new(big.Int).SetUint64(uint64(v)))
	case uint64:
		return e.bigInt(new(big.Int).SetUint64(v))
	case float32:
		e.float(float64(v))
	case []byte:
		return e.bytes(Bytes(v))
	case []any:
		return e.goList(len(v), depth, func(i int) any { return v[i] })
	case []string:
		return e.goList(len(v), depth, func(i int) any { return v[i] })
	case map[string]any:
		return e.goMap(v, depth)
	case json.Number:
		return e.number(v)
	default:
		return &UnsupportedError{fmt.Sprintf("a value of Go type %T has no pickle", v)}
	}
	return nil
}

func (e *encoder) number(n json.Number) error {
	if i, err := n.Int64(); err == nil {
		e.int(i)
		return nil
	}
	if len(n) <= e.lim.IntDigits+1 {
		if i, ok := new(big.Int).SetString(string(n), 10); ok {
			return e.bigInt(i)
		}
	}
	f, err := n.Float64()
	if err != nil {
		return &UnsupportedError{"a json.Number is neither an integer nor a float in range"}
	}
	e.float(f)
	return nil
}

func (e *encoder) goList(n, depth int, item func(int) any) error {
	if depth >= e.lim.Depth {
		return &LimitError{"levels of depth", e.lim.Depth}
	}
	e.b = append(e.b, opEmptyList)
	return e.appends(n, depth+1, item)
}

func (e *encoder) goMap(m map[string]any, depth int) error {
	if depth >= e.lim.Depth {
		return &LimitError{"levels of depth", e.lim.Depth}
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	e.b = append(e.b, opEmptyDict)
	for len(keys) > 0 {
		n := min(batch, len(keys))
		e.b = append(e.b, opMark)
		for _, k := range keys[:n] {
			if err := e.save(k, depth+1); err != nil {
				return err
			}
			if err := e.save(m[k], depth+1); err != nil {
				return err
			}
		}
		e.b = append(e.b, opSetitems)
		keys = keys[n:]
	}
	return nil
}
