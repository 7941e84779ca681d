package pickle

import (
	"strings"
	"unicode/utf8"
)

// global is GLOBAL: module and name on a line each.
func (d *decoder) global() error {
	g, err := d.globalLines()
	if err != nil {
		return err
	}
	return d.push(g)
}

func (d *decoder) globalLines() (*Global, error) {
	module, err := d.globalLine()
	if err != nil {
		return nil, err
	}
	name, err := d.globalLine()
	if err != nil {
		return nil, err
	}
	return d.newGlobal(module, name), nil
}

func (d *decoder) globalLine() (string, error) {
	b, err := d.line()
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", d.syntax("its module or name is not UTF-8")
	}
	return d.str(d.i-1-len(b), d.i-1), nil
}

func (d *decoder) newGlobal(module, name string) *Global {
	if d.proto < 3 {
		module, name = python3Name(module, name)
	}
	return &Global{module, name}
}

func (d *decoder) stackGlobal() error {
	at := len(d.stack) - 2
	if at < d.floor {
		return d.underflow()
	}
	module, ok1 := d.stack[at].(string)
	name, ok2 := d.stack[at+1].(string)
	if !ok1 || !ok2 {
		return d.syntax("needs two str for module and name")
	}
	d.stack = d.stack[:at]
	return d.push(d.newGlobal(module, name))
}

// object checks what can be called with what, as far as one can without calling.
func (d *decoder) object(how How, callable, args any) (*Object, error) {
	switch callable.(type) {
	case *Global, *Object:
	default:
		return nil, d.syntax("needs a class or function to call, not " + kindOf(callable))
	}
	if _, ok := args.(*Tuple); !ok {
		return nil, d.syntax("needs a tuple of arguments, not " + kindOf(args))
	}
	d.containers++
	o := &Object{How: how, Callable: callable, Args: args}
	if n := growing(o); n >= 0 {
		d.calls = append(d.calls, call{o, n})
	}
	return o, nil
}

// growing counts the items of the lists and dicts among the arguments; -1 means
// that there are none of them.
func growing(o *Object) int {
	n, any := 0, false
	for _, v := range o.Args.(*Tuple).Items {
		switch v := v.(type) {
		case *List:
			n, any = n+len(v.Items), true
		case *Dict:
			n, any = n+len(v.Items), true
		}
	}
	if !any {
		return -1
	}
	return n
}

func (d *decoder) reduce() error {
	at := len(d.stack) - 2
	if at < d.floor {
		return d.underflow()
	}
	callable, args := d.stack[at], d.stack[at+1]
	d.stack = d.stack[:at]
	if g, ok := callable.(*Global); ok {
		if t, ok := args.(*Tuple); ok {
			if v, ok, err := d.normal(g, t.Items); ok || err != nil {
				if err != nil {
					return err
				}
				return d.push(v)
			}
		}
	}
	o, err := d.object(Reduce, callable, args)
	if err != nil {
		return err
	}
	newObject(o)
	return d.push(o)
}

// newObject turns a call of the functions that NEWOBJ and NEWOBJ_EX stand for
// into what the opcodes would have given.
func newObject(o *Object) {
	g, _ := o.Callable.(*Global)
	if g == nil || g.Module != "copyreg" {
		return
	}
	items := o.Args.(*Tuple).Items
	if len(items) == 0 {
		return
	}
	switch items[0].(type) {
	case *Global, *Object:
	default:
		return
	}
	switch {
	case g.Name == "__newobj__":
		o.How, o.Callable, o.Args = NewObj, items[0], &Tuple{copyItems(items[1:])}
	case g.Name == "__newobj_ex__" && len(items) == 3:
		args, ok1 := items[1].(*Tuple)
		kwargs, ok2 := items[2].(*Dict)
		if ok1 && ok2 {
			o.How, o.Callable, o.Args, o.Kwargs = NewObjEx, items[0], args, kwargs
		}
	}
}

func (d *decoder) newObj() error {
	at := len(d.stack) - 2
	if at < d.floor {
		return d.underflow()
	}
	o, err := d.object(NewObj, d.stack[at], d.stack[at+1])
	if err != nil {
		return err
	}
	d.stack = d.stack[:at]
	return d.push(o)
}

func (d *decoder) newObjEx() error {
	at := len(d.stack) - 3
	if at < d.floor {
		return d.underflow()
	}
	o, err := d.object(NewObjEx, d.stack[at], d.stack[at+1])
	if err != nil {
		return err
	}
	kwargs, ok := d.stack[at+2].(*Dict)
	if !ok {
		return d.syntax("needs a dict of keyword arguments, not " + kindOf(d.stack[at+2]))
	}
	o.Kwargs = kwargs
	d.stack = d.stack[:at]
	return d.push(o)
}

// inst is INST, protocol 0's way to write an instance of an old-style class.
func (d *decoder) inst() error {
	g, err := d.globalLines()
	if err != nil {
		return err
	}
	items, err := d.popMark()
	if err != nil {
		return err
	}
	return d.pushObj(g, items)
}

// obj is OBJ, the same in protocol 1.
func (d *decoder) obj() error {
	items, err := d.popMark()
	if err != nil {
		return err
	}
	if len(items) == 0 {
		return d.syntax("finds no class after its MARK")
	}
	return d.pushObj(items[0], items[1:])
}

func (d *decoder) pushObj(class any, args []any) error {
	o, err := d.object(Obj, class, &Tuple{copyItems(args)})
	if err != nil {
		return err
	}
	d.containers++ // its tuple of arguments
	return d.push(o)
}

func (d *decoder) build() error {
	state, err := d.pop()
	if err != nil {
		return err
	}
	v, err := d.top()
	if err != nil {
		return err
	}
	o, ok := v.(*Object)
	if !ok {
		return d.syntax("needs an object to give a state to, not " + kindOf(v))
	}
	if o.HasState {
		return d.syntax("a second state for one object is not supported")
	}
	o.State, o.HasState = state, true
	return nil
}

// stateSetter looks at a REDUCE whose result v was just thrown away. When it
// was a call f(object, state) right after the object, f sets its state: that
// is what a sixth item of __reduce__ does. Any other such call is dropped; CPython
// writes it when an object turns out to be part of its own arguments, and
// takes the one made inside instead.
func (d *decoder) stateSetter(v any) {
	call, ok := v.(*Object)
	if !ok || len(d.stack) == d.floor {
		return
	}
	args := call.Args.(*Tuple).Items
	o, ok := d.stack[len(d.stack)-1].(*Object)
	if ok && len(args) == 2 && args[0] == any(o) && !o.HasState {
		o.State, o.HasState, o.StateSetter = args[1], true, call.Callable
	}
}

// normal gives the value of the calls by which protocols without opcodes for
// a type write it, and of nothing else.
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

// maxAttributeName bounds module and name of a Global made of getattr calls,
// as each call copies the name.
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

// latin1 gives the bytes of a text whose code points are bytes.
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

// copying counts bytes that a normal form copies out of a value that may be
// shared, so that a few opcodes can't multiply a long text.
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
