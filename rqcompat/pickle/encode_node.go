package pickle

import (
	"encoding/binary"
	"slices"
	"unsafe"
)

// node writes what has an identity. What was written before is only referred to.
func (e *encoder) node(v any, depth int) {
	p := address(v)
	if p == nil {
		panic(unsupported("a nil pointer among the values; Python's None is a plain nil"))
	}
	if e.fetch(p, isNode) {
		e.fillEarly(v, p, depth)
		return
	}
	if t, ok := v.(*Tuple); ok && len(t.Items) == 0 {
		e.b = append(e.b, opEmptyTuple)
		return
	}
	depth = e.below(depth)
	switch v := v.(type) {
	case *Dict:
		e.dict(v, p, depth)
	case *List:
		e.b = append(e.b, opEmptyList)
		e.put(p, isNode)
		if w := e.watched[p]; w != nil {
			e.fill(v, w, depth)
		} else {
			e.appends(v.Items, depth)
		}
	case *Tuple:
		e.tuple(v, p, depth)
	case *Object:
		e.object(v, p, depth)
	case *Global:
		e.global(v, p)
	case *Set:
		e.set("set", v.Items, p, depth)
	case *FrozenSet:
		e.set("frozenset", v.Items, p, depth)
	case *ByteArray:
		e.byteArray(v, p)
	}
}

// batch is how many items CPython puts between MARK and APPENDS or SETITEMS.
const batch = 1000

func (e *encoder) appends(items []any, depth int) {
	if len(items) == 1 {
		e.save(items[0], depth)
		e.b = append(e.b, opAppend)
		return
	}
	e.batches(items, opAppends, depth)
}

// batches writes MARK, items and the opcode that takes them.
func (e *encoder) batches(items []any, op byte, depth int) {
	for len(items) > 0 {
		n := min(batch, len(items))
		e.b = append(e.b, opMark)
		e.saveAll(depth, items[:n]...)
		e.b = append(e.b, op)
		items = items[n:]
	}
}

func (e *encoder) setItems(items []Pair, depth int) {
	for len(items) > 0 {
		n := min(batch, len(items))
		e.b = append(e.b, opMark)
		e.savePairs(depth, items[:n])
		e.b = append(e.b, opSetitems)
		items = items[n:]
	}
}

func (e *encoder) dict(v *Dict, p unsafe.Pointer, depth int) {
	for i := range v.Items {
		if unhashable(v.Items[i].Key) {
			panic(unsupported("a dict key can't be " + kindOf(v.Items[i].Key)))
		}
	}
	e.b = append(e.b, opEmptyDict)
	e.put(p, isNode)
	if w := e.watched[p]; w != nil {
		e.fill(v, w, depth)
	} else {
		e.setItems(v.Items, depth)
	}
}

// once finishes an immutable with op and remembers it. When its own items turned out to refer to it they have written
// it by now, and what is on the reader's stack is dropped in its favor.
func (e *encoder) once(p unsafe.Pointer, op byte, drop ...byte) {
	if !e.fetch(p, isNode, drop...) {
		e.b = append(e.b, op)
		e.put(p, isNode)
	}
}

func (e *encoder) tuple(v *Tuple, p unsafe.Pointer, depth int) {
	n := len(v.Items)
	if n > 3 {
		e.b = append(e.b, opMark)
	}
	e.saveAll(depth, v.Items...)
	if n > 3 {
		e.once(p, opTuple, opPopMark)
	} else {
		e.once(p, opTuple1+byte(n-1), []byte{opPop, opPop, opPop}[:n]...)
	}
}

// set writes a set or frozenset, before protocol 4 as name([items]).
func (e *encoder) set(name string, items []any, p unsafe.Pointer, depth int) {
	if i := slices.IndexFunc(items, unhashable); i >= 0 {
		panic(unsupported("a member of a set can't be " + kindOf(items[i])))
	}
	switch {
	case e.proto < 4:
		e.b = append(e.b, "cbuiltins\n"+name+"\n]"...)
		e.appends(items, depth)
		e.b = append(e.b, opTuple1, opReduce)
		if !e.fetch(p, isNode, opPop) {
			e.put(p, isNode)
		}
	case name == "set":
		e.b = append(e.b, opEmptySet)
		e.put(p, isNode)
		e.batches(items, opAdditems, depth)
	default:
		e.b = append(e.b, opMark)
		e.saveAll(depth, items...)
		e.once(p, opFrozenset, opPopMark)
	}
}

func (e *encoder) byteArray(v *ByteArray, p unsafe.Pointer) {
	switch {
	case e.proto == 5:
		e.room(len(v.B) + 9)
		e.b = binary.LittleEndian.AppendUint64(append(e.b, opBytearray8), uint64(len(v.B)))
		e.b = append(e.b, v.B...)
	case len(v.B) == 0:
		e.b = append(e.b, "cbuiltins\nbytearray\n)R"...)
	default:
		// No memo for the content: its address could be taken for its owner's.
		e.b = append(e.b, "cbuiltins\nbytearray\n"...)
		if e.proto < 3 {
			e.latin1(Bytes(v.B))
		} else {
			e.sized(string(v.B), bytesSizes)
		}
		e.b = append(e.b, opTuple1, opReduce)
	}
	e.put(p, isNode)
}
