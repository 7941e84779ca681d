package pickle

import "sync"

// decoder is the stack machine. Stack, marks, memo and familiar are kept between uses.
type decoder struct {
	reader
	budget
	called int // where the opcode behind the last REDUCE stands
	proto  int

	text   string // copy of the block of b that starts at textAt
	textAt int

	containers int // containers and objects made: no path can be longer

	stack []any
	marks []int
	floor int // height of the stack at the last mark; nothing pops below it

	memo []any          // of the indexes from 0 on
	far  map[uint64]any // of indexes that left a gap

	familiar *familiar

	calls []call // objects whose arguments may still grow
	wide  []any  // *Dict, *Set and *FrozenSet whose keys are checked at the end
}

// call is an object that was given lists or dicts, which had so many items.
type call struct {
	o     *Object
	items int
}

var decoders = sync.Pool{New: func() any {
	return &decoder{
		stack: make([]any, 0, 64), marks: make([]int, 0, 16), memo: make([]any, 0, 64),
		familiar: &familiar{},
	}
}}

// keepCap is how many entries of stack and memo an idle decoder may hold on to.
const keepCap = 4096

// release makes a failure the error, and says what the decoder has spent.
func (d *decoder) release(cost *Cost, err *error) {
	recovered(recover(), err)
	*cost = d.cost()
	stack, memo, marks := d.stack[:cap(d.stack)], d.memo, d.marks
	clear(stack)
	clear(memo)
	if cap(stack) > keepCap || cap(memo) > keepCap || cap(marks) > keepCap {
		return // rare and large: leave it to the collector
	}
	*d = decoder{stack: stack[:0], memo: memo[:0], marks: marks[:0], familiar: d.familiar}
	decoders.Put(d)
}

// push adds a value, and remembers it if MEMOIZE follows, as it does after nearly every value of protocol 4.
func (d *decoder) push(v any) {
	if len(d.stack) == cap(d.stack) {
		d.stack = larger(&d.budget, d.stack, 1)
	}
	d.stack = append(d.stack, v)
	if d.i < len(d.b) && d.b[d.i] == opMemoize && d.far == nil {
		d.i++
		if len(d.memo) == cap(d.memo) {
			d.memo = larger(&d.budget, d.memo, 1)
		}
		d.memo = append(d.memo, v)
	}
}

// popN removes the n topmost values and returns them.
func (d *decoder) popN(n int) []any {
	at := len(d.stack) - n
	if at < d.floor {
		panic(d.underflow())
	}
	items := d.stack[at:]
	d.stack = d.stack[:at]
	return items
}

func (d *decoder) top() any {
	n := len(d.stack) - 1
	if n < d.floor {
		panic(d.underflow())
	}
	return d.stack[n]
}

func (d *decoder) underflow() failure {
	if len(d.marks) > 0 {
		return d.syntax("needs a value, but finds a MARK")
	}
	return d.syntax("needs a value, but the stack is empty")
}

func (d *decoder) mark([]any) {
	d.marks = append(grow(&d.budget, d.marks, 1), len(d.stack))
	d.floor = len(d.stack)
}

// popMark removes the last mark and returns the values above it.
func (d *decoder) popMark() []any {
	n := len(d.marks) - 1
	if n < 0 {
		panic(d.syntax("there is no MARK"))
	}
	at := d.marks[n]
	d.marks = d.marks[:n]
	d.floor = 0
	if n > 0 {
		d.floor = d.marks[n-1]
	}
	items := d.stack[at:]
	d.stack = d.stack[:at]
	return items
}

// Strings are cut out of copied blocks of the input. A pickle of up to blockSize bytes is copied once. In a longer
// one a string above ownSize gets memory of its own, so that keeping a string keeps at most a block alive.
const (
	blockSize = 4096
	ownSize   = 512
)

// str copies the content of the argument.
func (d *decoder) str() string {
	from, to := d.at, d.end
	if at := from - d.textAt; at >= 0 && to-d.textAt <= len(d.text) {
		return d.text[at : to-d.textAt]
	}
	if to-from > ownSize && len(d.b) > blockSize {
		d.keep(to - from)
		return string(d.content())
	}
	block := d.b[from:min(from+blockSize, len(d.b))]
	d.keep(len(block))
	d.text, d.textAt = string(block), from
	return d.text[:to-from]
}
