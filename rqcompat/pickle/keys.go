package pickle

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
)

// unhashable reports values that Python refuses as dict keys and set members. What a tuple holds is looked at by
// keyer.
func unhashable(v any) bool {
	switch v.(type) {
	case *List, *Dict, *Set, *ByteArray:
		return true
	}
	return false
}

// keyer turns values into Go map keys that are equal when Python says so: 1 == 1.0 == True, tuples by content,
// objects by identity.
type keyer struct {
	depth      int     // the most levels of a key
	unhashable failure // of a key that has no hash

	index map[any]int // the container at work: key to place
	peak  int         // most entries index has held

	atoms  map[any]int    // number of each key that occurs in a tuple
	tuples map[string]int // number of each sequence of such numbers
	seen   map[any]int    // number of each *Tuple and *FrozenSet: shared ones are walked once
}

type (
	bigKey   string
	tupleKey int
)

func (k *keyer) start(n int) {
	if k.index == nil || k.peak > 8*n+64 { // clearing costs what it once held
		k.index, k.peak = make(map[any]int, n), 0
	}
	clear(k.index)
	k.peak = max(k.peak, n)
}

// mergePairs keeps the first place and the last value of equal keys.
func (k *keyer) mergePairs(items []Pair) []Pair {
	return merge(k, items, func(p *Pair) any { return p.Key }, func(kept, p *Pair) { kept.Value = p.Value })
}

func (k *keyer) mergeItems(items []any) []any {
	return merge(k, items, func(v *any) any { return *v }, func(_, _ *any) {})
}

// merge keeps the first of those with equal keys and calls again for each other.
func merge[T any](k *keyer, items []T, keyOf func(*T) any, again func(kept, other *T)) []T {
	k.start(len(items))
	kept := items[:0]
	for i := range items {
		key := k.key(keyOf(&items[i]), 0)
		if at, ok := k.index[key]; ok {
			again(&kept[at], &items[i])
			continue
		}
		k.index[key] = len(kept)
		kept = append(kept, items[i])
	}
	clear(items[len(kept):])
	return kept
}

func (k *keyer) key(v any, depth int) any {
	switch v := v.(type) {
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case float64:
		return floatKey(v)
	case *big.Int:
		return intKey(v)
	case *Global:
		return *v
	case *Tuple:
		return k.sequence(v, 't', v.Items, depth)
	case *FrozenSet:
		return k.sequence(v, 'f', v.Items, depth)
	}
	if unhashable(v) {
		panic(k.unhashable)
	}
	return v
}

func intKey(v *big.Int) any {
	if v.Sign() < 0 {
		return bigKey("-" + string(v.Bytes()))
	}
	return bigKey("+" + string(v.Bytes()))
}

func floatKey(v float64) any {
	if v != math.Trunc(v) || math.IsInf(v, 0) { // nan too, which equals nothing
		return v
	}
	if v >= -1<<63 && v < 1<<63 {
		return int64(v)
	}
	i, _ := big.NewFloat(v).Int(nil)
	return intKey(i)
}

// sequence numbers a tuple or frozenset by its content.
func (k *keyer) sequence(p any, kind byte, items []any, depth int) any {
	if n, ok := k.seen[p]; ok {
		return tupleKey(n)
	}
	if depth >= k.depth {
		panic(beyond("levels of depth", k.depth))
	}
	if k.seen == nil {
		k.seen, k.atoms, k.tuples = map[any]int{}, map[any]int{}, map[string]int{}
	}
	numbers := make([]int, 0, len(items))
	for _, v := range items {
		numbers = append(numbers, numberOf(k.atoms, k.key(v, depth+1)))
	}
	if kind == 'f' {
		slices.Sort(numbers)
		numbers = slices.Compact(numbers)
	}
	name := []byte{kind}
	for _, n := range numbers {
		name = binary.AppendUvarint(name, uint64(n))
	}
	n := numberOf(k.tuples, string(name))
	k.seen[p] = n
	return tupleKey(n)
}

// numberOf counts up for keys that are new.
func numberOf[K comparable](numbers map[K]int, key K) int {
	n, ok := numbers[key]
	if !ok {
		n = len(numbers)
		numbers[key] = n
	}
	return n
}
