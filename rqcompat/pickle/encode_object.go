package pickle

import (
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"
)

func (e *encoder) object(v *Object, p unsafe.Pointer, depth int) {
	checkCall(v)
	if !v.LateArgs && growing(v) > 0 {
		defer e.watch(v)()
	}
	e.call(v, depth)
	if e.fetch(p, isNode, opPop) {
		return // and what comes below was written with it
	}
	e.put(p, isNode)
	e.appends(v.Items, depth)
	e.setItems(v.Pairs, depth)
	switch {
	case !v.HasState:
	case v.StateSetter == nil:
		e.save(v.State, depth)
		e.b = append(e.b, opBuild)
	default:
		e.saveAll(depth, v.StateSetter, v, v.State)
		e.b = append(e.b, opTuple2, opReduce, opPop)
	}
}

// call writes what makes the object.
func (e *encoder) call(v *Object, depth int) {
	switch v.How {
	case Reduce:
		e.saveAll(depth, v.Callable, v.Args)
		e.b = append(e.b, opReduce)
	case NewObj:
		e.saveAll(depth, v.Callable, v.Args)
		e.b = append(e.b, opNewobj)
	case Obj:
		e.b = append(e.b, opMark)
		e.save(v.Callable, depth)
		e.saveAll(depth+1, v.Args.(*Tuple).Items...)
		e.b = append(e.b, opObj)
	case NewObjEx:
		if e.proto >= 4 {
			e.saveAll(depth, v.Callable, v.Args, v.Kwargs)
			e.b = append(e.b, opNewobjEx)
			return
		}
		// Before protocol 4 the function that the opcode stands for.
		e.b = append(e.b, "ccopyreg\n__newobj_ex__\n"...)
		e.saveAll(depth, v.Callable, v.Args, v.Kwargs)
		e.b = append(e.b, opTuple3, opReduce)
	}
}

// checkCall checks the parts that make the object.
func checkCall(v *Object) {
	switch v.Callable.(type) {
	case *Global, *Object:
	default:
		panic(unsupported("an Object needs a *Global or an *Object as Callable"))
	}
	if t, _ := v.Args.(*Tuple); t == nil {
		panic(unsupported("an Object needs a *Tuple as Args"))
	}
	if v.How > Obj {
		panic(unsupported("an Object has an unknown How"))
	}
	if _, ok := v.Kwargs.(*Dict); !ok && v.How == NewObjEx {
		panic(unsupported("an Object made by NEWOBJ_EX needs a *Dict as Kwargs"))
	}
}

func (e *encoder) global(g *Global, p unsafe.Pointer) {
	if e.proto >= 4 {
		e.text(g.Module)
		e.text(g.Name)
		e.b = append(e.b, opStackGlobal)
	} else {
		e.oldGlobal(g)
	}
	e.put(p, isNode)
}

// oldGlobal writes a global for protocols without STACK_GLOBAL: names can't have line ends, and each dot is a call
// of getattr.
func (e *encoder) oldGlobal(g *Global) {
	parts := strings.Split(g.Name, ".")
	module, name := python3Name(g.Module, parts[0])
	switch {
	case !utf8.ValidString(g.Module) || !utf8.ValidString(g.Name):
		panic(unsupported("a Global has a name that is not UTF-8"))
	case strings.Contains(g.Module, "\n") || strings.Contains(g.Name, "\n"):
		panic(unsupported("a Global has a name with a line end, which needs protocol 4 or 5"))
	case e.proto == 2 && (module != g.Module || name != parts[0]):
		panic(unsupported("a Global has a name that protocol 2 readers replace; it needs protocol 3 or later"))
	case slices.Contains(parts[1:], localName):
		panic(unsupported("a Global inside a function, which nobody can look up, needs protocol 4 or 5"))
	case len(parts) > 1 && len(g.Module)+len(g.Name) > maxAttributeName:
		panic(unsupported("a Global has a very long dotted name, which needs protocol 4 or 5"))
	}
	e.room(len(g.Module) + len(g.Name) + 32*len(parts))
	for range parts[1:] {
		e.b = append(e.b, "cbuiltins\ngetattr\n"...)
	}
	e.b = append(e.b, "c"+g.Module+"\n"+parts[0]+"\n"...)
	for _, name := range parts[1:] {
		e.sized(name, textSizes)
		e.b = append(e.b, opTuple2, opReduce)
	}
}
