package pickle

import (
	"fmt"
	"math"
	"math/big"
)

// graph compares two decoded values: kinds, order, bits, and which nodes are one.
type graph struct {
	there, back map[any]any
}

// difference returns where a and b differ, "" when they are the same.
func difference(a, b any) string {
	return (&graph{map[any]any{}, map[any]any{}}).walk(a, b, "$")
}

func (g *graph) walk(a, b any, path string) string {
	if fmt.Sprintf("%T", a) != fmt.Sprintf("%T", b) {
		return fmt.Sprintf("%s: %T became %T", path, a, b)
	}
	switch x := a.(type) {
	case float64:
		if math.Float64bits(x) != math.Float64bits(b.(float64)) {
			return fmt.Sprintf("%s: %v became %v", path, a, b)
		}
		return ""
	case *big.Int:
		if x.Cmp(b.(*big.Int)) != 0 {
			return path + ": another big integer"
		}
		return ""
	case *Tuple:
		if len(x.Items) == 0 && len(b.(*Tuple).Items) == 0 {
			return "" // there is only one in Python
		}
	case *List, *Dict, *Set, *FrozenSet, *Object, *Global, *ByteArray:
	default:
		if a != b {
			return fmt.Sprintf("%s: %#v became %#v", path, a, b)
		}
		return ""
	}
	if g.there[a] != nil || g.back[b] != nil {
		if g.there[a] != b || g.back[b] != a {
			return path + ": shared differently"
		}
		return ""
	}
	g.there[a], g.back[b] = b, a
	return g.inside(a, b, path)
}

func (g *graph) inside(a, b any, path string) string {
	switch x := a.(type) {
	case *Global:
		if *x != *b.(*Global) {
			return fmt.Sprintf("%s: %v became %v", path, a, b)
		}
		return ""
	case *ByteArray:
		if string(x.B) != string(b.(*ByteArray).B) {
			return path + ": other content"
		}
		return ""
	case *Object:
		y := b.(*Object)
		if x.How != y.How || x.HasState != y.HasState {
			return fmt.Sprintf("%s: %v %v became %v %v", path, x.How, x.HasState, y.How, y.HasState)
		}
		if x.How == Obj { // its tuple of arguments has no identity
			if d := g.each(x.Args.(*Tuple).Items, y.Args.(*Tuple).Items, path+".args"); d != "" {
				return d
			}
		} else if d := g.walk(x.Args, y.Args, path+".args"); d != "" {
			return d
		}
	}
	var p, q []any
	parts := func(v any, out *[]any) {
		if o, ok := v.(*Object); ok {
			*out = append(*out, o.Callable, o.Kwargs, o.State, o.StateSetter, int64(len(o.Items)))
			*out = append(*out, o.Items...)
			for _, e := range o.Pairs {
				*out = append(*out, e.Key, e.Value)
			}
			return
		}
		items, pairs := contents(v)
		*out = append(*out, items...)
		for _, e := range pairs {
			*out = append(*out, e.Key, e.Value)
		}
	}
	parts(a, &p)
	parts(b, &q)
	return g.each(p, q, path)
}

func (g *graph) each(p, q []any, path string) string {
	if len(p) != len(q) {
		return fmt.Sprintf("%s: %d parts became %d", path, len(p), len(q))
	}
	for i := range p {
		if d := g.walk(p[i], q[i], fmt.Sprintf("%s[%d]", path, i)); d != "" {
			return d
		}
	}
	return ""
}
