package pickle

import (
	"bytes"
	"hash/maphash"
	"sync"
)

// Decode reads one pickle under DefaultLimits. It doesn't keep b. Strings of a
// small pickle share one copy of it: clone one that outlives the rest by much.
func Decode(b []byte) (any, error) {
	return DefaultLimits.Decode(b)
}

// Decode reads one pickle under these limits. Errors are *SyntaxError or
// *LimitError.
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

// decoder is the stack machine. Stack, marks, memo
// and familiar are kept between uses.
type decoder struct {
	lim   Limits
	b     []byte
	i     int  // next byte of b
	start int  // where the current opcode stands
	op    byte // current opcode
	prev  byte // the one before
	proto int

	text   string // copy of the block of b that starts at textAt
	textAt int

	nodes      int // values pushed so far
	containers int // containers and objects made: no path can be longer
	copied     int // bytes copied by normal forms

	stack []any
	marks []int
	floor int // height of the stack at the last mark; nothing pops below it

	memo     []any          // dense part, with holes
	far      map[uint64]any // indexes far off the dense part, only in hand-made pickles
	memoized int

	familiar *familiar

	calls []call // objects whose arguments may still grow
	wide  []any  // *Dict, *Set and *FrozenSet whose keys are checked at the end
}

// call is an object that was given lists or dicts, which had so many items.
type call struct {
	o     *Object
	items int
}

// hole marks an index of the dense memo that was never put.
type hole struct{}

var decoders = sync.Pool{New: func() any {
	return &decoder{
		stack: make([]any, 0, 64), marks: make([]int, 0, 16), memo: make([]any, 0, 64),
		familiar: &familiar{seed: maphash.MakeSeed()},
	}
}}

// keepCap is how many entries of stack and memo an idle decoder may hold on to.
const keepCap = 4096

func (d *decoder) release() {
	stack, memo, marks := d.stack[:cap(d.stack)], d.memo, d.marks
	clear(stack)
	clear(memo)
	if cap(stack) > keepCap || cap(memo) > keepCap || cap(marks) > keepCap {
		return // rare and large: leave it to the collector
	}
	*d = decoder{stack: stack[:0], memo: memo[:0], marks: marks[:0], familiar: d.familiar}
	decoders.Put(d)
}

// run executes opcodes until STOP.
func (d *decoder) run() (any, error) {
	for {
		d.start = d.i
		if d.i >= len(d.b) {
			d.op = 0
			return nil, d.syntax("the pickle has no STOP")
		}
		d.prev, d.op = d.op, d.b[d.i]
		d.i++
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

func (d *decoder) syntax(msg string) error {
	return &SyntaxError{Offset: d.start, Opcode: d.op, Msg: msg}
}

// push adds a value and counts it.
func (d *decoder) push(v any) error {
	if d.nodes >= d.lim.Nodes {
		return &LimitError{"nodes", d.lim.Nodes}
	}
	d.nodes++
	d.stack = append(d.stack, v)
	return nil
}

func (d *decoder) pop() (any, error) {
	n := len(d.stack) - 1
	if n < d.floor {
		return nil, d.underflow()
	}
	v := d.stack[n]
	d.stack = d.stack[:n]
	return v, nil
}

func (d *decoder) top() (any, error) {
	n := len(d.stack) - 1
	if n < d.floor {
		return nil, d.underflow()
	}
	return d.stack[n], nil
}

func (d *decoder) underflow() error {
	if len(d.marks) > 0 {
		return d.syntax("needs a value, but finds a MARK")
	}
	return d.syntax("needs a value, but the stack is empty")
}

// popMark removes the last mark and returns the values above it. They stay
// valid until the next push.
func (d *decoder) popMark() ([]any, error) {
	n := len(d.marks) - 1
	if n < 0 {
		return nil, d.syntax("there is no MARK")
	}
	at := d.marks[n]
	d.marks = d.marks[:n]
	d.floor = 0
	if n > 0 {
		d.floor = d.marks[n-1]
	}
	items := d.stack[at:]
	d.stack = d.stack[:at]
	return items, nil
}

// take returns the next n bytes. n comes from the stream, so it is compared
// with what is there before anything is made of it.
func (d *decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.b)-d.i) {
		return nil, d.syntax("its argument reaches past the end of the input")
	}
	b := d.b[d.i : d.i+int(n)]
	d.i += int(n)
	return b, nil
}

// line returns the bytes up to the next newline, without it.
func (d *decoder) line() ([]byte, error) {
	rest := d.b[d.i:]
	n := bytes.IndexByte(rest, '\n')
	if n < 0 {
		return nil, d.syntax("its argument has no end of line")
	}
	d.i += n + 1
	return rest[:n], nil
}

// Strings are cut out of copied blocks of the input. A pickle of up to
// blockSize bytes is copied once. In a longer one a string above ownSize gets
// memory of its own, so that keeping a string keeps at most a block alive.
const (
	blockSize = 4096
	ownSize   = 512
)

// str copies d.b[from:to].
func (d *decoder) str(from, to int) string {
	if at := from - d.textAt; at >= 0 && to-d.textAt <= len(d.text) {
		return d.text[at : to-d.textAt]
	}
	if to-from > ownSize && len(d.b) > blockSize {
		return string(d.b[from:to])
	}
	d.text, d.textAt = string(d.b[from:min(from+blockSize, len(d.b))]), from
	return d.text[:to-from]
}
