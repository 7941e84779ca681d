package pickle

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
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
	*budget
	unhashable failure // of a key that has no hash

	index map[any]int // the container at work: key to place
	peak  int         // most entries index has held
	paid  int         // most entries of an index so far

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
	k.spend(mapWork + n*mapWork)
	if n > k.paid {
		k.keep((n - k.paid) * mapMemory)
		k.paid = n
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
		return k.floatKey(v)
	case *big.Int:
		return k.intKey(v)
	case string:
		k.spend(len(v))
	case Bytes:
		k.spend(len(v))
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

func (k *keyer) intKey(v *big.Int) any {
	k.spend(numberWork + v.BitLen())
	k.keep(v.BitLen() / 8)
	if v.Sign() < 0 {
		return bigKey("-" + string(v.Bytes()))
	}
	return bigKey("+" + string(v.Bytes()))
}

func (k *keyer) floatKey(v float64) any {
	if v != math.Trunc(v) || math.IsInf(v, 0) { // nan too, which equals nothing
		return v
	}
	if v >= -1<<63 && v < 1<<63 {
		return int64(v)
	}
	i, _ := big.NewFloat(v).Int(nil)
	return k.intKey(i)
}

// sequence numbers a tuple or frozenset by its content.
func (k *keyer) sequence(p any, kind byte, items []any, depth int) any {
	if n, ok := k.seen[p]; ok {
		return tupleKey(n)
	}
	if depth >= k.lim.Depth {
		panic(beyond("levels of depth", k.lim.Depth))
	}
	if k.seen == nil {
		k.seen, k.atoms, k.tuples = map[any]int{}, map[any]int{}, map[string]int{}
	}
	k.spend(2*mapWork + len(items)*mapWork)
	k.keep(2*mapMemory + len(items)*mapMemory)
	numbers := make([]int, 0, len(items))
	for _, v := range items {
		numbers = append(numbers, numberOf(k.atoms, k.key(v, depth+1)))
	}
	if kind == 'f' {
		k.spend(len(numbers) * bits.Len(uint(len(numbers))) * itemWork)
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
