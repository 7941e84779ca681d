package hostile

import "fmt"

// shared has values that are referred to again and again where a careless reader copies them.
func shared(c *corpus) {
	for _, n := range []int{500_000, 50_000, 1_000} {
		args := kept(tuple(global("m", "C"), times(n, "N")))
		refs := min(100_000_000/n, 30_000)
		for name, one := range sorted(map[string]string{
			"copyreg.__newobj__": call(global("copyreg", "__newobj__"), again(10)),
			"a call":             call(global("m", "f"), again(10)),
			"NEWOBJ":             object(global("m", "C"), again(10)),
			"NEWOBJ_EX":          global("m", "C") + again(10) + "}\x92",
			"a state":            object(global("m", "C"), ")") + again(10) + "b",
		}) {
			c.value(fmt.Sprintf("%s over one tuple of %d, %d times", name, n, refs), args, list(times(refs, one)))
		}
		c.value(fmt.Sprintf("set() of one list of %d, %d times", n, refs),
			kept(list(each(n, number))), list(times(refs, call(global("builtins", "set"), again(10)+"\x85"))))
		c.value(fmt.Sprintf("one dict of %d, %d times", n, refs), kept(dict(each(n, func(i int) string { return number(i) + "N" }))), list(times(refs, again(10))))
		c.value(fmt.Sprintf("a list of %d that grows in %d calls", n, refs), kept(list(times(n, "N"))), list(times(refs, call(global("m", "f"), again(10)+"\x85"))), again(10)+"Na0")
	}
	c.value("__newobj_ex__ over one tuple", kept(tuple(times(500_000, "N"))), list(times(1000, call(global("copyreg", "__newobj_ex__"), tuple(global("m", "C"), again(10), "}")))))
	for _, size := range []int{1 << 10, 1 << 20, 16 << 20} {
		c.value(fmt.Sprintf("one text of %d bytes, 200,000 times", size), kept(text(times(size, "x"))), list(times(200_000, again(10))))
		c.value(fmt.Sprintf("one bytes of %d, 200,000 times", size), kept(bytesOf(times(size, "\xff"))), list(times(200_000, again(10))))
		c.value(fmt.Sprintf("one text of %d quotes as 100,000 keys", size), kept(text(times(size, `"`))), list(times(100_000, dict(again(10), "N"))))
	}
}

// converted has calls that older protocols write for plain types.
func converted(c *corpus) {
	encode := global("_codecs", "encode") + short(11) + "0" + text("latin1") + short(12) + "0"
	for _, size := range []int{100, 10_000, 1 << 20} {
		for name, letter := range sorted(map[string]string{"ASCII": "a", "Latin-1": "é", "beyond": "☃"}) {
			c.value(fmt.Sprintf("_codecs.encode of one %s text of %d, 340,000 times", name, size),
				kept(text(times(size, letter))), encode, list(times(340_000, call(again(11), again(10)+again(12)+"\x86"))))
		}
	}
	array := global("builtins", "bytearray") + short(11) + "0"
	c.value("bytearray of one bytes", kept(bytesOf(times(1<<20, "x"))), array, list(times(100_000, call(again(11), again(10)+"\x85"))))
	c.value("bytearray of one text", kept(text(times(1<<20, "é"))), text("latin1")+short(12)+"0", array, list(times(100_000, call(again(11), again(10)+again(12)+"\x86"))))
	c.value("bytes() and bytearray() a million times", global("builtins", "bytes")+short(10)+"0", array, list(times(500_000, call(again(10), ")")+call(again(11), ")"))))
	c.value("frozenset of a growing list", "]"+short(10)+"0", list(times(3000, again(10)+"(NNNNNNNNe0"+call(global("builtins", "frozenset"), again(10)+"\x85"))))
}

// integers has numbers whose digits, or whose hash, take time.
func integers(c *corpus) {
	big := long(times(40_000, "\x7f"))
	for _, n := range []int{1, 100, 100_000} {
		c.value(fmt.Sprintf("a big int as %d members of sets", n), kept(big), list(times(n, set(again(10)))))
		c.value(fmt.Sprintf("a big int as %d members of frozensets", n), kept(big), list(times(n, frozen(again(10)))))
		c.value(fmt.Sprintf("a big int as %d keys", n), kept(big), list(times(n, dict(again(10), "N"))))
		c.value(fmt.Sprintf("a big int in %d tuples that are keys", n), kept(big), list(times(n, dict(again(10)+"\x85", "N"))))
		c.value(fmt.Sprintf("a big int %d times", n), kept(big), list(times(n, again(10))))
	}
	c.value("five hundred big ints", list(each(500, func(i int) string { return long(times(40_000, "\x7f") + little(i)[:3]) })))
	c.value("big ints of 9 bytes", list(times(500_000, "\x8a\x09"+times(9, "\x70"))))
	c.value("a negative big int", list(times(200, long(times(40_000, "\x80")))))
	c.value("a big int of 20 MB", long(times(20<<20, "\x7f")))
	for name, digits := range sorted(map[string]string{
		"decimal": times(99_999, "9"), "hexadecimal": "0x" + times(99_000, "f"), "octal": "0o" + times(99_000, "7"), "binary": "0b" + times(99_000, "1"),
		"grouped": "1" + times(49_000, "_1"), "too long": times(20_000_000, "9"),
	}) {
		c.value("LONG of digits: "+name, list(times(4_000_000/len(digits)+1, "L"+digits+"L\n")))
		c.value("INT of digits: "+name, list(times(4_000_000/len(digits)+1, "I"+digits+"\n")))
	}
	halfway := "2.2250738585072011360574097967091319759348195463516456480" + times(700, "1") + "e-308"
	c.value("floats between two floats", list(times(20_000, "F"+halfway+"\n")))
	c.value("a float of 10 MB", "F0."+times(10<<20, "0")+"1e10000000\n")
}

