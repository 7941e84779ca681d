package hostile

import "fmt"

// documents are for RQ's JSONSerializer.
func documents(c *corpus) {
	json := func(name, value string) {
		c.payload("JSON: "+name, fmt.Sprintf(`[%q, null, [], {"x": %s}]`, c.method, value))
	}
	array := func(n int, item string) string { return "[" + times(n-1, item+",") + item + "]" }
	for _, n := range []int{4_000, 90_000, 1_000_000, 20_000_000} {
		json(fmt.Sprintf("a number of %d digits", n), times(n, "7"))
		json(fmt.Sprintf("numbers of %d digits", n), array(20_000_000/n, times(n, "7")))
		json(fmt.Sprintf("a fraction of %d digits", n), "0."+times(n, "7"))
	}
	json("an exponent of 1 MB", "1e"+times(1<<20, "9"))
	json("floats out of range", array(2_000_000, "1e999"))
	json("floats between two floats", array(20_000, "2.22507385850720113605740979670913197593481954635164564802"+times(700, "1")+"e-308"))
	for _, n := range []int{900, 1100, 1_000_000} {
		json(fmt.Sprintf("%d lists in each other", n), times(n, "[")+times(n, "]"))
		json(fmt.Sprintf("%d dicts in each other", n), times(n, `{"":`)+"1"+times(n, "}"))
		json(fmt.Sprintf("%d lists without end", n), times(n, "["))
	}
	for name, one := range sorted(map[string]string{
		"null": "null", "empty dicts": "{}", "empty lists": "[]", "empty texts": `""`, "ones": "1", "floats": "1.5", "NaN": "NaN", "-Infinity": "-Infinity",
		"dicts of one": `{"a":1}`, "texts": `"ab"`, "escapes": `"\n"`, "surrogates": `"\ud800"`, "large ints": "12345678901234567890",
	}) {
		json("a million of "+name, array(1<<20, one))
		json("20 MB of "+name, array(20_000_000/(len(one)+1), one))
	}
	for name, letter := range sorted(map[string]string{"<": "<", "control characters": `\u0001`, "pairs": `\ud83d\ude00`, "quotes": `\"`, "é": "é", "backslashes": `\\`}) {
		json("3 MB of "+name, `"`+times((3<<20)/len(letter), letter)+`"`)
		json("20 MB of "+name, `"`+times((20<<20)/len(letter), letter)+`"`)
	}
	json("60 MB of <", `"`+times(60<<20, "<")+`"`)
	json("equal keys", "{"+times(1_000_000, `"a":1,`)+`"a":2}`)
	json("many keys", "{"+each(200_000, func(i int) string { return fmt.Sprintf(`"%d":1,`, i) })+`"a":2}`)
	json("long keys", array(6, fmt.Sprintf(`{"%s1":1,"%s2":1}`, times(1<<20, "k"), times(1<<20, "k"))))
	for name, broken := range sorted(map[string]string{
		"no end of text": `"` + times(20<<20, "x"), "control character": "\"\n\"", "bad escape": `"\x"`, "half an escape": `"\u12`, "no UTF-8": "\"\xff\"",
		"a comma too many": "[1,]", "no colon": `{"a" 1}`, "a key of number": "{1: 2}", "leading zero": "01", "plus": "+1", "no value": "", "comment": "/* */ 1",
		"single quotes": "'a'", "backslash at the end": `"\`, "white space": times(20<<20, " "),
	}) {
		json("broken: "+name, broken)
	}
	c.payload("JSON: twenty million commas", "["+times(20_000_000, ","))
	c.stored("JSON: not compressed and deep", times(60_000, "["))
}

// calls have hostile functions and arguments.
func calls(c *corpus) {
	c.payload("a function name of 20 MB", "\x80\x04("+text(times(20<<20, "f"))+"N)}t.")
	c.payload("a million arguments", "\x80\x04("+text(c.method)+"N("+times(1<<20, "N")+"t}t.")
	c.payload("a list of two million arguments", "\x80\x04("+text(c.method)+"N"+list(times(2<<20, "K\x01"))+"}t.")
	c.payload("one text in 200,000 arguments", "\x80\x04("+text(times(1<<20, "'"))+short(10)+text(c.method)+"N("+times(200_000, again(10))+"t}t.")
	c.payload("200,000 keyword arguments", "\x80\x04("+text(c.method)+"N)"+dict(each(200_000, func(i int) string { return text(fmt.Sprintf("k%d", i)) + "N" }))+"t.")
	c.payload("keyword arguments of a subclass", "\x80\x04("+text(c.method)+"N)"+object(global("m", "D"), ")")+"("+each(100_000, func(i int) string {
		return object(global("m", "S"), text(fmt.Sprint(i))+"\x85") + "N"
	})+"ut.")
	c.payload("arguments of a named tuple", "\x80\x04("+text(c.method)+"N"+object(global("m", "T"), tuple(times(1<<20, "N")))+"}t.")
	c.payload("a call in itself", "\x80\x04]"+short(10)+"("+text(c.method)+"N"+again(10)+"}e.")
	c.payload("five million items", "\x80\x04("+times(5_000_000, "N")+"t.")
	c.payload("a number", "\x80\x04K\x01.")
	c.payload("nothing", "")
	c.stored("no data", "")
}
