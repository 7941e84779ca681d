package pickle

import (
	"strconv"
	"strings"
)

func (d *decoder) memoize([]any) error {
	d.number = uint64(d.memoized)
	return d.put(nil)
}

// put remembers the top of the stack. Indexes normally count up from 0; any other one gets into a map, so that a stream
// can't ask for memory that it doesn't pay for in bytes.
func (d *decoder) put([]any) error {
	v, err := d.top()
	if err != nil {
		return err
	}
	if _, known := d.recall(d.number); !known {
		if d.memoized >= d.lim.Memo {
			return &LimitError{"memo entries", d.lim.Memo}
		}
		d.memoized++
	}
	switch i, n := d.number, uint64(len(d.memo)); {
	case i < n:
		d.memo[i] = v
	case i == n:
		d.memo = append(d.memo, v)
	default:
		if d.far == nil {
			d.far = make(map[uint64]any)
		}
		d.far[i] = v
	}
	return nil
}

func (d *decoder) recall(i uint64) (any, bool) {
	if i < uint64(len(d.memo)) {
		return d.memo[i], true
	}
	v, ok := d.far[i]
	return v, ok
}

func (d *decoder) get([]any) error {
	v, ok := d.recall(d.number)
	if !ok {
		return d.syntax("nothing was remembered under this memo index")
	}
	return d.push(v)
}

// indexed makes a number of the line that PUT and GET have as their memo index, for do to use.
func indexed(do func(*decoder, []any) error) func(*decoder, []any) error {
	return func(d *decoder, _ []any) (err error) {
		if len(d.content) > 20 {
			return d.syntax("its memo index is too long")
		}
		d.number, err = strconv.ParseUint(strings.TrimSpace(string(d.content)), 10, 63)
		if err != nil {
			return d.syntax("its memo index is not a number")
		}
		return do(d, nil)
	}
}
