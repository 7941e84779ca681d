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

// run executes opcodes until STOP: each reads its argument and takes its values off the stack, which stay valid until
// the next push.
func (d *decoder) run() (any, error) {
	for d.next() {
		if d.op == opStop {
			return d.finish()
		}
		op := &opcodes[d.op]
		if op.do == nil {
			return nil, d.syntax("unknown opcode")
		}
		if op.form != none {
			if err := d.argument(op.form, int(op.width)); err != nil {
				return nil, err
			}
		}
		var taken []any
		var err error
		if op.takes == marked {
			taken, err = d.popMark()
		} else if op.takes > 0 {
			taken, err = d.popN(int(op.takes))
		}
		if err == nil {
			err = op.do(d, taken)
		}
		if err != nil {
			return nil, err
		}
		d.prev = d.op
	}
	return nil, d.noStop()
}

func (d *decoder) finish() (any, error) {
	v, err := d.top()
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

var (
	refusePersistent = refuse("persistent ids are not supported: only the program that wrote them knows what they mean")
	refuseExtension  = refuse("extension codes are not supported: their registry is not part of the pickle")
	refuseBuffer     = refuse("out-of-band buffers are not supported: their content is not part of the pickle")
)

func refuse(why string) func(*decoder, []any) error {
	return func(d *decoder, _ []any) error { return d.syntax(why) }
}

func (d *decoder) setProto([]any) error {
	if d.number > 5 {
		return d.syntax("protocols above 5 are not supported")
	}
	d.proto = int(d.number)
	return nil
}

// frame checks the announced size only: like CPython's C unpickler it lets opcodes reach over the end of a frame.
func (d *decoder) frame([]any) error {
	if d.number > uint64(len(d.b)-d.i) {
		return d.syntax("the frame reaches past the end of the input")
	}
	return nil
}

// drop is POP, which removes a MARK as well when that is on top.
func (d *decoder) drop([]any) error {
	if n := len(d.marks); n > 0 && d.marks[n-1] == len(d.stack) {
		_, err := d.popMark()
		return err
	}
	v, err := d.popN(1)
	if err == nil && d.prev == opReduce {
		d.stateSetter(v[0])
	}
	return err
}

func (d *decoder) dropMark([]any) error { return nil }

func (d *decoder) dup([]any) error {
	v, err := d.top()
	if err != nil {
		return err
	}
	return d.push(v)
}
