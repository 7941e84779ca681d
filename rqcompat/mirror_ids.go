package rqcompat

import "hash/maphash"

// idList is a list of ids, each once, in which an id is found as in a map. It takes some forty bytes beside the id itself, however
// many there are, and nothing of it is a pointer: a garbage collector has a few hundred blocks to look at, not a million ids.
type idList struct {
	seed maphash.Seed
	// nodes has them by place, in blocks; the first is the ring's end: its next is the first id, its prev the last.
	nodes [][]idNode
	used  uint32 // places that were ever given out
	free  uint32 // the first that was given back; its next is the next of them
	count int
	// index has places where the hashes of their ids send them, or in the next one that was free; a power of two.
	index []uint32
	pages []idPage
	empty []uint32 // pages without ids
	open  uint32   // the page that is written
}

// idPage has the bytes of ids one after the other. It goes when all of its ids have.
type idPage struct {
	bytes []byte
	live  int
}

type idNode struct {
	page, at, size uint32
	hash           uint32
	prev, next     uint32
	stamp          uint32
}

const (
	nodeBlock = 1 << 12
	pageBytes = 1 << 16
	leastSlot = 1 << 6
)

func newIDList() *idList {
	l := &idList{seed: maphash.MakeSeed(), index: make([]uint32, leastSlot)}
	l.place() // 0 is the ring's end
	l.pages = []idPage{{}}
	return l
}

func (l *idList) node(place uint32) *idNode { return &l.nodes[place/nodeBlock][place%nodeBlock] }

func (l *idList) bytes(n *idNode) []byte { return l.pages[n.page].bytes[n.at : n.at+n.size] }

// text is the id at a place.
func (l *idList) text(place uint32) string { return string(l.bytes(l.node(place))) }

// place gives out a place.
func (l *idList) place() uint32 {
	if p := l.free; p > 0 {
		l.free = l.node(p).next
		return p
	}
	if l.used%nodeBlock == 0 {
		l.nodes = append(l.nodes, make([]idNode, nodeBlock))
	}
	l.used++
	return l.used - 1
}

func (l *idList) hash(id string) uint32 { return uint32(maphash.String(l.seed, id)) }

// find is the place of an id, 0 if it isn't there.
func (l *idList) find(id string) uint32 {
	place, _ := l.search(id, l.hash(id))
	return place
}

func (l *idList) search(id string, hash uint32) (place, slot uint32) {
	last := uint32(len(l.index) - 1)
	for slot = hash & last; l.index[slot] > 0; slot = (slot + 1) & last {
		if n := l.node(l.index[slot]); n.hash == hash && string(l.bytes(n)) == id {
			return l.index[slot], slot
		}
	}
	return 0, slot
}

// insert puts a new id behind a place, and gives its own.
func (l *idList) insert(behind uint32, id string, stamp uint32) uint32 {
	if (l.count+1)*4 > len(l.index)*3 {
		l.grow()
	}
	hash := l.hash(id)
	_, slot := l.search(id, hash)
	place := l.place()
	*l.node(place) = l.write(id)
	n := l.node(place)
	n.hash, n.stamp = hash, stamp
	l.index[slot] = place
	l.count++
	l.link(place, behind)
	return place
}

// write puts an id into a page.
func (l *idList) write(id string) idNode {
	if p := &l.pages[l.open]; len(p.bytes)+len(id) > cap(p.bytes) {
		l.turn(len(id))
	}
	p := &l.pages[l.open]
	n := idNode{page: l.open, at: uint32(len(p.bytes)), size: uint32(len(id))}
	p.bytes = append(p.bytes, id...)
	p.live++
	return n
}

// turn begins a page that has room for an id of this size.
func (l *idList) turn(size int) {
	if l.pages[l.open].live == 0 {
		l.drop(l.open)
	}
	if last := len(l.empty) - 1; last >= 0 {
		l.open, l.empty = l.empty[last], l.empty[:last]
	} else {
		l.pages = append(l.pages, idPage{})
		l.open = uint32(len(l.pages) - 1)
	}
	l.pages[l.open].bytes = make([]byte, 0, max(pageBytes, size))
}

func (l *idList) drop(page uint32) {
	l.pages[page] = idPage{}
	l.empty = append(l.empty, page)
}

// grow makes room in the index.
func (l *idList) grow() {
	l.index = make([]uint32, 2*len(l.index))
	last := uint32(len(l.index) - 1)
	for place := l.node(0).next; place > 0; place = l.node(place).next {
		slot := l.node(place).hash & last
		for l.index[slot] > 0 {
			slot = (slot + 1) & last
		}
		l.index[slot] = place
	}
}

func (l *idList) link(place, behind uint32) {
	n, before := l.node(place), l.node(behind)
	n.prev, n.next = behind, before.next
	l.node(n.next).prev = place
	before.next = place
}

func (l *idList) unlink(place uint32) {
	n := l.node(place)
	l.node(n.prev).next, l.node(n.next).prev = n.next, n.prev
}

// move puts an id behind another place.
func (l *idList) move(place, behind uint32) {
	l.unlink(place)
	l.link(place, behind)
}

// remove takes an id out.
func (l *idList) remove(place uint32) {
	n := l.node(place)
	l.unindex(place, n.hash)
	l.unlink(place)
	if l.pages[n.page].live--; l.pages[n.page].live == 0 && n.page != l.open {
		l.drop(n.page)
	}
	*n = idNode{next: l.free}
	l.free = place
	l.count--
}

// unindex takes a place out of the index, and closes the hole, so that a search ends at the first free slot.
func (l *idList) unindex(place, hash uint32) {
	last := uint32(len(l.index) - 1)
	hole := hash & last
	for l.index[hole] != place {
		hole = (hole + 1) & last
	}
	for slot := (hole + 1) & last; l.index[slot] > 0; slot = (slot + 1) & last {
		if home := l.node(l.index[slot]).hash & last; (slot-home)&last >= (slot-hole)&last {
			l.index[hole], hole = l.index[slot], slot
		}
	}
	l.index[hole] = 0
}

// each calls yield for all ids in order; yield may remove the one that it is called for.
func (l *idList) each(yield func(place uint32)) {
	for place := l.node(0).next; place > 0; {
		next := l.node(place).next
		yield(place)
		place = next
	}
}
