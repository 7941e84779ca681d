package pickle

import (
	"strconv"
	"strings"
)

func (d *decoder) memoize([]any) error {
	d.number = uint64(d.memoized)
	return d.put(nil)
}

func (d *decoder) putLine([]any) error {
	if err := d.index(); err != nil {
		return err
	}
	return d.put(nil)
}

// put remembers the top of the stack. Indexes normally count up from 0; a stream that leaves large gaps gets a
// map, so that it can't ask for memory that it doesn't pay for in bytes.
func (d *decoder) put([]any) error {
	i := d.number
	v, err := d.top()
	if err != nil {
		return err
	}
	if i == uint64(len(d.memo)) && d.memoized < d.lim.Memo { // the normal case
		d.memo = append(d.memo, v)
		d.memoized++
		return nil
	}
	_, known := d.recall(i)
	if !known {
		if d.memoized >= d.lim.Memo {
			return &LimitError{"memo entries", d.lim.Memo}
		}
		d.memoized++
	}
	if i >= uint64(2*d.memoized+64) || d.far != nil && i >= uint64(len(d.memo)) {
		if d.far == nil {
			d.far = make(map[uint64]any)
		}
		d.far[i] = v
		return nil
	}
	for uint64(len(d.memo)) <= i {
		d.memo = append(d.memo, hole{})
	}
	d.memo[i] = v
	return nil
}

func (d *decoder) recall(i uint64) (any, bool) {
	if i < uint64(len(d.memo)) {
		v := d.memo[i]
		_, unset := v.(hole)
		return v, !unset
	}
	v, ok := d.far[i]
	return v, ok
}

func (d *decoder) getLine([]any) error {
	if err := d.index(); err != nil {
		return err
	}
	return d.get(nil)
}

func (d *decoder) get([]any) error {
	v, ok := d.recall(d.number)
	if !ok {
		return d.syntax("nothing was remembered under this memo index")
	}
	return d.push(v)
}

// index makes a number of the line that PUT and GET have as their memo index.
func (d *decoder) index() (err error) {
	if len(d.content) > 20 {
		return d.syntax("its memo index is too long")
	}
	d.number, err = strconv.ParseUint(strings.TrimSpace(string(d.content)), 10, 63)
	if err != nil {
		return d.syntax("its memo index is not a number")
	}
	return nil
}