// nested is deeper than a stack of calls should get.
func nested(c *corpus) {
	for _, n := range []int{900, 999, 1001, 100_000, 1 << 20} {
		for name, opcodes := range sorted(map[string]string{
			"lists":      times(n, "]") + times(n-1, "a"),
			"tuples":     "N" + times(n, "\x85"),
			"dicts":      times(n-1, "}N") + "}" + times(n-1, "s"),
			"frozensets": times(n, "(") + times(n, "\x91"),
			"states":     "N" + times(n, short(10)+"0"+object(global("m", "C"), ")")+again(10)+"b"),
			"calls":      "N" + times(n, "\x85"+short(10)+"0"+call(global("m", "f"), again(10))),
			"keys":       "N" + times(n, "\x85") + short(10) + "0" + dict(again(10), "N"),
		}) {
			c.value(fmt.Sprintf("%d %s in each other", n, name), opcodes)
		}
	}
}

// laughs double at each level.
func laughs(c *corpus) {
	for name, level := range sorted(map[string]func(inner string) string{
		"lists": func(x string) string { return list(x, x) }, "tuples": func(x string) string { return x + x + "\x86" },
		"dicts": func(x string) string { return dict(number(1), x, number(2), x) }, "frozensets": func(x string) string { return frozen(x, tuple(x)) },
		"objects": func(x string) string { return object(global("m", "C"), x+x+"\x86") },
	}) {
		for _, n := range []int{30, 300} {
			value := "N" + short(10) + "0" + times(n, level(again(10))+short(10)+"0")
			c.value(fmt.Sprintf("laughs: %d levels of %s", n, name), value, again(10))
			if name != "lists" && name != "dicts" {
				c.value(fmt.Sprintf("laughs: %d levels of %s as a key", n, name), value, dict(again(10), "N"))
				c.value(fmt.Sprintf("laughs: %d levels of %s as a member", n, name), value, set(again(10)))
			}
		}
	}
	c.value("laughs: ten lists a level", list(times(10, "N")), short(10), times(100, "0"+list(times(10, again(10)))+short(10)))
}

// cycles lead back to where they come from.
func cycles(c *corpus) {
	c.value("a list in itself", "]"+short(10)+again(10)+"a")
	c.value("a list a million times in itself", "]"+short(10)+"("+times(1<<20, again(10))+"e")
	c.value("a dict in itself", "}"+short(10)+"N"+again(10)+"s")
	c.value("an object that is its own state", object(global("m", "C"), ")")+short(10)+again(10)+"b")
	for _, n := range []int{30, 300, 1500} {
		c.value(fmt.Sprintf("%d lists in each other", n), each(n, func(i int) string { return "]" + put(100+i) + "0" }),
			each(n, func(i int) string {
				return get(100+i) + "(" + each(n, func(j int) string { return get(100 + j) }) + "e0"
			}), get(100))
		c.value(fmt.Sprintf("a ring of %d dicts", n), each(n, func(i int) string { return "}" + put(100+i) + "0" }),
			each(n, func(i int) string { return get(100+i) + "N" + get(100+(i+1)%n) + "s0" }), get(100))
	}
	c.value("a tuple that a list in it holds", "]"+short(10)+"\x85"+short(11)+"0"+again(10)+again(11)+"a0"+again(11))
}

// many has a large number of small values.
func many(c *corpus) {
	for name, one := range sorted(map[string]string{
		"empty dicts": "}", "empty lists": "]", "empty tuples": ")", "empty sets": "\x8f", "empty frozensets": "(\x91", "Nones": "N", "bools": "\x88",
		"small ints": "K\x01", "ints": "J\xff\xff\xff\x7f", "floats": "G\x3f\xf0\x00\x00\x00\x00\x00\x01", "empty texts": "\x8c\x00", "texts": "\x8c\x01a",
		"empty bytes": "C\x00", "bytearrays": "\x96" + times(8, "\x00"), "objects": "cm\nC\n)\x81", "globals": "cm\nC\n", "calls": "cm\nC\n)R",
		"dicts of one": "}NNs", "lists of one": "]Na", "tuples of one": "N\x85", "sets of one": "\x8f(N\x90", "UUIDs": "cuuid\nUUID\n)\x81}\x8c\x03intK\x05sb",
	}) {
		for _, n := range []int{1 << 20, 20_000_000 / len(one)} {
			c.value(fmt.Sprintf("%d %s", n, name), list(times(n, one)))
		}
	}
}
