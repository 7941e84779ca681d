package pickle

import "hash/maphash"

// familiar has short strings that came up before. Jobs of a bench repeat the names of keys, sites, users and
// methods; taking them from here saves most of the allocations of decoding one. A string is kept from the second
// time on, so that what occurs once doesn't cost a copy.
type familiar struct {
	seed  maphash.Seed
	slots [1024]struct {
		hash uint64
		text any // string, or nil after the first time
	}
}

// familiarSize is the longest string to keep, in bytes.
const familiarSize = 48

// get returns b as a string in an interface, nil when it isn't familiar.
func (f *familiar) get(b []byte) any {
	h := maphash.Bytes(f.seed, b)
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
