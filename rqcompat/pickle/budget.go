package pickle

import (
	"time"
	"unsafe"
)

// budget is what may still be spent on one value. Whatever a stream can make long, or have done again, is charged to it
// where it happens and as it turned out to cost at worst, so that no way through a stream is cheaper than it looks.
type budget struct {
	lim     Limits
	left    int // units of work until the next look at the clock
	later   int // those behind that
	memory  int // bytes
	started time.Time
}

// quickly is up to how many items a slice doubles when it grows.
const quickly = 4096

// lookEvery is how many units of work pass between two looks at the clock.
const lookEvery = 1 << 20

func (b *budget) open(l Limits) {
	b.lim, b.left = l.resolve(), 0
	b.later, b.memory = b.lim.Work-l.spent.Work, b.lim.Memory-l.spent.Memory
	if !l.Deadline.IsZero() {
		b.started = time.Now()
	}
	b.look()
}

// spend charges units of work.
func (b *budget) spend(work int) {
	if b.left -= work; b.left <= 0 {
		b.look()
	}
}

// keep charges bytes of memory.
func (b *budget) keep(bytes int) {
	if b.memory -= bytes; b.memory < 0 {
		b.look()
	}
}

// look stands apart from spend and keep, so that these become part of the loops that call them.
//
//go:noinline
func (b *budget) look() {
	if err := b.exceeded(); err != nil {
		panic(failure{err})
	}
}

// exceeded names what is used up, or makes left last until the next look.
func (b *budget) exceeded() error {
	b.left += b.later
	b.later = 0
	switch {
	case b.left < 0:
		return &LimitError{"work", b.lim.Work}
	case b.memory < 0:
		return &LimitError{"memory", b.lim.Memory}
	case !b.lim.Deadline.IsZero() && time.Now().After(b.lim.Deadline):
		return &LimitError{"time", int(max(0, b.lim.Deadline.Sub(b.started).Milliseconds()))}
	}
	b.later = max(0, b.left-lookEvery)
	b.left -= b.later
	return nil
}

// cost is what was spent of the limits that the budget was made for.
func (b *budget) cost() Cost {
	return Cost{Work: b.lim.Work - b.left - b.later, Memory: b.lim.Memory - b.memory}
}

// grow makes room for n more items and charges it.
func grow[T any](b *budget, s []T, n int) []T {
	if n <= cap(s)-len(s) {
		return s
	}
	return larger(b, s, n)
}

// larger grows by a half at least. Old and new memory are there at the same time, so that there has to be room for both.
func larger[T any](b *budget, s []T, n int) []T {
	var item T
	size := int(unsafe.Sizeof(item))
	room := max(len(s)+n, cap(s)+cap(s)/2)
	if cap(s) < quickly {
		room = max(len(s)+n, 2*cap(s))
	}
	b.keep(room * size)
	b.memory += cap(s) * size
	return append(make([]T, 0, room), s...)
}

// What things cost at worst, found by measuring: work in units, memory in bytes.
const (
	opWork          = 20 // an opcode beside its argument
	itemWork        = 4  // to look at or copy an item of a container
	itemMemory      = 16
	valueWork       = 80 // to write a value as JSON
	containerWork   = 60
	containerMemory = 32 // beside its items
	objectMemory    = 160
	boxMemory       = 16 // of a number or a string's header
	mapWork         = 150
	mapMemory       = 64
	globalWork      = 300
	numberWork      = 300 // a number as text or of more than 64 bits, beside its digits
	floatDigitWork  = 80
	keyWork         = 500 // a key that is no text to write as JSON
	jsonWork        = 2   // a byte of a text to write as JSON
	textWork        = 4   // a byte to convert
	escapeWork      = 10  // a byte that may be an escape
)

// digitsWork is for turning n decimal digits into an integer or back, which takes longer than n times one.
func digitsWork(n int) int { return 2*n + n*(n/500) }
