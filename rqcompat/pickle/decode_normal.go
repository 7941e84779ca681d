package pickle

import "strings"

// normal gives the value of the calls by which protocols without opcodes for a type write it, nil for any other.
func (d *decoder) normal(callable, args any) any {
	g, ok1 := callable.(*Global)
	t, ok2 := args.(*Tuple)
	if !ok1 || !ok2 {
		return nil
	}
	switch *g {
	case Global{"builtins", "getattr"}:
		return d.attribute(t.Items)
	case Global{"builtins", "bytes"}:
		if len(t.Items) == 0 {
			return Bytes("")
		}
	case Global{"builtins", "bytearray"}:
		return d.normalByteArray(t.Items)
	case Global{"builtins", "set"}, Global{"builtins", "frozenset"}:
		return d.normalSet(g.Name, t.Items)
	case Global{"_codecs", "encode"}:
		if s, ok := latin1Text(t.Items); ok {
			return d.latin1(s)
		}
	}
	return nil
}

// maxAttributeName bounds module and name of a Global made of getattr calls, as each call copies the name.
const maxAttributeName = 256

// localName is a part of a qualified name that Python never looks up.
const localName = "<locals>"

func (d *decoder) attribute(args []any) any {
	if len(args) != 2 {
		return nil
	}
	g, ok := args[0].(*Global)
	name, ok2 := args[1].(string)
	if !ok || !ok2 || name == localName || strings.Contains(name, ".") ||
		len(g.Module)+len(g.Name)+1+len(name) > maxAttributeName {
		return nil
	}
	d.keep(containerMemory + len(g.Name) + 1 + len(name))
	return &Global{g.Module, g.Name + "." + name}
}

// latin1Text accepts the arguments (text, "latin1").
func latin1Text(args []any) (s string, ok bool) {
	if len(args) == 2 && (args[1] == "latin1" || args[1] == "latin-1") {
		s, ok = args[0].(string)
	}
	return s, ok
}

// latin1 gives the Bytes of a string whose code points are bytes.
func (d *decoder) latin1(s string) Bytes {
	d.spend(len(s) * textWork) // it may be shared
	ascii := asciiPrefix(s)
	if ascii == len(s) {
		return Bytes(s)
	}
	d.keep(len(s))
	out := append(make([]byte, 0, len(s)), s[:ascii]...)
	for _, r := range s[ascii:] {
		if r > 0xff {
			panic(d.syntax("encodes a text as Latin-1 that is none"))
		}
		out = append(out, byte(r))
	}
	return Bytes(out)
}

func (d *decoder) normalByteArray(args []any) any {
	if len(args) == 0 {
		return &ByteArray{}
	}
	b, ok := args[0].(Bytes)
	if s, isText := latin1Text(args); isText {
		b = d.latin1(s)
	} else if !ok || len(args) != 1 {
		return nil
	}
	d.spend(len(b)) // they may be shared
	d.keep(containerMemory + len(b))
	return &ByteArray{[]byte(b)}
}

func (d *decoder) normalSet(name string, args []any) any {
	l := &List{}
	if len(args) > 0 {
		l, _ = args[0].(*List)
	}
	if l == nil || len(args) > 1 {
		return nil
	}
	d.spend(len(l.Items) * itemWork) // the list may be shared
	d.members(l.Items)
	d.container()
	var v any = &Set{d.copied(l.Items)}
	if name == "frozenset" {
		v = &FrozenSet{v.(*Set).Items}
	}
	d.mergeLater(v)
	return v
}
