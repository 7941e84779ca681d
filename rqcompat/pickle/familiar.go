package pickle

import (
	"encoding/binary"
	"math/bits"
)

// familiar has short strings that came up before. Jobs of a bench repeat the names of keys, sites, users and
// methods; taking them from here saves most of the allocations of decoding one. A string is kept from the second
// time on, so that what occurs once doesn't cost a copy.
type familiar struct {
	slots [1024]struct {
		hash uint64
		text any // string, or nil after the first time
	}
}

// familiarSize is the longest string to keep, in bytes.
const familiarSize = 48

// get returns b as a string in an interface, nil when it isn't familiar.
func (f *familiar) get(b []byte) any {
	h := quickHash(b)
	slot := &f.slots[h%uint64(len(f.slots))]
	if slot.hash != h {
		slot.hash, slot.text = h, nil
		return nil
	}
	if slot.text == nil {
		if s := string(b); validText(s) {
			slot.text = s
		}
		return slot.text
	}
	if slot.text.(string) == string(b) {
		return slot.text
	}
	return nil
}

// quickHash hashes the length and the start, the middle and the end of a string. Of those that are alike one is familiar;
// a better hash would take as long as all the rest of get.
func quickHash(b []byte) uint64 {
	const mix = 0x9e3779b97f4a7c15
	n := len(b)
	var first, last uint64
	switch {
	case n >= 8:
		first, last = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:])
		last += binary.LittleEndian.Uint64(b[n/2-4:]) * mix
	case n >= 4:
		first, last = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[n-4:]))
	case n > 0:
		first, last = uint64(b[0]), uint64(b[n/2])<<8|uint64(b[n-1])
	}
	h := (first^uint64(n)<<56)*mix + bits.RotateLeft64(last, 32)
	h *= mix
	return h ^ h>>32
}
