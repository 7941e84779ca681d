package pickle

import (
	"encoding/binary"
	"unsafe"
)

// node writes what has an identity. What was written before is only referred to.
func (e *encoder) node(v any, depth int) error {
	p := address(v)
	if p == nil {
		return &UnsupportedError{"a nil pointer among the values; Python's None is a plain nil"}
	}
	if i, ok := e.memo.get(p, isNode); ok {
		e.fetch(i)
		return e.fillEarly(v, p, depth)
	}
	if t, ok := v.(*Tuple); ok && len(t.Items) == 0 {
		e.b = append(e.b, opEmptyTuple)
		return nil
	}
	if depth >= e.lim.Depth {
		return &LimitError{"levels of depth", e.lim.Depth}
	}
	depth++
	switch v := v.(type) {
	case *Dict:
		return e.dict(v, p, depth)
	case *List:
		return e.list(v, p, depth)
	case *Tuple:
		return e.tuple(v, p, depth)
	case *Object:
		return e.object(v, p, depth)
	case *Global:
		return e.global(v, p)
	case *Set:
		return e.set(v, p, depth)
	case *FrozenSet:
		return e.frozenSet(v, p, depth)
	case *ByteArray:
		return e.byteArray(v, p)
	}
	return nil
}

// batch is how many items CPython puts between MARK and APPENDS or SETITEMS.
const batch = 1000

func (e *encoder) appends(items []any, depth int) error {
	if len(items) == 1 {
		if err := e.save(items[0], depth); err != nil {
			return err
		}
		e.b = append(e.b, opAppend)
		return nil
	}
	return e.batches(items, opAppends, depth)
}

// batches writes MARK, items and the opcode that takes them.
func (e *encoder) batches(items []any, op byte, depth int) error {
	for len(items) > 0 {
		n := min(batch, len(items))
		if err := e.marked(items[:n], depth); err != nil {
			return err
		}
		e.b = append(e.b, op)
		items = items[n:]
	}
	return nil
}

// marked writes MARK and items.
func (e *encoder) marked(items []any, depth int) error {
	e.b = append(e.b, opMark)
	for _, item := range items {
		if err := e.save(item, depth); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) list(v *List, p unsafe.Pointer, depth int) error {
	e.b = append(e.b, opEmptyList)
	if err := e.put(p, isNode); err != nil {
		return err
	}
	if w := e.watched[p]; w != nil {
		return e.fill(v, w, depth)
	}
	return e.appends(v.Items, depth)
}

func (e *encoder) dict(v *Dict, p unsafe.Pointer, depth int) error {
	e.b = append(e.b, opEmptyDict)
	if err := e.put(p, isNode); err != nil {
		return err
	}
	for i := range v.Items {
		if unhashable(v.Items[i].Key) {
			return &UnsupportedError{"a dict key can't be " + kindOf(v.Items[i].Key)}
		}
	}
	if w := e.watched[p]; w != nil {
		return e.fill(v, w, depth)
	}
	return e.setItems(v.Items, depth)
}

func (e *encoder) setItems(items []Pair, depth int) error {
	for len(items) > 0 {
		n := min(batch, len(items))
		e.b = append(e.b, opMark)
		for i := range items[:n] {
			if err := e.save(items[i].Key, depth); err != nil {
				return err
			}
			if err := e.save(items[i].Value, depth); err != nil {
				return err
			}
		}
		e.b = append(e.b, opSetitems)
		items = items[n:]
	}
	return nil
}

// written handles an immutable that its own items turned out to refer to: by now they have written it, so what is
// on the reader's stack is dropped in its favor.
func (e *encoder) written(p unsafe.Pointer, drop ...byte) bool {
	i, ok := e.memo.get(p, isNode)
	if ok {
		e.b = append(e.b, drop...)
		e.fetch(i)
	}
	return ok
}

func (e *encoder) tuple(v *Tuple, p unsafe.Pointer, depth int) error {
	n := len(v.Items)
	if n > 3 {
		e.b = append(e.b, opMark)
	}
	for _, item := range v.Items {
		if err := e.save(item, depth); err != nil {
			return err
		}
	}
	switch n {
	case 1, 2, 3:
		if e.written(p, []byte("000")[:n]...) {
			return nil
		}
		e.b = append(e.b, opTuple1+byte(n-1))
	default:
		if e.written(p, opPopMark) {
			return nil
		}
		e.b = append(e.b, opTuple)
	}
	return e.put(p, isNode)
}

func (e *encoder) set(v *Set, p unsafe.Pointer, depth int) error {
	if err := hashable(v.Items); err != nil {
		return err
	}
	if e.proto < 4 {
		return e.oldSet("set", v.Items, p, depth)
	}
	e.b = append(e.b, opEmptySet)
	if err := e.put(p, isNode); err != nil {
		return err
	}
	return e.batches(v.Items, opAdditems, depth)
}

func hashable(items []any) error {
	for _, v := range items {
		if unhashable(v) {
			return &UnsupportedError{"a member of a set can't be " + kindOf(v)}
		}
	}
	return nil
}

func (e *encoder) frozenSet(v *FrozenSet, p unsafe.Pointer, depth int) error {
	if err := hashable(v.Items); err != nil {
		return err
	}
	if e.proto < 4 {
		return e.oldSet("frozenset", v.Items, p, depth)
	}
	if err := e.marked(v.Items, depth); err != nil {
		return err
	}
	if e.written(p, opPopMark) {
		return nil
	}
	e.b = append(e.b, opFrozenset)
	return e.put(p, isNode)
}

// oldSet writes name([items]).
func (e *encoder) oldSet(name string, items []any, p unsafe.Pointer, depth int) error {
	e.b = append(e.b, "cbuiltins\n"...)
	e.b = append(e.b, name...)
	e.b = append(e.b, '\n', opEmptyList)
	if err := e.appends(items, depth); err != nil {
		return err
	}
	e.b = append(e.b, opTuple1, opReduce)
	if e.written(p, opPop) {
		return nil
	}
	return e.put(p, isNode)
}

func (e *encoder) byteArray(v *ByteArray, p unsafe.Pointer) error {
	if e.proto == 5 {
		if err := e.room(len(v.B) + 9); err != nil {
			return err
		}
		e.b = binary.LittleEndian.AppendUint64(append(e.b, opBytearray8), uint64(len(v.B)))
		e.b = append(e.b, v.B...)
		return e.put(p, isNode)
	}
	e.b = append(e.b, "cbuiltins\nbytearray\n"...)
	if len(v.B) == 0 {
		e.b = append(e.b, opEmptyTuple)
	} else {
		// No memo for the content: its address could be taken for its owner's.
		if e.proto < 3 {
			if err := e.latin1(Bytes(v.B)); err != nil {
				return err
			}
		} else if err := e.sized(string(v.B), opShortBinbytes, opBinbytes, opBinbytes8); err != nil {
			return err
		}
		e.b = append(e.b, opTuple1)
	}
	e.b = append(e.b, opReduce)
	return e.put(p, isNode)
}
