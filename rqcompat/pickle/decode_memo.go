package pickle

import (
	"strconv"
	"strings"
)

func (d *decoder) memoize() error {
	return d.put(uint64(d.memoized))
}

func (d *decoder) putLine() error {
	i, err := d.index()
	if err != nil {
		return err
	}
	return d.put(i)
}

func (d *decoder) putIndex(size int) error {
	i, err := d.uint(size)
	if err != nil {
		return err
	}
	return d.put(i)
}

// put remembers the top of the stack. Indexes normally count up from 0; a stream that leaves large gaps gets a
// map, so that it can't ask for memory that it doesn't pay for in bytes.
func (d *decoder) put(i uint64) error {
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

func (d *decoder) getLine() error {
	i, err := d.index()
	if err != nil {
		return err
	}
	return d.get(i)
}

func (d *decoder) getIndex(size int) error {
	i, err := d.uint(size)
	if err != nil {
		return err
	}
	return d.get(i)
}

func (d *decoder) get(i uint64) error {
	v, ok := d.recall(i)
	if !ok {
		return d.syntax("nothing was remembered under this memo index")
	}
	return d.push(v)
}

// index reads the memo index of PUT and GET.
func (d *decoder) index() (uint64, error) {
	b, err := d.line()
	if err != nil {
		return 0, err
	}
	if len(b) > 20 {
		return 0, d.syntax("its memo index is too long")
	}
	i, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 63)
	if err != nil {
		return 0, d.syntax("its memo index is not a number")
	}
	return i, nil
}
