package pickle

import "encoding/binary"

// program writes opcodes that suit what is on the stack. Kinds of values are letters: l list, d dict, s set, t
// tuple, f frozenset, o object, g global, b bytearray, a atom, and M for a MARK.
type program struct {
	choices []byte
	out     []byte
	stack   []byte
	memo    []byte // kinds of remembered values
}

func (p *program) next() int {
	if len(p.choices) == 0 {
		return 0
	}
	c := p.choices[0]
	p.choices = p.choices[1:]
	return int(c)
}

func (p *program) push(kind byte, code string) {
	p.out, p.stack = append(p.out, code...), append(p.stack, kind)
}

// ends reports whether the stack ends in these kinds, ? being any value.
func (p *program) ends(kinds string) bool {
	at := len(p.stack) - len(kinds)
	for i := range len(kinds) {
		if at < 0 || kinds[i] != p.stack[at+i] && (kinds[i] != '?' || p.stack[at+i] == 'M') {
			return false
		}
	}
	return true
}

// replace takes n kinds off the stack and pushes one.
func (p *program) replace(n int, kind byte, code string) {
	p.stack = p.stack[:len(p.stack)-n]
	p.push(kind, code)
}

var atoms = []string{
	"N", "\x88", "K\x07", "\x8c\x05hello", "\x8c\x01x", "C\x04byte", "C\x04\xff\xfe\xfd\xfc",
	"G\x3f\xf8\x00\x00\x00\x00\x00\x00", "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01",
}

// rules turn the kinds at the end of the stack into one other.
var rules = []struct {
	from string
	to   byte
	code string
}{
	{"", 'l', "]"}, {"", 'd', "}"}, {"", 's', "\x8f"}, {"", 't', ")"}, {"", 'g', "cm\nC\n"},
	{"", 'g', "\x8c\x01m\x8c\x03a.b\x93"}, {"", 'b', "\x96\x02\x00\x00\x00\x00\x00\x00\x00ab"}, {"", 'M', "("},
	{"l?", 'l', "a"}, {"o?", 'o', "a"}, {"d??", 'd', "s"}, {"o??", 'o', "s"}, {"o?", 'o', "b"},
	{"?", 't', "\x85"}, {"??", 't', "\x86"}, {"???", 't', "\x87"},
	{"gt", 'o', "R"}, {"gt", 'o', "\x81"}, {"ot", 'o', "R"}, {"ot", 'o', "\x81"}, {"gtd", 'o', "\x92"},
}

func (p *program) write() []byte {
	p.out = append(p.out, opProto, 4)
	for len(p.choices) > 0 {
		p.step(p.next() % 40)
	}
	for i := len(p.stack) - 1; i >= 0; i-- {
		if p.stack[i] == 'M' {
			p.close(0)
		}
	}
	if len(p.stack) == 0 {
		p.push('a', "N")
	}
	return append(p.out, opStop)
}

func (p *program) step(c int) {
	switch {
	case c < 4:
		p.push('a', atoms[p.next()%len(atoms)])
	case c < 8:
		if p.ends("?") {
			p.memoize()
		}
	case c < 13:
		if len(p.memo) > 0 {
			p.get(p.next() % len(p.memo))
		}
	case c == 13:
		if p.ends("??") {
			p.stack = p.stack[:len(p.stack)-1]
			p.out = append(p.out, opPop)
		}
	case c == 14:
		if p.ends("o") { // m.set(object, 7) as its state setter
			p.memoize()
			p.push('g', "cm\nset\n")
			p.get(len(p.memo) - 1)
			p.out = append(p.out, "K\x07\x86R0"...)
			p.stack = p.stack[:len(p.stack)-2]
		}
	case c < 18:
		p.close(p.next())
	default:
		if r := rules[(c-18+p.next())%len(rules)]; p.ends(r.from) {
			p.replace(len(r.from), r.to, r.code)
		}
	}
}

func (p *program) memoize() {
	p.memo = append(p.memo, p.stack[len(p.stack)-1])
	p.out = append(p.out, opMemoize)
}

func (p *program) get(i int) {
	p.push(p.memo[i], string(binary.LittleEndian.AppendUint32([]byte{opLongBinget}, uint32(i))))
}

// close uses what is above the last MARK.
func (p *program) close(choice int) {
	at := len(p.stack) - 1
	for at >= 0 && p.stack[at] != 'M' {
		at--
	}
	if at < 0 {
		return
	}
	n := len(p.stack) - at
	below := byte('M')
	if at > 0 {
		below = p.stack[at-1]
	}
	switch {
	case choice%2 == 0 && below == 's':
		p.replace(n+1, below, "\x90")
	case choice%2 == 0 && (below == 'l' || below == 'o' && choice%4 == 0):
		p.replace(n+1, below, "e")
	case choice%2 == 0 && (below == 'd' || below == 'o') && n%2 == 1:
		p.replace(n+1, below, "u")
	case choice%3 == 0:
		p.replace(n, 'f', "\x91")
	case choice%5 == 0 && n > 1 && p.stack[at+1] == 'g':
		p.replace(n, 'o', "o")
	case choice%7 == 0:
		p.replace(n, 'l', "l")
	default:
		p.replace(n, 't', "t")
	}
}
