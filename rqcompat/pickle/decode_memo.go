package pickle

import (
	"strconv"
	"strings"
)

// memoize is PUT under the next index: memo and far have none twice.
func (d *decoder) memoize([]any) {
	d.number = uint64(len(d.memo) + len(d.far))
	d.put(nil)
}

// put remembers the top of the stack. Indexes normally count up from 0; any other one gets into a map, so that a stream
// can't ask for memory that it doesn't pay for in bytes.
func (d *decoder) put([]any) {
	v := d.top()
	switch i, n := d.number, uint64(len(d.memo)); {
	case i == n:
		if d.far != nil {
			delete(d.far, i)
		}
		d.memo = append(d.memo, v)
	case i < n:
		d.memo[i] = v
	default:
		if d.far == nil {
			d.far = make(map[uint64]any)
		}
		d.far[i] = v
	}
	if len(d.memo)+len(d.far) > d.lim.Memo {
		panic(beyond("memo entries", d.lim.Memo))
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
