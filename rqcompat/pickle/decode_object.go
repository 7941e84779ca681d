package pickle

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// global is GLOBAL: module and name on a line each.
func (d *decoder) global([]any) { d.push(d.globalLines()) }

func (d *decoder) globalLines() *Global {
	if !utf8.Valid(d.content()) {
		panic(d.syntax("its module or name is not UTF-8"))
	}
	module, name, _ := strings.Cut(d.str(), "\n")
	if module == "" || name == "" {
		panic(d.syntax("has no module or no name"))
	}
	return d.newGlobal(module, name)
}

// maxGlobal bounds module and name, which are copied whenever somebody asks for the dotted name.
const maxGlobal = 1024

func (d *decoder) newGlobal(module, name string) *Global {
	if len(module)+len(name) > maxGlobal {
		panic(beyond("bytes of a module and a name", maxGlobal))
	}
	if d.proto < 3 {
		module, name = python3Name(module, name)
	}
	d.spend(globalWork)
	d.keep(containerMemory)
	return &Global{module, name}
}

func (d *decoder) stackGlobal(parts []any) {
	module, ok1 := parts[0].(string)
	name, ok2 := parts[1].(string)
	if !ok1 || !ok2 {
		panic(d.syntax("needs two str for module and name"))
	}
	d.push(d.newGlobal(module, name))
}

// object pushes o after it checked what can be called with what, as far as one can without calling.
func (d *decoder) object(o *Object) {
	switch o.Callable.(type) {
	case *Global, *Object:
	default:
		panic(d.syntax("needs a class or function to call, not " + kindOf(o.Callable)))
	}
	if _, ok := o.Args.(*Tuple); !ok {
		panic(d.syntax("needs a tuple of arguments, not " + kindOf(o.Args)))
	}
	if _, ok := o.Kwargs.(*Dict); !ok && o.How == NewObjEx {
		panic(d.syntax("needs a dict of keyword arguments, not " + kindOf(o.Kwargs)))
	}
	if n := d.grown(o); n >= 0 {
		d.calls = append(grow(&d.budget, d.calls, 1), call{o, n})
	}
	if o.How == Reduce {
		newObject(o)
	}
	d.keep(objectMemory)
	d.made(o)
}

// grown is growing of arguments that may be shared.
func (d *decoder) grown(o *Object) int {
	d.spend(len(o.args()) * itemWork)
	return growing(o)
}

// growing counts the items of the lists and dicts among the arguments; -1 means that there are none of them.
func growing(o *Object) int {
	n := -1
	for _, v := range o.args() {
		switch v := v.(type) {
		case *List:
			n = max(n, 0) + len(v.Items)
		case *Dict:
			n = max(n, 0) + len(v.Items)
		}
	}
	return n
}

func (d *decoder) reduce(parts []any) {
	d.called = d.i
	if v := d.normal(parts[0], parts[1]); v != nil {
		d.push(v)
		return
	}
	d.object(&Object{How: Reduce, Callable: parts[0], Args: parts[1]})
}

func (d *decoder) newObj(parts []any) {
	d.object(&Object{How: NewObj, Callable: parts[0], Args: parts[1]})
}

func (d *decoder) newObjEx(parts []any) {
	d.object(&Object{How: NewObjEx, Callable: parts[0], Args: parts[1], Kwargs: parts[2]})
}

// newObject turns a call of the functions that NEWOBJ and NEWOBJ_EX stand for into what the opcodes would have
// given.
func newObject(o *Object) {
	g, _ := o.Callable.(*Global)
	items := o.args()
	switch first(items).(type) {
	case *Global, *Object:
	default:
		return
	}
	switch {
	case g == nil || g.Module != "copyreg":
	case g.Name == "__newobj__":
		o.How, o.Callable, o.Args = NewObj, items[0], &Tuple{items[1:]}
	case g.Name == "__newobj_ex__" && len(items) == 3:
		args, ok1 := items[1].(*Tuple)
		kwargs, ok2 := items[2].(*Dict)
		if ok1 && ok2 {
			o.How, o.Callable, o.Args, o.Kwargs = NewObjEx, items[0], args, kwargs
		}
	}
}

// inst is INST, protocol 0's way to write an instance of an old-style class.
func (d *decoder) inst(args []any) {
	if bytes.ContainsFunc(d.content(), func(r rune) bool { return r >= utf8.RuneSelf }) {
		panic(d.syntax("has a name that isn't ASCII")) // Modules/_pickle.c load_inst; GLOBAL's are UTF-8
	}
	d.instance(d.globalLines(), args)
}

// obj is OBJ, the same in protocol 1.
func (d *decoder) obj(items []any) {
	if len(items) == 0 {
		panic(d.syntax("finds no class after its MARK"))
	}
	d.instance(items[0], items[1:])
}

func (d *decoder) instance(class any, args []any) {
	d.containers++ // its tuple of arguments
	d.object(&Object{How: Obj, Callable: class, Args: &Tuple{d.copied(args)}})
}

func (d *decoder) build(state []any) {
	o, ok := d.top().(*Object)
	if !ok {
		panic(d.syntax("needs an object to give a state to, not " + kindOf(d.top())))
	}
	if o.HasState {
		panic(d.syntax("a second state for one object is not supported"))
	}
	o.State, o.HasState = state[0], true
}

// stateSetter looks at a REDUCE whose result v was just thrown away. When it was a call f(object, state) right
// after the object, f sets its state: that is what a sixth item of __reduce__ does. Any other such call is
// dropped; CPython writes it when an object turns out to be part of its own arguments, and takes the one made
// inside instead.
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
