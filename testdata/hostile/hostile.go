// Package hostile makes the payloads that somebody could enqueue to harm others: each asks for far more time or memory
// than its size, lies about itself, or is broken. All of them are made in code; none is stored.
package hostile

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Case is one payload.
type Case struct {
	Name string
	// Data is the field data of a job's hash: a zlib stream, or what stands in its place.
	Data []byte
}

// All makes the payloads, some hundred of them, in some seconds. What is a call at all calls method, with what is hostile
// as its keyword argument x.
func All(method string) []Case { return Every(1, method) }

// Every makes every n-th of them, for a test that is to be quick.
func Every(n int, method string) []Case {
	c := &corpus{method: method, every: n}
	for _, family := range []func(*corpus){
		shared, converted, integers, nested, laughs, cycles, many, texts, keys, memos, lies, bombs, lines, names, objects, documents, calls,
	} {
		family(c)
	}
	return c.cases
}

type corpus struct {
	method string
	every  int // n, of which one is made
	seen   int
	cases  []Case
}

// value adds a call whose argument is what the opcodes leave on the stack. They may use memo indexes from 10 on.
func (c *corpus) value(name string, opcodes ...string) {
	c.payload(name, "\x80\x04("+text(c.method)+"N)}"+text("x")+strings.Join(opcodes, "")+"st.")
}

// payload adds a payload that is deflated.
func (c *corpus) payload(name, payload string) {
	c.made(name, func() []byte { return deflated(payload) })
}

// stored adds data as it stands in Redis.
func (c *corpus) stored(name, data string) { c.made(name, func() []byte { return []byte(data) }) }

func (c *corpus) made(name string, data func() []byte) {
	if c.seen++; c.seen%c.every == 0 {
		c.cases = append(c.cases, Case{name, data()})
	}
}

func deflated(payload string) []byte {
	var b bytes.Buffer
	w, _ := zlib.NewWriterLevel(&b, zlib.BestSpeed) // the level is valid
	w.Write([]byte(payload))                        // a bytes.Buffer takes everything
	w.Close()
	return b.Bytes()
}

// sorted yields a family in the same order each time.
func sorted[V any](family map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, name := range slices.Sorted(maps.Keys(family)) {
			if !yield(name, family[name]) {
				return
			}
		}
	}
}

// What follows are opcodes.

func text(s string) string              { return "X" + little(len(s)) + s }
func bytesOf(s string) string           { return "B" + little(len(s)) + s }
func put(i int) string                  { return "r" + little(i) }
func get(i int) string                  { return "j" + little(i) }
func short(i int) string                { return "q" + string([]byte{byte(i)}) }
func again(i int) string                { return "h" + string([]byte{byte(i)}) }
func number(i int) string               { return "J" + little(i) }
func list(items ...string) string       { return "](" + strings.Join(items, "") + "e" }
func tuple(items ...string) string      { return "(" + strings.Join(items, "") + "t" }
func dict(items ...string) string       { return "}(" + strings.Join(items, "") + "u" }
func set(items ...string) string        { return "\x8f(" + strings.Join(items, "") + "\x90" }
func frozen(items ...string) string     { return "(" + strings.Join(items, "") + "\x91" }
func global(module, name string) string { return "c" + module + "\n" + name + "\n" }
func call(function, args string) string { return function + args + "R" }
func object(class, args string) string  { return class + args + "\x81" }
func long(s string) string              { return "\x8b" + little(len(s)) + s }

func little(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }

func times(n int, s string) string { return strings.Repeat(s, n) }

// each joins what is made of 0 to n-1.
func each(n int, f func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(f(i))
	}
	return b.String()
}

// kept is a value that is remembered under 10, and nothing on the stack.
func kept(value string) string { return value + short(10) + "0" }
