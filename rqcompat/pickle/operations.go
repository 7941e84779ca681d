package pickle

import "encoding/binary"

// operations maps opcodes to what they do; STOP is run's own.
var operations [256]func(*decoder) error

func init() { // a composite literal would be an initialization cycle through finish
	operations = [256]func(*decoder) error{
		opProto: (*decoder).setProto, opFrame: (*decoder).frame,
		opMark: (*decoder).mark, opPop: (*decoder).drop, opPopMark: (*decoder).dropMark, opDup: (*decoder).dup,

		opNone:     func(d *decoder) error { return d.push(nil) },
		opNewtrue:  func(d *decoder) error { return d.push(true) },
		opNewfalse: func(d *decoder) error { return d.push(false) },

		opInt: (*decoder).textInt, opLong: (*decoder).textLong,
		opBinint: (*decoder).binInt, opBinint1: (*decoder).binInt1, opBinint2: (*decoder).binInt2,
		opLong1: (*decoder).long1, opLong4: (*decoder).long4,
		opFloat: (*decoder).textFloat, opBinfloat: (*decoder).binFloat,

		opString: (*decoder).python2Line, opUnicode: (*decoder).unicodeLine,
		opShortBinstring: func(d *decoder) error { return d.python2Bytes(1) },
		opBinstring:      func(d *decoder) error { return d.python2Bytes(4) },

		opShortBinunicode: func(d *decoder) error { return d.unicode(1) },
		opBinunicode:      func(d *decoder) error { return d.unicode(4) },
		opBinunicode8:     func(d *decoder) error { return d.unicode(8) },

		opShortBinbytes: func(d *decoder) error { return d.bytes(1) },
		opBinbytes:      func(d *decoder) error { return d.bytes(4) },
		opBinbytes8:     func(d *decoder) error { return d.bytes(8) },
		opBytearray8:    (*decoder).byteArray,

		opEmptyList: (*decoder).emptyList, opList: (*decoder).list,
		opAppend: (*decoder).append, opAppends: (*decoder).appends,
		opEmptyTuple: (*decoder).emptyTuple, opTuple: (*decoder).tuple,
		opTuple1: func(d *decoder) error { return d.shortTuple(1) },
		opTuple2: func(d *decoder) error { return d.shortTuple(2) },
		opTuple3: func(d *decoder) error { return d.shortTuple(3) },

		opEmptyDict: (*decoder).emptyDict, opDict: (*decoder).dict,
		opSetitem: (*decoder).setItem, opSetitems: (*decoder).setItems,
		opEmptySet: (*decoder).emptySet, opAdditems: (*decoder).addItems, opFrozenset: (*decoder).frozenSet,

		opPut: (*decoder).putLine, opMemoize: (*decoder).memoize,
		opBinput:     func(d *decoder) error { return d.putIndex(1) },
		opLongBinput: func(d *decoder) error { return d.putIndex(4) },
		opGet:        (*decoder).getLine,
		opBinget:     func(d *decoder) error { return d.getIndex(1) },
		opLongBinget: func(d *decoder) error { return d.getIndex(4) },

		opGlobal: (*decoder).global, opStackGlobal: (*decoder).stackGlobal,
		opReduce: (*decoder).reduce, opBuild: (*decoder).build,
		opInst: (*decoder).inst, opObj: (*decoder).obj,
		opNewobj: (*decoder).newObj, opNewobjEx: (*decoder).newObjEx,

		opPersid: (*decoder).refusePersistent, opBinpersid: (*decoder).refusePersistent,
		opExt1: (*decoder).refuseExtension, opExt2: (*decoder).refuseExtension, opExt4: (*decoder).refuseExtension,
		opNextBuffer: (*decoder).refuseBuffer, opReadonlyBuffer: (*decoder).refuseBuffer,
	}
}

func (d *decoder) refusePersistent() error {
	return d.syntax("persistent ids are not supported: only the program that wrote them knows what they mean")
}

func (d *decoder) refuseExtension() error {
	return d.syntax("extension codes are not supported: their registry is not part of the pickle")
}

func (d *decoder) refuseBuffer() error {
	return d.syntax("out-of-band buffers are not supported: their content is not part of the pickle")
}

func (d *decoder) setProto() error {
	b, err := d.take(1)
	if err != nil {
		return err
	}
	if b[0] > 5 {
		return d.syntax("protocols above 5 are not supported")
	}
	d.proto = int(b[0])
	return nil
}

// frame checks the announced size only: like CPython's C unpickler it lets
// opcodes reach over the end of a frame.
func (d *decoder) frame() error {
	n, err := d.uint(8)
	if err != nil {
		return err
	}
	if n > uint64(len(d.b)-d.i) {
		return d.syntax("the frame reaches past the end of the input")
	}
	return nil
}

// uint reads a little-endian number of 1, 2, 4 or 8 bytes.
func (d *decoder) uint(size int) (uint64, error) {
	b, err := d.take(uint64(size))
	if err != nil {
		return 0, err
	}
	switch size {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(binary.LittleEndian.Uint16(b)), nil
	case 4:
		return uint64(binary.LittleEndian.Uint32(b)), nil
	}
	return binary.LittleEndian.Uint64(b), nil
}

func (d *decoder) mark() error {
	d.marks = append(d.marks, len(d.stack))
	d.floor = len(d.stack)
	return nil
}

// drop is POP, which removes a MARK as well when that is on top.
func (d *decoder) drop() error {
	if n := len(d.marks); n > 0 && d.marks[n-1] == len(d.stack) {
		_, err := d.popMark()
		return err
	}
	v, err := d.pop()
	if err == nil && d.prev == opReduce {
		d.stateSetter(v)
	}
	return err
}

func (d *decoder) dropMark() error {
	_, err := d.popMark()
	return err
}

func (d *decoder) dup() error {
	v, err := d.top()
	if err != nil {
		return err
	}
	return d.push(v)
}

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

// put remembers the top of the stack. Indexes normally count up from 0; a
// stream that leaves large gaps gets a map, so that it can't ask for memory
// that it doesn't pay for in bytes.
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
