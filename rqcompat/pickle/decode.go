package pickle

// Decode reads one pickle under the default Limits. It doesn't keep b. Strings of a small pickle share one copy of
// it: clone one that outlives the rest by much.
func Decode(b []byte) (any, error) {
	return Limits{}.Decode(b)
}

// Decode reads one pickle under these limits. Errors are *SyntaxError or *LimitError.
func (l Limits) Decode(b []byte) (any, error) {
	v, _, err := l.DecodeCost(b)
	return v, err
}

// DecodeCost is Decode that also tells what it cost, up to the error if there is one.
func (l Limits) DecodeCost(b []byte) (v any, cost Cost, err error) {
	d := decoders.Get().(*decoder)
	defer d.release(&cost, &err)
	d.open(l)
	d.input(b)
	return d.run(), Cost{}, nil
}

// input is what is to be decoded. All of its bytes are looked at, or copied, once.
func (d *decoder) input(b []byte) {
	if len(b) > d.lim.Input {
		panic(beyond("input bytes", d.lim.Input))
	}
	d.b = b
	d.spend(len(b))
}

// run executes opcodes until STOP: each takes its values off the stack, which stay valid until the next push.
func (d *decoder) run() any {
	for op := d.next(); d.op != opStop; op = d.next() {
		if op.form != none {
			d.argument(op.form, int(op.width))
		}
		var taken []any
		if op.takes > 0 {
			taken = d.popN(int(op.takes))
		} else if op.takes == marked {
			taken = d.popMark()
		}
		d.spend(opWork)
		op.do(d, taken)
	}
	v := d.top()
	if d.containers > d.lim.Depth {
		checkDepth(&d.budget, v, len(d.b))
	}
	for _, c := range d.calls {
		c.o.LateArgs = d.grown(c.o) > c.items
	}
	d.mergeWide()
	return v
}

// mergeWide merges the equal keys of all noted dicts and sets.
func (d *decoder) mergeWide() {
	if len(d.wide) == 0 {
		return
	}
	k := keyer{budget: &d.budget, unhashable: d.syntax("a tuple in a dict key or set holds something unhashable")}
	d.keep(len(d.wide) * mapMemory)
	done := make(map[any]bool, len(d.wide))
	for _, v := range d.wide {
		if done[v] {
			continue
		}
		done[v] = true
		switch v := v.(type) {
		case *Dict:
			v.Items = k.mergePairs(v.Items)
		case *Set:
			v.Items = k.mergeItems(v.Items)
		case *FrozenSet:
			v.Items = k.mergeItems(v.Items)
		}
	}
}

var (
	refusePersistent = refuse("persistent ids are not supported: only the program that wrote them knows what they mean")
	refuseExtension  = refuse("extension codes are not supported: their registry is not part of the pickle")
	refuseBuffer     = refuse("out-of-band buffers are not supported: their content is not part of the pickle")
)

func refuse(why string) func(*decoder, []any) {
	return func(d *decoder, _ []any) { panic(d.syntax(why)) }
}

func (d *decoder) setProto([]any) {
	if d.number > 5 {
		panic(d.syntax("protocols above 5 are not supported"))
	}
	d.proto = int(d.number)
}

// frame checks the announced size only: like CPython's C unpickler it lets opcodes reach over the end of a frame.
func (d *decoder) frame([]any) {
	if d.number > uint64(len(d.b)-d.i) {
		panic(d.syntax("the frame reaches past the end of the input"))
	}
}

// drop is POP, which removes a MARK as well when that is on top.
func (d *decoder) drop([]any) {
	if n := len(d.marks); n > 0 && d.marks[n-1] == len(d.stack) {
		d.popMark()
		return
	}
	v := d.popN(1)
	if d.start == d.called {
		d.stateSetter(v[0])
	}
}

func (d *decoder) dropMark([]any) {}

func (d *decoder) dup([]any) { d.push(d.top()) }
