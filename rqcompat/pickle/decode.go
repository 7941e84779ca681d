package pickle

// Decode reads one pickle under the default Limits. It doesn't keep b. Strings of a small pickle share one copy of
// it: clone one that outlives the rest by much.
func Decode(b []byte) (any, error) {
	return Limits{}.Decode(b)
}

// Decode reads one pickle under these limits. Errors are *SyntaxError or *LimitError.
func (l Limits) Decode(b []byte) (any, error) {
	l = l.resolve()
	if len(b) > l.Input {
		return nil, &LimitError{"input bytes", l.Input}
	}
	d := decoders.Get().(*decoder)
	defer d.release()
	d.lim, d.b = l, b
	return d.run()
}

// run executes opcodes until STOP.
func (d *decoder) run() (any, error) {
	for {
		d.prev = d.op
		if !d.next() {
			return nil, d.noStop()
		}
		if d.op == opStop {
			return d.finish()
		}
		f := operations[d.op]
		if f == nil {
			return nil, d.syntax("unknown opcode")
		}
		if err := f(d); err != nil {
			return nil, err
		}
	}
}

func (d *decoder) finish() (any, error) {
	v, err := d.pop()
	if err != nil {
		return nil, err
	}
	if d.containers > d.lim.Depth {
		if err := checkDepth(v, d.lim.Depth); err != nil {
			return nil, err
		}
	}
	for _, c := range d.calls {
		c.o.LateArgs = growing(c.o) > c.items
	}
	if err := d.mergeWide(); err != nil {
		return nil, err
	}
	return v, nil
}

// mergeWide merges the equal keys of all noted dicts and sets.
func (d *decoder) mergeWide() error {
	if len(d.wide) == 0 {
		return nil
	}
	k := keyer{depth: d.lim.Depth}
	done := make(map[any]bool, len(d.wide))
	for _, v := range d.wide {
		if done[v] {
			continue
		}
		done[v] = true
		var err error
		switch v := v.(type) {
		case *Dict:
			v.Items, err = k.mergePairs(v.Items)
		case *Set:
			v.Items, err = k.mergeItems(v.Items)
		case *FrozenSet:
			v.Items, err = k.mergeItems(v.Items)
		}
		if err == errUnhashable {
			return d.syntax("a tuple in a dict key or set holds something unhashable")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// operations says what each opcode does; STOP is run's own.
var operations = [256]func(*decoder) error{
	opProto: (*decoder).setProto, opFrame: (*decoder).frame,
	opMark: (*decoder).mark, opPop: (*decoder).drop, opPopMark: (*decoder).dropMark, opDup: (*decoder).dup,

	opNone:     func(d *decoder) error { return d.push(nil) },
	opNewtrue:  func(d *decoder) error { return d.push(true) },
	opNewfalse: func(d *decoder) error { return d.push(false) },

	opInt: (*decoder).textInt, opLong: (*decoder).textLong,
	opBinint: (*decoder).binInt, opBinint1: func(d *decoder) error { return d.smallInt(1) }, opBinint2: func(d *decoder) error { return d.smallInt(2) },
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

// frame checks the announced size only: like CPython's C unpickler it lets opcodes reach over the end of a frame.
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
