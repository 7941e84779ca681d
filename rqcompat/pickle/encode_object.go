package pickle

import (
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"
)

func (e *encoder) object(v *Object, p unsafe.Pointer, depth int) error {
	if err := checkObject(v); err != nil {
		return err
	}
	if !v.LateArgs && growing(v) > 0 {
		defer e.watch(v)()
	}
	if err := e.call(v, depth); err != nil {
		return err
	}
	if e.written(p, opPop) {
		return nil // and what comes below was written with it
	}
	if err := e.put(p, isNode); err != nil {
		return err
	}
	return e.content(v, depth)
}

// call writes what makes the object.
func (e *encoder) call(v *Object, depth int) error {
	switch v.How {
	case Obj:
		e.b = append(e.b, opMark)
		if err := e.save(v.Callable, depth); err != nil {
			return err
		}
		for _, a := range v.Args.(*Tuple).Items {
			if err := e.save(a, depth+1); err != nil {
				return err
			}
		}
		e.b = append(e.b, opObj)
	case NewObjEx:
		if err := e.newObjEx(v, depth); err != nil {
			return err
		}
	default:
		if err := e.save(v.Callable, depth); err != nil {
			return err
		}
		if err := e.save(v.Args, depth); err != nil {
			return err
		}
		op := byte(opReduce)
		if v.How == NewObj {
			op = opNewobj
		}
		e.b = append(e.b, op)
	}
	return nil
}

// content writes what is put into an object after it is made.
func (e *encoder) content(v *Object, depth int) error {
	if err := e.appends(v.Items, depth); err != nil {
		return err
	}
	if err := e.setItems(v.Pairs, depth); err != nil {
		return err
	}
	if !v.HasState {
		return nil
	}
	if v.StateSetter == nil {
		if err := e.save(v.State, depth); err != nil {
			return err
		}
		e.b = append(e.b, opBuild)
		return nil
	}
	for _, part := range []any{v.StateSetter, v, v.State} {
		if err := e.save(part, depth); err != nil {
			return err
		}
	}
	e.b = append(e.b, opTuple2, opReduce, opPop)
	return nil
}

func checkObject(v *Object) error {
	if t, ok := v.Args.(*Tuple); !ok || t == nil {
		return &UnsupportedError{"an Object needs a *Tuple as Args"}
	}
	switch v.Callable.(type) {
	case *Global, *Object:
	default:
		return &UnsupportedError{"an Object needs a *Global or an *Object as Callable"}
	}
	if v.How > Obj {
		return &UnsupportedError{"an Object has an unknown How"}
	}
	if _, ok := v.Kwargs.(*Dict); !ok && v.How == NewObjEx {
		return &UnsupportedError{"an Object made by NEWOBJ_EX needs a *Dict as Kwargs"}
	}
	return nil
}

// newObjEx has no opcode before protocol 4; the function of copyreg that the opcode stands for does the same.
func (e *encoder) newObjEx(v *Object, depth int) error {
	if e.proto < 4 {
		e.b = append(e.b, "ccopyreg\n__newobj_ex__\n"...)
	}
	for _, part := range []any{v.Callable, v.Args, v.Kwargs} {
		if err := e.save(part, depth); err != nil {
			return err
		}
	}
	if e.proto < 4 {
		e.b = append(e.b, opTuple3, opReduce)
	} else {
		e.b = append(e.b, opNewobjEx)
	}
	return nil
}

func (e *encoder) global(g *Global, p unsafe.Pointer) error {
	if e.proto >= 4 {
		if err := e.text(g.Module); err != nil {
			return err
		}
		if err := e.text(g.Name); err != nil {
			return err
		}
		e.b = append(e.b, opStackGlobal)
		return e.put(p, isNode)
	}
	return e.oldGlobal(g, p)
}

// oldGlobal writes a global for protocols without STACK_GLOBAL: names can't have line ends, and each dot is a call
// of getattr.
func (e *encoder) oldGlobal(g *Global, p unsafe.Pointer) error {
	if !utf8.ValidString(g.Module) || !utf8.ValidString(g.Name) {
		return &UnsupportedError{"a Global has a name that is not UTF-8"}
	}
	if strings.Contains(g.Module, "\n") || strings.Contains(g.Name, "\n") {
		return &UnsupportedError{"a Global has a name with a line end, which needs protocol 4 or 5"}
	}
	parts := strings.Split(g.Name, ".")
	if m, n := python3Name(g.Module, parts[0]); e.proto == 2 && (m != g.Module || n != parts[0]) {
		return &UnsupportedError{"a Global has a name that protocol 2 readers replace; it needs protocol 3 or later"}
	}
	if slices.Contains(parts[1:], localName) {
		return &UnsupportedError{"a Global inside a function, which nobody can look up, needs protocol 4 or 5"}
	}
	if len(parts) > 1 && len(g.Module)+len(g.Name) > maxAttributeName {
		return &UnsupportedError{"a Global has a very long dotted name, which needs protocol 4 or 5"}
	}
	if err := e.room(len(g.Module) + len(g.Name) + 32*len(parts)); err != nil {
		return err
	}
	for range parts[1:] {
		e.b = append(e.b, "cbuiltins\ngetattr\n"...)
	}
	e.b = append(e.b, opGlobal)
	e.b = append(e.b, g.Module...)
	e.b = append(e.b, '\n')
	e.b = append(e.b, parts[0]...)
	e.b = append(e.b, '\n')
	for _, name := range parts[1:] {
		if err := e.sized(name, opShortBinunicode, opBinunicode, opBinunicode8); err != nil {
			return err
		}
		e.b = append(e.b, opTuple2, opReduce)
	}
	return e.put(p, isNode)
}
