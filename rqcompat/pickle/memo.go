package pickle

import (
	"math/bits"
	"unsafe"
)

// memoTable remembers under which index a value was written. It is an open hash table of addresses: a Go map would
// cost more than the rest of Encode. It holds real pointers, which keeps what they point to on the heap and in its
// place while the table is in use.
type memoTable struct {
	slots []memoSlot // a power of two
	used  int
	shift uint // 64 - log2(len(slots))
}

type memoSlot struct {
	p     unsafe.Pointer // nil when free
	size  int            // bytes of a string, isNode for anything else
	index int
}

// isNode tells a node from a string that starts at the same address.
const isNode = -1

const (
	firstSlots = 128
	keepSlots  = 8192 // a larger table isn't worth keeping, as reset clears all of it
)

func (t *memoTable) reset() {
	if len(t.slots) > keepSlots {
		t.slots = nil
	}
	clear(t.slots)
	t.used = 0
}

func (t *memoTable) find(p unsafe.Pointer, size int) (*memoSlot, bool) {
	mask := uintptr(len(t.slots) - 1)
	for i := (uintptr(p) * 0x9e3779b97f4a7c15) >> t.shift; ; i++ {
		s := &t.slots[i&mask]
		if s.p == nil {
			return s, false
		}
		if s.p == p && s.size == size {
			return s, true
		}
	}
}

// get returns the index of a value that was written before.
func (t *memoTable) get(p unsafe.Pointer, size int) (int, bool) {
	if t.used == 0 {
		return 0, false
	}
	s, ok := t.find(p, size)
	return s.index, ok
}

// put gives the value the next index. It must not be there yet.
func (t *memoTable) put(p unsafe.Pointer, size int) int {
	if 4*t.used >= 3*len(t.slots) {
		t.grow()
	}
	s, _ := t.find(p, size)
	*s = memoSlot{p, size, t.used}
	t.used++
	return s.index
}

func (t *memoTable) grow() {
	old := t.slots
	n := max(firstSlots, 2*len(old))
	t.slots = make([]memoSlot, n)
	t.shift = uint(65 - bits.Len(uint(n)))
	for _, s := range old {
		if s.p != nil {
			at, _ := t.find(s.p, s.size)
			*at = s
		}
	}
}

// address is the identity of a node, which is a pointer: the second word of the interface that holds it.
func address(v any) unsafe.Pointer { return (*[2]unsafe.Pointer)(unsafe.Pointer(&v))[1] }
