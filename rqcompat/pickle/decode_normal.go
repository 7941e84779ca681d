package pickle

import (
	"strings"
	"unicode/utf8"
)

// normal gives the value of the calls by which protocols without opcodes for a type write it, and of nothing else.
func (d *decoder) normal(g *Global, args []any) (v any, ok bool, err error) {
	switch g.Module {
	case "builtins":
		switch g.Name {
		case "getattr":
			v, ok = attribute(args)
		case "bytes":
			if len(args) == 0 {
				return Bytes(""), true, nil
			}
		case "bytearray":
			return d.normalByteArray(args)
		case "set", "frozenset":
			return d.normalSet(g.Name, args)
		}
	case "_codecs":
		if g.Name == "encode" && len(args) == 2 && isLatin1(args[1]) {
			if s, isText := args[0].(string); isText {
				return d.latin1(s)
			}
		}
	}
	return v, ok, err
}

// maxAttributeName bounds module and name of a Global made of getattr calls, as each call copies the name.
const maxAttributeName = 256

// localName is a part of a qualified name that Python never looks up.
const localName = "<locals>"

func attribute(args []any) (any, bool) {
	if len(args) != 2 {
		return nil, false
	}
	g, ok := args[0].(*Global)
	name, ok2 := args[1].(string)
	if !ok || !ok2 || name == localName || strings.Contains(name, ".") ||
		len(g.Module)+len(g.Name)+1+len(name) > maxAttributeName {
		return nil, false
	}
	return &Global{g.Module, g.Name + "." + name}, true
}

func isLatin1(v any) bool {
	s, _ := v.(string)
	return s == "latin1" || s == "latin-1"
}

// latin1 gives the bytes of a string whose code points are bytes.
func (d *decoder) latin1(s string) (any, bool, error) {
	ascii := 0
	for ascii < len(s) && s[ascii] < utf8.RuneSelf {
		ascii++
	}
	if ascii == len(s) {
		return Bytes(s), true, nil
	}
	if err := d.copying(len(s)); err != nil {
		return nil, false, err
	}
	out := append(make([]byte, 0, len(s)), s[:ascii]...)
	for _, r := range s[ascii:] {
		if r > 0xff {
			return nil, false, d.syntax("encodes a text as Latin-1 that is none")
		}
		out = append(out, byte(r))
	}
	return Bytes(out), true, nil
}

// copying counts bytes that a normal form copies out of a value that may be shared, so that a few opcodes can't
// multiply a long string.
func (d *decoder) copying(n int) error {
	d.copied += n
	if d.copied > d.lim.Input {
		return &LimitError{"bytes to convert", d.lim.Input}
	}
	return nil
}

func (d *decoder) normalByteArray(args []any) (any, bool, error) {
	if len(args) == 0 {
		return &ByteArray{}, true, nil
	}
	b, ok := args[0].(Bytes)
	if s, isText := args[0].(string); isText && len(args) == 2 && isLatin1(args[1]) {
		v, _, err := d.latin1(s)
		if err != nil {
			return nil, false, err
		}
		b = v.(Bytes)
	} else if !ok || len(args) != 1 {
		return nil, false, nil
	}
	if err := d.copying(len(b)); err != nil {
		return nil, false, err
	}
	return &ByteArray{[]byte(b)}, true, nil
}

func (d *decoder) normalSet(name string, args []any) (any, bool, error) {
	var items []any
	if len(args) == 1 {
		l, ok := args[0].(*List)
		if !ok {
			return nil, false, nil
		}
		items = l.Items
	} else if len(args) > 1 {
		return nil, false, nil
	}
	if err := d.members(items); err != nil {
		return nil, false, err
	}
	if d.nodes += len(items); d.nodes > d.lim.Nodes { // the list may be shared
		return nil, false, &LimitError{"nodes", d.lim.Nodes}
	}
	d.containers++
	var v any
	if name == "set" {
		v = &Set{copyItems(items)}
	} else {
		v = &FrozenSet{copyItems(items)}
	}
	d.mergeLater(v)
	return v, true, nil
}
