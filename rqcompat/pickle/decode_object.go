package pickle

import "unicode/utf8"

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
	parts, err := d.popN(2)
	if err != nil {
		return err
	}
	module, ok1 := parts[0].(string)
	name, ok2 := parts[1].(string)
	if !ok1 || !ok2 {
		return d.syntax("needs two str for module and name")
	}
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

// growing counts the items of the lists and dicts among the arguments; -1 means that there are none of them.
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
	parts, err := d.popN(2)
	if err != nil {
		return err
	}
	callable, args := parts[0], parts[1]
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

// newObject turns a call of the functions that NEWOBJ and NEWOBJ_EX stand for into what the opcodes would have
// given.
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
	parts, err := d.popN(2)
	if err != nil {
		return err
	}
	o, err := d.object(NewObj, parts[0], parts[1])
	if err != nil {
		return err
	}
	return d.push(o)
}

func (d *decoder) newObjEx() error {
	parts, err := d.popN(3)
	if err != nil {
		return err
	}
	o, err := d.object(NewObjEx, parts[0], parts[1])
	if err != nil {
		return err
	}
	kwargs, ok := parts[2].(*Dict)
	if !ok {
		return d.syntax("needs a dict of keyword arguments, not " + kindOf(parts[2]))
	}
	o.Kwargs = kwargs
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
