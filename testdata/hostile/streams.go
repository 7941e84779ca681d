package hostile

import (
	"fmt"
	"strings"
)

// texts grow when they are written as JSON, or take time for each letter.
func texts(c *corpus) {
	for name, letter := range sorted(map[string]string{
		"<": "<", "&": "&", "NUL": "\x00", "control characters": "\x1f", "quotes": `"`, "backslashes": `\`, "DEL": "\x7f", "é": "é", "line separators": "\u2028",
		"emoji": "😀", "lone surrogates": "\xed\xa0\x80", "newlines": "\n",
	}) {
		for _, size := range []int{3 << 20, 20 << 20} {
			c.value(fmt.Sprintf("a text of %d bytes of %s", size, name), text(times(size/len(letter), letter)))
		}
		c.value(fmt.Sprintf("3 MB of %s as a key", name), dict(text(times((3<<20)/len(letter), letter)), "N"))
	}
	c.value("60 MB of <", text(times(60<<20, "<")))
	c.value("60 MB of control characters", text(times(60<<20, "\x01")))
	for _, size := range []int{1 << 20, 20 << 20} {
		c.value(fmt.Sprintf("bytes of %d", size), bytesOf(times(size, "\xff")))
		c.value(fmt.Sprintf("bytes of %d as a key", size), dict(bytesOf(times(size, "\xff")), "N"))
		c.value(fmt.Sprintf("a bytearray of %d", size), "\x96"+little(size)+little(0)+times(size, "\xff"))
	}
	c.value("a text that is no UTF-8", text(times(20<<20, "\xff")))
	c.value("300,000 texts of 20 bytes", list(each(300_000, func(i int) string { return "\x8c\x14" + fmt.Sprintf("%020d", i) })))
}

// keys are equal, or look so until their end.
func keys(c *corpus) {
	const n = 200_000
	for name, key := range sorted(map[string]func(i int) string{
		"ints": number, "texts": func(i int) string { return text(fmt.Sprint(i)) }, "tuples": func(i int) string { return number(i) + "\x85" },
		"equal ints": func(int) string { return "K\x01" }, "one in three types": func(i int) string { return []string{"K\x01", "\x88", "G\x3f\xf0" + times(6, "\x00")}[i%3] },
		"NaN": func(int) string { return "G\x7f\xf8" + times(6, "\x00") }, "large floats": func(i int) string { return "G\x7f\xe0" + little(i) + "\x00\x00" },
		"multiples of a prime": func(i int) string { return "\x8a\x09" + little(i) + times(4, "\xff") + "\x1f" },
		"bytes":                func(i int) string { return "C\x04" + little(i) }, "objects": func(int) string { return object(global("m", "C"), ")") },
		"globals": func(i int) string { return global("m", fmt.Sprint(i)) }, "frozensets": func(i int) string { return frozen(number(i), number(i+1)) },
	}) {
		c.value(fmt.Sprintf("a dict of %d: %s", n, name), dict(each(n, func(i int) string { return key(i) + "N" })))
		c.value(fmt.Sprintf("a set of %d: %s", n, name), set(each(n, key)))
	}
	long := times(1<<20, "x")
	c.value("two equal texts of 1 MB in turn", text(long)+short(10)+"0"+text(long)+short(11)+"0", dict(times(100_000, again(10)+"N"+again(11)+"N")))
	c.value("seven texts of 1 MB that differ at their end", each(7, func(i int) string { return text(long+fmt.Sprint(i)) + short(10+i) + "0" }),
		list(times(20_000, dict(each(7, func(i int) string { return again(10+i) + "N" })))))
	c.value("two wide dicts in turn", "}"+short(10)+"0}"+short(11)+"0", times(300_000, again(10)+"K\x01Ns0"+again(11)+"K\x01Ns0"), again(10))
	c.value("a wide dict and many of nine", list(dict(each(30_000, func(i int) string { return number(i) + "N" })), times(20_000, dict(each(9, func(i int) string { return "K" + little(i)[:1] + "N" })))))
	c.value("wide and small dicts in turn", list(times(50, dict(each(10_000, func(i int) string { return number(i) + "N" }))+dict("K\x01", "N"))))
	c.value("one frozenset of many in many tuples", kept(frozen(each(100_000, number))), set(each(50_000, func(i int) string { return number(i) + again(10) + "\x86" })))
	c.value("frozensets of the same in another order", set(each(20, func(i int) string {
		return frozen(each(10_000, func(j int) string { return number((i*37 + j) % 10_000) }))
	})))
	c.value("an unhashable key", dict("]", "N"))
	c.value("an unhashable key in a tuple", dict("]\x85", "N"))
}

// memos refer to what was remembered.
func memos(c *corpus) {
	c.value("memo indexes in doubles", "N", each(1<<18, func(i int) string { return put(2*i + 60) }))
	c.value("memo indexes from the end", "N", each(1<<18, func(i int) string { return put(1<<31 - i) }))
	c.value("the largest memo index", "Np9223372036854775807\n")
	c.value("a memo index beyond", "Np9223372036854775808\n")
	c.value("a negative memo index", "Np-1\n")
	c.value("a memo index of 1 MB", "Np"+times(1<<20, "1")+"\n")
	c.value("one memo index ten million times", "N", times(5_000_000, short(10)))
	c.value("MEMOIZE ten million times", "N", times(10_000_000, "\x94"))
	c.value("PUT lines", "N", times(2_000_000, "p1\n"))
	c.value("GET lines", "Np1\n0", list(times(2_000_000, "g1\n")))
	c.value("nothing remembered", "h\xff")
	c.value("twenty million marks", times(20_000_000, "("), "N")
	c.value("marks and POP_MARK", times(10_000_000, "(1"), "N")
	c.value("POP and DUP", "N", times(10_000_000, "20"))
}

// lies are about lengths and about what follows.
func lies(c *corpus) {
	for name, opcodes := range sorted(map[string]string{
		"BINUNICODE8": "\x8d" + times(8, "\xff"), "BINUNICODE8 of half": "\x8d" + times(7, "\xff") + "\x7f", "BINBYTES8": "\x8e" + times(7, "\xff") + "\x3f",
		"BYTEARRAY8": "\x96" + times(7, "\xff") + "\x7f", "BINUNICODE": "X\xff\xff\xff\xff", "BINBYTES": "B\xff\xff\xff\x7f", "BINSTRING": "T\xff\xff\xff\xff",
		"LONG4": "\x8b\xff\xff\xff\x7f", "negative LONG4": "\x8b\xff\xff\xff\xff", "LONG1": "\x8a\xff\x01", "FRAME": "\x95" + times(8, "\xff"),
		"FRAME past the end": "\x95\xff\xff\x00\x00\x00\x00\x00\x00N", "frame in a frame": "\x95\x02\x00\x00\x00\x00\x00\x00\x00\x95\x01\x00\x00\x00\x00\x00\x00\x00N",
		"SHORT_BINUNICODE": "\x8c\xff", "GLOBAL without end": "cmodule", "INT without end": "I1", "persistent id": "Pid\n", "extension code": "\x82\x01", "buffer": "\x97",
		"unknown opcode": "\xff", "no value": "", "value under a mark": "(", "appended to None": "NNa", "state of a dict": "}NNb", "state twice": "cm\nC\n)\x81NbNb",
		"called text": text("f") + ")R", "odd SETITEMS": "}(Nu", "protocol 255": "\x80\xff",
	}) {
		c.value("lie: "+name, opcodes)
	}
	sound := "\x80\x04(" + text(c.method) + "N)}" + text("x") + list(number(1), text("y")) + "st."
	for i := range len(sound) {
		if i%5 == 0 {
			c.payload(fmt.Sprintf("the first %d bytes of a call", i), sound[:i])
		}
	}
	c.stored("not compressed", sound)
	c.stored("zlib header alone", "\x78\x9c")
	c.stored("zlib with a dictionary", "\x78\xbb\x00\x00\x00\x01abc")
	c.stored("zlib of reserved blocks", "\x78\x9c\x07"+times(1000, "\xff"))
	c.stored("zlib with empty blocks", "\x78\x9c"+times(60_000, "\x00\x00\x00\xff\xff"))
	stream := string(deflated(sound))
	c.stored("zlib without its end", stream[:len(stream)-7])
	c.stored("zlib with a wrong checksum", stream[:len(stream)-1]+"?")
	c.payload("zlib in zlib", stream)
}

// bombs inflate to what a machine of opcodes works long at.
func bombs(c *corpus) {
	for name, opcodes := range sorted(map[string]string{
		"zeros": "\x00", "NONE": "N", "NONE and POP": "N0", "a list and POP": "]0", "a dict and POP": "}0", "INT and POP": "I1\n0", "LONG and POP": "L1L\n0",
		"FLOAT and POP": "F1\n0", "UNICODE and POP": "Va\n0", "STRING and POP": "S'a'\n0", "GLOBAL and POP": "cm\nC\n0", "a call and POP": "cm\nC\n)R0",
		"TUPLE and POP": "(NNNt0", "FROZENSET and POP": "(NNN\x910", "a set and POP": "\x8f(K\x01K\x02\x900", "a wide dict and POP": "}K\x01Ns0",
		"bytearray and POP": "\x96" + times(8, "\x00") + "0", "FRAME": "\x95" + times(8, "\x00"), "PROTO": "\x80\x04", "stops": ".",
	}) {
		c.value("23 MB of "+name, times((23<<20)/len(opcodes), opcodes), "N")
	}
	c.payload("60 MB of zeros alone", times(60<<20, "\x00"))
	c.payload("60 MB behind STOP", "\x80\x04("+text(c.method)+"N)}t."+times(60<<20, "x"))
}

// lines are the text that protocol 0 writes.
func lines(c *corpus) {
	c.value("a line of 20 MB without end", "V"+times(20<<20, "x"))
	c.value("a line of 20 MB", "V"+times(20<<20, "x")+"\n")
	c.value("a line of Latin-1", "V"+times(20<<20, "\xff")+"\n")
	c.value("escapes", "V"+times(3_000_000, `\u0041`)+"\n")
	c.value("long escapes", "V"+times(2_000_000, `\U0001f600`)+"\n")
	c.value("backslashes in a line", "V"+times(20_000_000, `\`)+"\n")
	c.value("a broken escape", "V"+times(1<<20, "x")+`\u12`+"\n")
	c.value("STRING of escapes", "S'"+times(5_000_000, `\x41`)+"'\n")
	c.value("STRING of octal escapes", "S'"+times(5_000_000, `\101`)+"'\n")
	c.value("STRING without quotes", "S"+times(1<<20, "x")+"\n")
	old := func(name, opcodes string) {
		c.payload(name, "(V"+c.method+"\nN(t(dVx\n"+opcodes+"st.")
	}
	for _, g := range []string{"c__builtin__\nreduce\n", "curllib\nurlopen\n", "cexceptions\nValueError\n", "cmultiprocessing\nTimeoutError\n", "cnobody\nknows\n"} {
		old("names of Python 2: "+strings.ReplaceAll(g[1:], "\n", " "), "(l("+times(1_000_000, g)+"e")
	}
	old("INST", "(l("+times(1_000_000, "(im\nC\n")+"e")
	old("OBJ", "(l("+times(1_000_000, "(cm\nC\no")+"e")
	old("small INTs", "(l("+times(3_000_000, "I1\n")+"e")
	old("LISTs and APPEND", "(l"+times(1_000_000, "(la"))
}

// names are long, or grow.
func names(c *corpus) {
	grown := "cm\nC\n" + times(20_000, short(10)+"0"+global("builtins", "getattr")+again(10)+text("x")+"\x86R")
	c.value("getattr that grows a name", grown)
	c.value("getattr of one, many times", "cm\nC\n"+short(10)+"0"+text("x")+short(11)+"0"+global("builtins", "getattr")+short(12)+"0", list(times(1_000_000, again(12)+again(10)+again(11)+"\x86R")))
	for _, size := range []int{1000, 1 << 20, 10 << 20} {
		long := times(size, "n")
		c.value(fmt.Sprintf("a class with a name of %d bytes and many objects", size), kept(global("m", long)), list(times(100_000, object(again(10), ")"))))
		c.value(fmt.Sprintf("a module of %d bytes", size), kept(text(long)), list(times(10_000, again(10)+text("C")+"\x93")))
		c.value(fmt.Sprintf("a class with a name of %d bytes as keys", size), kept(global(long, "C")), list(times(100_000, dict(again(10), "N"))))
	}
	c.value("a name that is no UTF-8", "c\xff\xff\n\xff\n")
	c.value("STACK_GLOBAL of numbers", "NN\x93")
}

// objects are of classes that are shown in words.
func objects(c *corpus) {
	wide := dict(each(100_000, func(i int) string { return text(fmt.Sprintf("k%d", i)) + "N" }))
	c.value("UUIDs that share a wide state", kept(wide), list(times(5_000, object(global("uuid", "UUID"), ")")+again(10)+"b")))
	c.value("UUIDs that share a big int", kept(long(times(40_000, "\x7f"))), list(times(100_000, object(global("uuid", "UUID"), ")")+"}"+text("int")+again(10)+"sb")))
	c.value("objects that share two wide states", kept(tuple(wide, wide)), list(times(5_000, object(global("m", "C"), ")")+again(10)+"b")))
	for name, size := range sorted(map[string]int{"long": 1 << 20, "very long": 16 << 20}) {
		digits := kept(text(times(size, "7")))
		c.value("Decimals that share a "+name+" text", digits, list(times(50_000, call(global("decimal", "Decimal"), again(10)+"\x85"))))
		c.value("datetimes that share a "+name+" zone", digits, call(global("zoneinfo", "ZoneInfo._unpickle"), again(10)+"\x88\x86")+short(11)+"0",
			list(times(50_000, call(global("datetime", "datetime"), bytesOf("\x07\xe8\x01\x01\x00\x00\x00\x00\x00\x00")+again(11)+"\x86"))))
	}
	c.value("a list subclass of a million", object(global("m", "L"), ")")+"("+times(1<<20, "N")+"e")
	c.value("a dict subclass of 300,000", object(global("m", "D"), ")")+"("+each(300_000, func(i int) string { return number(i) + "N" })+"u")
	c.value("OrderedDicts in each other", times(900, call(global("collections", "OrderedDict"), ")")+"N"), "N", times(900, "s"))
	c.value("Counters of one dict", kept(wide), list(times(5_000, call(global("collections", "Counter"), again(10)+"\x85"))))
	c.value("_reconstructor of one dict", kept(wide), list(times(5_000, call(global("copyreg", "_reconstructor"), tuple(global("m", "D"), global("builtins", "dict"), again(10))))))
	c.value("objects as keys of objects' dicts", "N", times(300, short(10)+"0"+object(global("m", "C"), ")")+"}"+again(10)+"Nsb"), short(10)+"0", dict(again(10), "N"))
	c.value("dicts in objects that are keys", text(times(1<<20, "7")), times(300, short(10)+"0"+object(global("m", "C"), ")")+dict(again(10)+"\x85", "N")+"b"))
	c.value("a state setter", list(times(300_000, object(global("m", "C"), ")")+short(10)+"cm\nset\n"+again(10)+"N\x86R0")))
	c.value("timedeltas", list(times(300_000, call(global("datetime", "timedelta"), tuple("K\x01", "K\x02", "K\x03")))))
}
