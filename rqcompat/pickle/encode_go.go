package pickle

import (
	"encoding/json"
	"fmt"
	"math/big"
)

// goValue writes the Go types that Decode never returns.
func (e *encoder) goValue(v any, depth int) error {
	switch v := v.(type) {
	case []byte:
		return e.bytes(Bytes(v))
	case []any:
		return e.goContainer(&List{v}, depth)
	case []string:
		return e.goContainer(&List{goItems(v)}, depth)
	case map[string]any:
		return e.goContainer(&Dict{goPairs(v)}, depth)
	case json.Number:
		return e.number(v)
	}
	switch n := goNumber(v).(type) {
	case int64:
		e.int(n)
	case float64:
		e.float(n)
	case *big.Int:
		return e.bigInt(n)
	default:
		return &UnsupportedError{fmt.Sprintf("a value of Go type %T has no pickle", v)}
	}
	return nil
}

// goContainer writes what nothing can refer to a second time: it is not remembered.
func (e *encoder) goContainer(v any, depth int) error {
	if depth >= e.lim.Depth {
		return &LimitError{"levels of depth", e.lim.Depth}
	}
	switch v := v.(type) {
	case *List:
		e.b = append(e.b, opEmptyList)
		return e.appends(v.Items, depth+1)
	case *Dict:
		e.b = append(e.b, opEmptyDict)
		return e.setItems(v.Items, depth+1)
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
