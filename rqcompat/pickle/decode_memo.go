package pickle

import (
	"strconv"
	"strings"
)

// memoize is PUT under the next index: memo and far have none twice.
func (d *decoder) memoize([]any) { d.putAt(uint64(len(d.memo)+len(d.far)), d.top()) }

func (d *decoder) put([]any) { d.putAt(d.number, d.top()) }

// putAt keeps a value. Indexes normally count up from 0; any other one gets into a map, so that a stream can't ask for
// memory that it doesn't pay for.
func (d *decoder) putAt(i uint64, v any) {
	switch n := uint64(len(d.memo)); {
	case i < n:
		d.memo[i] = v
	case i > n:
		if d.far == nil {
			d.far = make(map[uint64]any)
		}
		d.spend(mapWork)
		d.keep(mapMemory)
		d.far[i] = v
	default:
		delete(d.far, i)
		d.memo = append(grow(&d.budget, d.memo, 1), v)
	}
}

func (d *decoder) recall(i uint64) (any, bool) {
	if i < uint64(len(d.memo)) {
		return d.memo[i], true
	}
	v, ok := d.far[i]
	return v, ok
}

func (d *decoder) get([]any) {
	v, ok := d.recall(d.number)
	if !ok {
		panic(d.syntax("nothing was remembered under this memo index"))
	}
	d.push(v)
}

// indexed makes a number of the line that PUT and GET have as their memo index, for do to use.
func indexed(do func(*decoder, []any)) func(*decoder, []any) {
	return func(d *decoder, _ []any) {
		d.spend(numberWork)
		if len(d.content()) > 20 {
			panic(d.syntax("its memo index is too long"))
		}
		i, err := strconv.ParseUint(strings.TrimSpace(string(d.content())), 10, 63)
		if err != nil {
			panic(d.syntax("its memo index is not a number"))
		}
		d.number = i
		do(d, nil)
	}
}
