package pickle

import (
	"maps"
	"math/big"
	"slices"
)

// goNumber gives a number of a Go type that Decode never returns as one that it does, nil for what is not such a
// number.
func goNumber(v any) any {
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
	}
	return nil
}

// goPairs gives a map the order of its keys.
func goPairs(m map[string]any) []Pair {
	pairs := make([]Pair, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, Pair{k, m[k]})
	}
	return pairs
}

func goItems(list []string) []any {
	items := make([]any, len(list))
	for i, s := range list {
		items[i] = s
	}
	return items
}
